"""Rows of the verdict log: one for each sampled picture, with all facts that a rule could see. Never a picture.

A segment without a sample has one row as well: rules evaluated in order may have waited for it, and a reader of the log
must know what was not seen.

Rows are personal data: they record what was shown when, and by a PDQ hash a known picture can be recognised.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from config.facts import ListedHash, ListMatch, SampleFacts, SegmentSource, StreamFacts
from worker.incidents.segment_context import SegmentContext
from worker.ingest.pending.segments import source_of
from worker.moderation.accounting import LedgerShare
from worker.moderation.verdict import SampleVerdict

_MATCH = pa.struct(
    [
        ("list", pa.string()),
        ("entry", pa.string()),
        ("distance", pa.int16()),
        ("video", pa.string()),
        ("seconds", pa.float64()),
        ("variant", pa.string()),
        ("version", pa.string()),
        ("tags", pa.list_(pa.string())),
    ]
)

_LISTED = pa.struct([("list", pa.string()), ("entry", pa.string())])

_TRANSFORMED = pa.struct([("variant", pa.string()), ("pdq", pa.binary(32)), ("quality", pa.uint8())])

SCHEMA = pa.schema(
    [
        ("stream_id", pa.string()),
        ("generation", pa.int32()),
        ("epoch", pa.int32()),
        ("segment_key", pa.string()),
        ("segment_uri", pa.string()),  # without query; null: unknown
        ("rendition", pa.string()),  # the picture is of this one, at segment_uri; null: of the watched one
        ("media_sequence", pa.int64()),  # of that segment of another rendition
        ("capture_ms", pa.int64()),  # Redis's clock
        ("pts_seconds", pa.float64()),
        ("reason", pa.string()),  # why it was sampled; null: there is no picture
        ("keyframe", pa.bool_()),
        ("pdq", pa.binary(32)),  # null: unhashable
        ("pdq_quality", pa.uint8()),
        ("variants", pa.list_(_TRANSFORMED)),  # hashable hashes of the transformed picture, if a list requires them
        ("matches", pa.list_(_MATCH)),
        ("scores", pa.map_(pa.string(), pa.float64())),
        ("deduplicated", pa.bool_()),
        ("concealed", pa.bool_()),
        ("looked_at", pa.bool_()),
        ("frozen", pa.bool_()),
        ("flat", pa.string()),
        ("hits", pa.list_(pa.string())),  # names of the rules that held, before persistence
        ("purpose", pa.string()),
        ("audience", pa.string()),
        ("risk_prior", pa.float64()),
        ("metadata", pa.string()),  # JSON
        ("signals", pa.map_(pa.string(), pa.float64())),
        ("risk", pa.float64()),  # all reasons together, as rules saw it
        # Of the whole segment:
        ("segment_ms", pa.int32()),
        ("moderated_ms", pa.int32()),
        ("unhashable_ms", pa.int32()),
        ("failed_ms", pa.map_(pa.string(), pa.int32())),  # by reason; skipped time too
        ("max_gap_seconds", pa.float64()),
        ("settled_ms", pa.int64()),  # Redis's clock
        ("settled_after", pa.int64()),  # version of the stream's incidents; gives the order within a millisecond
        ("silent", pa.list_(_LISTED)),  # hashes that raised nothing: in quarantine, or part of a flood
        ("degraded", pa.list_(pa.string())),
        ("policy_version", pa.string()),
        ("model_versions", pa.map_(pa.string(), pa.string())),
        ("list_versions", pa.map_(pa.string(), pa.string())),
    ]
)
"""Fields may be added; a reader gets null for those that an older file lacks."""

Row = Mapping[str, Any]


def rows_of(
    context: SegmentContext,
    samples: Sequence[SampleVerdict],
    share: LedgerShare,
    *,
    epoch: int,
    begin_ms: int,
    segment_ms: int,
    settled_ms: int,
    settled_after: int = 0,
    max_gap_seconds: float | None = None,
    silent: Iterable[ListedHash] = (),
) -> list[Row]:
    """Makes the rows of one segment, at least one.

    Args:
        samples: by presentation time.
        begin_ms: when its first picture was live; `segment_ms`: its duration by the playlist.
        settled_ms: when it was settled, by Redis's clock; `settled_after`: on which version of the incidents.
        max_gap_seconds: the longest time without a sample.
        silent: hashes that raised nothing.
    """
    stream, versions = context.stream, context.versions
    segment = {
        "stream_id": stream.stream_id,
        "generation": context.generation,
        "epoch": epoch,
        "segment_key": context.segment_key,
        "segment_uri": None if context.source is None else context.source.uri,
        "purpose": stream.purpose,
        "audience": stream.audience,
        "risk_prior": stream.risk_prior,
        "metadata": json.dumps(dict(stream.metadata)),
        "signals": list(stream.signals.items()),
        "risk": stream.risk,
        "segment_ms": segment_ms,
        "moderated_ms": share.moderated_ms,
        "unhashable_ms": share.unhashable_ms,
        "failed_ms": list(share.lost_ms.items()),
        "max_gap_seconds": max_gap_seconds,
        "settled_ms": settled_ms,
        "settled_after": settled_after,
        "silent": [listed._asdict() for listed in sorted(silent)],
        "degraded": list(context.degraded),
        "policy_version": versions.policy,
        "model_versions": list(versions.models.items()),
        "list_versions": list(versions.lists.items()),
    }
    pictures: list[Row] = [segment | _place(sample) | _picture(sample) for sample in samples]
    return pictures or [segment | _NOTHING | {"capture_ms": begin_ms}]


_NOTHING: dict[str, Any] = {
    "pts_seconds": 0.0,
    "looked_at": False,
    "variants": [],
    "matches": [],
    "scores": [],
    "hits": [],
}
"""In place of a picture; other columns are null."""


def shows_picture(row: Row) -> bool:
    """Returns whether a row is of a picture; else it is the only one of its segment."""
    return row["reason"] is not None


def _place(sample: SampleVerdict) -> dict[str, Any]:
    """The place of a picture, if that is not in the watched segment."""
    if (source := sample.source) is None:
        return {}
    return {"segment_uri": source.uri, "rendition": source.rendition, "media_sequence": source.media_sequence}


def _picture(sample: SampleVerdict) -> dict[str, Any]:
    return {
        "capture_ms": sample.capture_ms,
        "pts_seconds": sample.pts_seconds,
        "reason": str(sample.reason),
        "keyframe": sample.keyframe,
        "pdq": None if sample.pdq is None else bytes.fromhex(sample.pdq),
        "pdq_quality": sample.pdq_quality,
        "variants": [
            {"variant": str(variant), "pdq": pdq.bits, "quality": pdq.quality}
            for variant, several in sample.variants.items()
            for pdq in several
            if pdq.hashable
        ],
        "matches": [match_record(match) for match in sample.matches],
        "scores": list(sample.scores.items()),
        "deduplicated": sample.deduplicated,
        "concealed": sample.concealed,
        "looked_at": sample.classified,
        "frozen": sample.frozen,
        "flat": sample.flat,
        "hits": [hit.rule for hit in sample.hits],
    }


def match_record(match: ListMatch) -> dict[str, Any]:
    return {field.name: getattr(match, field.name) for field in _MATCH} | {"tags": list(match.tags)}


def table_of(rows: Sequence[Row]) -> pa.Table:
    """Converts rows into the table that is written."""
    return pa.Table.from_pylist(list(rows), schema=SCHEMA)


STREAM_COLUMNS = ("stream_id", "purpose", "audience", "risk_prior", "metadata", "signals", "risk")
"""Columns that `stream_facts_of` reads."""
SAMPLE_COLUMNS = ("capture_ms", "pts_seconds", "reason", "pdq_quality", "matches", "scores", "looked_at")
"""Columns that `sample_facts_of` reads. Select both sets, or rules do not see what they saw live. It reads `pdq` too,
which is for events."""


def stream_facts_of(row: Row) -> StreamFacts:
    """The facts of the stream when the picture was judged."""
    return StreamFacts(
        stream_id=row["stream_id"],
        purpose=row["purpose"],
        audience=row["audience"],
        risk_prior=row["risk_prior"],
        metadata=json.loads(row["metadata"]),
        signals=dict(row["signals"] or ()),  # null in files from before there were any
        risk=row["risk_prior"] if row.get("risk") is None else row["risk"],  # likewise
    )


SOURCE_COLUMNS = ("segment_key", "segment_uri", "rendition", "media_sequence")
"""Columns that `source_of_row` reads."""


def source_of_row(row: Row) -> SegmentSource | None:
    """The place of the picture; None: unknown."""
    uri = row.get("segment_uri") or ""
    rendition, sequence = row.get("rendition"), row.get("media_sequence")  # null in files from before audits
    if rendition and sequence is not None:
        return SegmentSource(uri=uri, media_sequence=sequence, rendition=rendition)
    return source_of(row["segment_key"], uri)


def sample_facts_of(row: Row) -> SampleFacts:
    """The facts of the picture."""
    return SampleFacts(
        capture_ms=row["capture_ms"],
        pts_seconds=row["pts_seconds"],
        reason=row["reason"],
        pdq_quality=row["pdq_quality"],
        matches=tuple(ListMatch(**{**match, "tags": tuple(match["tags"])}) for match in row["matches"]),
        scores=dict(row["scores"]),
        classified=row["looked_at"] is not False,
        pdq=_hex(row.get("pdq")),
    )


def _hex(pdq: bytes | str | None) -> str:
    """The hash as hex, from a row or from a row that was recorded as JSON."""
    return pdq.hex() if isinstance(pdq, bytes) else pdq or ""
