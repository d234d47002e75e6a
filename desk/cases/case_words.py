"""The words of a case page: head, reasons, stream and timeline, from one reading of the case."""

from pathlib import Path
from typing import Any

from redis import Redis

from desk.cases.case_state import read_state
from desk.cases.case_timeline import timeline_of
from desk.cases.case_view import CaseView
from desk.cases.head_words import head_of
from desk.cases.hold_words import hold_of
from desk.cases.reason_words import reasons_of
from desk.cases.stream_view import read_stream
from desk.cases.stream_words import stream_words
from desk.texts.catalogue import Texts
from worker.people.actor import Actor
from worker.people.roster import read_roster
from worker.timeline.series_store import case_series


def case_words(
    redis: Redis, view: CaseView, actor: Actor, texts: Texts, *, policy_file: Path | None, refused: str = ""
) -> dict[str, Any]:
    """Reads what the page of a case says beside its records, and returns the values of its templates.

    Args:
        refused: why the person's last act was refused; empty: it was not.

    Raises:
        StoreError: Redis failed.
    """
    stream = read_stream(redis, view, policy_file=policy_file)
    series = case_series(redis, view.case_id)
    return {
        "head": head_of(view, stream, texts),
        "reasons": reasons_of(view, texts),
        "stream": stream_words(stream, view.now_ms, texts),
        "timeline": timeline_of(view, stream, series, actor.name, texts),
        "hold": hold_of(view, actor, read_roster(redis), texts, refused=refused),
        "state": read_state(redis, view.case_id),
    }
