"""Segments that are admitted and not yet settled: Redis's word on each, whatever becomes of the messages about it.

`lw:pending:{stream}` holds a record for each, `lw:overdue` when somebody has to see after it, `lw:tries:{stream} {key}`
how often it was begun. The record goes when the segment is settled (`worker.incidents.incident_rules`), never before.
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
from worker.ingest.registry.slow_streams import SlowPart, slow_key
from worker.store import redis_keys
from worker.store.redis_client import run_script

OVERDUE = redis_keys.OVERDUE.name
PENDING_PREFIX = redis_keys.PENDING.prefix
TRIES_PREFIX = redis_keys.TRIES.prefix

LEASE_MS = 20_000
"""How long a begun segment is left to its worker: above the hard time limit of a task (18 s), so that nobody else has
it while it goes on. A killed worker's segment goes to another one after this, plus one round of the reconciler: within
30 s."""

FIRST_DEADLINE_MS = 10_000
"""From admission to the first time that the message is sent again, should nobody have begun."""

LONGEST_DEADLINE_MS = 120_000
"""Deadlines double: under overload messages wait in the queue, and sending more of them would not help."""

TRIES_KEPT_SECONDS = 3600

OVERDUE_CONSIDERED = 4_000
"""Of the overdue segments, the oldest: all that 60 streams may have pending, in some 4 ms of Redis's time."""

TRIAL_MS = 3_000
"""The longest that a trial keeps the stream's other segments waiting: its fetch, `QUICK_SECONDS`, well over. A trial
whose process died is over then, and what waited for it is sent again at its deadline."""

MAX_URI_CHARACTERS = 1_000
"""Of a segment's URI in events and in the log; playlists are hostile. A longer one ends with an ellipsis."""

QUICK_KEPT_SECONDS = 600
"""Since a stream's trial. Another one costs nothing but that one segment is fetched before the others are."""


@dataclass(frozen=True, kw_only=True)
class SegmentRecord:
    """An admitted segment; all that a worker needs to moderate it. Kept in Redis as JSON."""

    key: str
    generation: int
    epoch: int
    sequence: int
    url: str
    duration_ms: int
    capture_ms: int
    """When its first picture was taken, by the epoch's timeline, in Redis's clock."""
    admitted_ms: int
    byte_range: ByteRange | None = None
    init_url: str | None = None
    init_byte_range: ByteRange | None = None
    encryption: str | None = None
    program_ms: int | None = None
    """When its first picture was taken by the origin's own clock, where that is credible."""
    purpose: str = ""
    """Purpose of its watch generation. Empty in records of version 0.1.0: the stream's purpose holds."""
    damaged: bool = False
    """What Redis has cannot be read; of this record only what could be found is right. It is not kept."""

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
        """Reads what `to_json` wrote, of another version too: unknown fields are ignored, missing ones defaulted.

        Raises:
            ValueError, TypeError, KeyError, AttributeError: it is something else.
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
            if found.get(name) is not None:
                found[name] = ByteRange(offset=found[name]["offset"], length=found[name]["length"])
        return cls(**found)

    @classmethod
    def read(cls, key: str, text: str) -> Self:
        """As `from_json`, of whatever Redis has under the segment's key: what is damaged is marked so."""
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
    """Where the segment of that key was fetched; None: the key is none of ours.

    Args:
        key: also of what looking back settled, which is named after a segment.
        url: as the playlist had it; at most `MAX_URI_CHARACTERS` are kept. Empty: unknown.
    """
    of = _KEY.match(key)
    if of is None:
        return None
    return SegmentSource(uri=without_query(url, most=MAX_URI_CHARACTERS), media_sequence=int(of[3]))


_NUMBERS = ("generation", "epoch", "sequence", "duration_ms", "capture_ms", "admitted_ms")
_KEY = re.compile(r"(\d{1,15})\.(\d{1,15})\..*\.(\d{1,15})\.[0-9a-f]+")
"""As `worker.ingest.playlist.hls.segment_key` makes it."""


def _number_in(text: str, name: str) -> int:
    """What a damaged record still says; 0 if it does not."""
    found = re.search(rf'"{name}"\s*:\s*(\d{{1,15}})\s*[,}}]', text)
    return 0 if found is None else int(found[1])


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A segment that is now ours to work on, and what happened to it before."""

    record: SegmentRecord
    losses: int
    """Beginnings that never ended: pool children that died in them, and time-outs."""
    deaths: int
    """Of the decoder child."""
    fetches: int
    """That failed."""
    token: str
    """Of this beginning: what is done by another one's is not done to this."""
    trial: bool = False
    """By this fetch it becomes known whether the stream is quick; `end_trial` must follow it."""


@dataclass(frozen=True)
class BelongsToSlow:
    """A segment that was not begun: its stream is slow, and it came up in a queue for everybody."""


def pending_key(stream_id: str) -> str:
    """Hash: segment key to record."""
    return PENDING_PREFIX + stream_id


def member(stream_id: str, segment_key: str) -> str:
    """Names a segment of a stream in `lw:overdue`; neither part has a space."""
    return f"{stream_id} {segment_key}"


def begin(redis: Redis, stream_id: str, segment_key: str, *, slow_too: bool = True) -> Begun | BelongsToSlow | None:
    """Takes a segment under a lease and counts the beginning; None: it is settled, another worker
    has it, or it is sent when the stream's trial is over.

    Args:
        slow_too: whether a segment of a slow stream may be begun; otherwise nothing is counted of it.
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
    """The trial, the mark of a stream that is known to be quick, the segments that wait for the trial's end."""
    return [key.of(stream_id) for key in (redis_keys.TRIAL, redis_keys.QUICK, redis_keys.PARKED)]


def end_trial(redis: Redis, stream_id: str, *, quick: bool) -> list[str]:
    """Ends a stream's trial; gives the keys of the segments that waited for it, which must be sent now."""
    keys = run_script(redis, "trial_done", keys=_trial_keys(stream_id), args=[int(quick), QUICK_KEPT_SECONDS])
    return [str(key) for key in keys]


def defer(
    redis: Redis, stream_id: str, begun: Begun, *, delay_ms: int, counts: str = "", in_order: bool = True
) -> None:
    """Gives a begun segment back; the reconciler sends it after `delay_ms`. Nothing happens if that was done, or if
    another worker has begun it since.

    Args:
        counts: `deaths` (of the decoder) or `fetches` (failed), counted against the segment.
        in_order: False leaves the beginning counted as a loss.
    """
    name = member(stream_id, begun.record.key)
    run_script(
        redis,
        "defer",
        keys=[pending_key(stream_id), OVERDUE, tries_key(stream_id, begun.record.key)],
        args=[name, begun.record.key, delay_ms, counts, int(in_order), begun.token],
    )


def series_of(generation: int, epoch: int) -> str:
    """Names the segments of a stream that have an order: those of one watch generation and epoch."""
    return f"{generation}.{epoch}"


def tries_key(stream_id: str, segment_key: str) -> str:
    """Hash: how often a pending segment was begun, and what came of it; of a settled one, which of its hits are
    published."""
    return TRIES_PREFIX + member(stream_id, segment_key)


def take_overdue(redis: Redis, most: int) -> list[tuple[str, str]]:
    """Segments, as (stream ID, segment key), whose message has to be sent again, streams by turns; each gets a later
    deadline."""
    taken = run_script(
        redis,
        "take_overdue",
        keys=[OVERDUE],
        args=[
            most,
            FIRST_DEADLINE_MS,
            LONGEST_DEADLINE_MS,
            PENDING_PREFIX,
            TRIES_PREFIX,
            OVERDUE_CONSIDERED,
        ],
    )
    return [(stream_id, key) for stream_id, _, key in (name.partition(" ") for name in taken)]


def pending_ms(records: Mapping[str, str]) -> int:
    """Duration of the segments in a pending hash, as far as it can be read."""
    return sum(SegmentRecord.read(key, record).duration_ms for key, record in records.items())


def unread_ms(redis: Redis, stream_id: str) -> int:
    """Of what a stream has pending, the duration that no record tells: what is missing in its ledger, shared by the
    damaged records that do not tell theirs."""
    # In one transaction: a segment settled between two reads would be counted twice or not at all.
    with redis.pipeline(transaction=True) as pipe:
        pipe.hgetall(coverage_key(stream_id))
        pipe.hgetall(pending_key(stream_id))
        ledger, pending = pipe.execute()
    records = [SegmentRecord.read(str(key), str(text)) for key, text in pending.items()]
    mute = sum(record.damaged and not record.duration_ms for record in records)
    accounted = sum(int(ms) for field, ms in ledger.items() if field == "moderated" or field.startswith(KINDS))
    left = int(ledger.get("elapsed", 0)) - accounted - sum(record.duration_ms for record in records)
    return max(0, left) // max(1, mute)
