"""Series of cases, made up: samples with a score that swings, gaps, hits."""

import math
from collections.abc import Iterable

from redis import Redis

from config.facts import Severity
from worker.store.redis_client import now_ms
from worker.timeline.series import CaseSeries, SeriesHit, SeriesSample, SeriesSegment, SeriesStretch
from worker.timeline.series_store import series_key
from worker.timeline.series_text import series_text

RULE, LIST, SCORE = "known-material", "ncmec", "open-nsfw/nsfw"


def write_series(
    redis: Redis,
    case_id: str,
    *,
    seconds: int,
    step_seconds: int = 2,
    gaps: Iterable[tuple[int, int, str]] = (),
    hits: Iterable[tuple[int, int]] = (),
) -> None:
    """Writes the series of a case that ends now.

    Args:
        gaps: begin and end in seconds, field of the ledger.
        hits: second and distance.
    """
    begin_ms = now_ms(redis) - 1000 * seconds
    lost = list(gaps)
    found = [SeriesHit(begin_ms + 1000 * at, RULE, Severity.CRITICAL, LIST, distance) for at, distance in hits]
    segments = []
    for at in range(0, seconds, step_seconds):
        why = next((why for first, last, why in lost if first <= at < last), "")
        at_ms, end_ms = begin_ms + 1000 * at, begin_ms + 1000 * (at + step_seconds)
        score = 0.45 + 0.4 * math.sin(at / 25)
        segments.append(
            SeriesSegment(
                key=str(at),
                begin_ms=at_ms,
                stretches=(SeriesStretch(at_ms, end_ms, why),),
                samples=() if why else (SeriesSample(at_ms + 500, {SCORE: score}),),
                hits=tuple(hit for hit in found if at_ms <= hit.capture_ms < end_ms),
            )
        )
    text = series_text(CaseSeries().merged(segments))
    redis.hset(series_key(case_id), mapping={"version": "1", "text": text})
