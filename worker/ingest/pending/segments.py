"""Pending segments, admitted and not yet settled: leases, deadlines and tries in Redis, whether or not messages arrive.

`lw:pending:{stream}` holds a record for each, `lw:overdue` its deadline, `lw:tries:{stream} {key}` how often it was
begun. The record is removed when the segment is settled (`worker.incidents.commit`), never before.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from secrets import token_hex
from typing import Any, Self

from redis import Redis

from config.facts import SegmentSource
from worker.ingest.coverage.ledger import KINDS, coverage_key
from worker.ingest.http.resource import ByteRange
from worker.ingest.http.urls import without_query
from worker.ingest.playlist.outcome import NewSegment
from worker.ingest.playlist.preceding import PrecedingSegment, read_range
from worker.ingest.registry.slow_streams import SlowPart, slow_key
from worker.store import redis_keys
from worker.store.redis_client import run_script

OVERDUE = redis_keys.OVERDUE.name
pending_key = redis_keys.PENDING.of
"""Key of the hash: segment key to record."""
TRIES_PREFIX = redis_keys.TRIES.prefix

LEASE_MS = 20_000
"""Lease of a begun segment: above the hard time limit of a task (18 s), so that no other worker has it meanwhile. A
killed worker's segment goes to another one after this, plus one round of the reconciler: within 30 s."""

FIRST_DEADLINE_MS = 10_000
"""From admission to the first repetition of the message, if the segment was not begun."""

LONGEST_DEADLINE_MS = 120_000
"""Bound of the deadlines, which double: under overload messages wait in the queue, and more of them would not help."""

TRIES_KEPT_SECONDS = 3600

OVERDUE_CONSIDERED = 4_000
"""The oldest overdue segments that are considered: as many as 60 streams may have pending, in some 4 ms of Redis's
time."""

TRIAL_MS = 3_000
"""Longest time that a trial holds back the stream's other segments: well over its fetch, `QUICK_SECONDS`. The trial of
a dead process ends then, and the segments that waited for it are sent again at their deadlines."""

MAX_URI_CHARACTERS = 1_000
"""Limit for a segment's URI in events and in the log; playlists are hostile. A longer one ends with an ellipsis."""

QUICK_KEPT_SECONDS = 600
"""Since a stream's trial. Another trial costs little: one segment is fetched before the others are."""


@dataclass(frozen=True, kw_only=True)
class SegmentRecord:
    """An admitted segment, with all that a worker needs to moderate it. Kept in Redis as JSON."""

    key: str
    generation: int
    epoch: int
    sequence: int
    url: str
    duration_ms: int
    capture_ms: int
    """Capture time of its first picture, by the epoch's timeline, in Redis's clock."""
    admitted_ms: int
    byte_range: ByteRange | None = None
    init_url: str | None = None
    init_byte_range: ByteRange | None = None
    before: PrecedingSegment | None = None
    """The segment from which it goes on, for the leading pictures of an open GOP. None: it is not known, or the record
    is of version 0.1.0."""
    encryption: str | None = None
    program_ms: int | None = None
    """Capture time of its first picture by the origin's own clock, where that is credible."""
    purpose: str = ""
    """Purpose of its watch generation. Empty in records of version 0.1.0: the stream's purpose applies."""
    damaged: bool = False
    """The record in Redis cannot be parsed, and only some fields here could be recovered. Not stored."""

    @classmethod
    def of(cls, new: NewSegment, *, generation: int, purpose: str, admitted_ms: int) -> Self:
        """The record of a segment that a poll found."""
        segment = new.segment
        return cls(
            key=new.key,
            generation=generation,
            epoch=new.epoch,
            sequence=segment.sequence,
            url=segment.uri,
            duration_ms=segment.duration_ms,
            capture_ms=new.capture_ms,
            admitted_ms=admitted_ms,
            byte_range=segment.byte_range,
            init_url=None if segment.init is None else segment.init.uri,
            init_byte_range=None if segment.init is None else segment.init.byte_range,
            before=new.before,
            encryption=segment.encryption,
            program_ms=new.program_ms,
            purpose=purpose,
        )

    def to_json(self) -> str:
        """One line that `from_json` reads back."""
        values = asdict(self)
        del values["damaged"]
        return json.dumps(values, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Parses the output of `to_json`, also of another version: unknown fields are ignored, missing ones defaulted.

        Raises:
            ValueError, TypeError, KeyError, AttributeError: the text is not a record.
        """
        known = {field.name for field in fields(cls)} - {"damaged"}
        found: dict[str, Any] = {name: value for name, value in json.loads(text).items() if name in known}
        for name, expected in (*((name, int) for name in _NUMBERS), ("key", str), ("url", str)):
            if type(found[name]) is not expected:
                raise TypeError(f"{name}: expected {expected.__name__}")
        for name, expected in (("program_ms", int), ("purpose", str)):
            if found.get(name) is not None and type(found[name]) is not expected:
                raise TypeError(f"{name}: expected {expected.__name__}")
        for name in ("byte_range", "init_byte_range"):
            found[name] = read_range(found.get(name))
        return cls(**found | {"before": PrecedingSegment.read(found.get("before"))})

    @classmethod
    def read(cls, key: str, text: str) -> Self:
        """As `from_json` for any value under the segment's key in Redis: a damaged one gives a record marked so."""
        try:
            return cls.from_json(text)
        except (ValueError, TypeError, KeyError, AttributeError):
            of = _KEY.match(key)
            generation, epoch, sequence = (0, 0, 0) if of is None else (int(part) for part in of.groups())
            return cls(
                key=key,
                generation=generation,
                epoch=epoch,
                sequence=sequence,
                url="",
                duration_ms=_number_in(text, "duration_ms"),
                capture_ms=_number_in(text, "capture_ms"),
                admitted_ms=_number_in(text, "admitted_ms"),
                damaged=True,
            )


def source_of(key: str, url: str) -> SegmentSource | None:
    """The source of the segment with that key; None: the key is foreign.

    Args:
        key: also of a look-back find, which is named after a segment.
        url: as in the playlist; at most `MAX_URI_CHARACTERS` are kept. Empty: unknown.
    """
    of = _KEY.match(key)
    if of is None:
        return None
    return SegmentSource(uri=without_query(url, most=MAX_URI_CHARACTERS), media_sequence=int(of[3]))


_NUMBERS = ("generation", "epoch", "sequence", "duration_ms", "capture_ms", "admitted_ms")
_KEY = re.compile(r"(\d{1,15})\.(\d{1,15})\..*\.(\d{1,15})\.[0-9a-f]+")
"""The form of `worker.ingest.playlist.hls.segment_key`."""


def _number_in(text: str, name: str) -> int:
    """A number recovered from a damaged record; 0 if it cannot be."""
    found = re.search(rf'"{name}"\s*:\s*(\d{{1,15}})\s*[,}}]', text)
    return 0 if found is None else int(found[1])


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A segment leased to this process, with its history."""

    record: SegmentRecord
    losses: int
    """Times it was begun and not ended: pool children that died, and timeouts."""
    deaths: int
    """Deaths of the decoder child."""
    fetches: int
    """Failed fetches."""
    token: str
    """Identifies this lease, so that the holder of an earlier one cannot defer the segment."""
    trial: bool = False
    """This fetch shows whether the stream is quick; `end_trial` must follow it."""


@dataclass(frozen=True)
class BelongsToSlow:
    """A segment that was not begun: its stream is slow, and it came up in a shared queue."""


def member(stream_id: str, segment_key: str) -> str:
    """The member of `lw:overdue` for a segment of a stream; neither part contains a space."""
    return f"{stream_id} {segment_key}"


def begin(redis: Redis, stream_id: str, segment_key: str, *, slow_too: bool = True) -> Begun | BelongsToSlow | None:
    """Takes a segment under a lease and counts the try; None: it is settled, another worker has it, or it is sent when
    the stream's trial is over.

    Args:
        slow_too: whether a segment of a slow stream may be begun; otherwise it is not counted either.
    """
    name, token = member(stream_id, segment_key), token_hex(16)
    answer = run_script(
        redis,
        "begin",
        keys=[
            pending_key(stream_id),
            OVERDUE,
            tries_key(stream_id, segment_key),
            slow_key(SlowPart.SEGMENTS, stream_id),
            *_trial_keys(stream_id),
        ],
        args=[name, segment_key, LEASE_MS, TRIES_KEPT_SECONDS, int(slow_too), TRIAL_MS, token],
    )
    if answer[0] == "slow":
        return BelongsToSlow()
    if answer[0] != "begun":
        return None
    record, losses, deaths, fetches, trial = answer[1:]
    return Begun(
        record=SegmentRecord.read(segment_key, str(record)),
        losses=int(losses),
        deaths=int(deaths),
        fetches=int(fetches),
        token=token,
        trial=bool(trial),
    )


def _trial_keys(stream_id: str) -> list[str]:
    """Keys of the trial, of the mark of a quick stream, and of the segments that wait for the trial's end."""
    return [key.of(stream_id) for key in (redis_keys.TRIAL, redis_keys.QUICK, redis_keys.PARKED)]


def end_trial(redis: Redis, stream_id: str, *, quick: bool) -> list[str]:
    """Ends a stream's trial; returns the keys of the segments that waited for it, which must be sent now."""
    keys = run_script(redis, "trial_done", keys=_trial_keys(stream_id), args=[int(quick), QUICK_KEPT_SECONDS])
    return [str(key) for key in keys]


def defer(
    redis: Redis, stream_id: str, begun: Begun, *, delay_ms: int, counts: str = "", in_order: bool = True
) -> None:
    """Releases a begun segment; the reconciler sends it again after `delay_ms`. Does nothing if that was done already,
    or if another worker has begun it since.

    Args:
        counts: `deaths` (of the decoder) or `fetches` (failed), counted against the segment.
        in_order: False leaves the try counted as a loss.
    """
    name = member(stream_id, begun.record.key)
    run_script(
        redis,
        "defer",
        keys=[pending_key(stream_id), OVERDUE, tries_key(stream_id, begun.record.key)],
        args=[name, begun.record.key, delay_ms, counts, int(in_order), begun.token],
    )


def series_of(generation: int, epoch: int) -> str:
    """Identifies an ordered series of segments of a stream: those of one watch generation and epoch."""
    return f"{generation}.{epoch}"


def tries_key(stream_id: str, segment_key: str) -> str:
    """Key of the hash: tries of a pending segment and their outcomes; of a settled one, which of its hits are
    published."""
    return TRIES_PREFIX + member(stream_id, segment_key)


def take_overdue(redis: Redis, most: int) -> list[tuple[str, str]]:
    """Segments, as (stream ID, segment key), whose message must be sent again, round-robin over streams; each gets a
    later deadline."""
    taken = run_script(
        redis,
        "take_overdue",
        keys=[OVERDUE],
        args=[most, FIRST_DEADLINE_MS, LONGEST_DEADLINE_MS, pending_key(""), TRIES_PREFIX, OVERDUE_CONSIDERED],
    )
    return [(stream_id, key) for stream_id, _, key in (name.partition(" ") for name in taken)]


def pending_ms(records: Mapping[str, str]) -> int:
    """Total duration of the segments in a pending hash, as far as it can be read."""
    return sum(SegmentRecord.read(key, record).duration_ms for key, record in records.items())


def unread_ms(redis: Redis, stream_id: str) -> int:
    """Duration of one damaged pending record whose duration cannot be recovered: the rest of the ledger, divided among
    such records."""
    # In one transaction: a segment settled between two reads would be counted twice or not at all.
    with redis.pipeline(transaction=True) as pipe:
        pipe.hgetall(coverage_key(stream_id))
        pipe.hgetall(pending_key(stream_id))
        ledger, pending = pipe.execute()
    records = [SegmentRecord.read(str(key), str(text)) for key, text in pending.items()]
    damaged = sum(record.damaged and not record.duration_ms for record in records)
    accounted = sum(int(ms) for field, ms in ledger.items() if field == "moderated" or field.startswith(KINDS))
    left = int(ledger.get("elapsed", 0)) - accounted - sum(record.duration_ms for record in records)
    return max(0, left) // max(1, damaged)
