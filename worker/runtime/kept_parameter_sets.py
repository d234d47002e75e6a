"""Parameter sets in force after a segment, for the one that goes on from it, which may have none of its own.

FFmpeg's HLS muxer writes those of open GOPs and of intra refresh into a stream's first MPEG-TS segment alone. A segment
gets those of the very segment before it, or none: with others a decoder may show what no viewer sees (HEVC), or a part
of it (another cropping), without any error. So each segment hands them on, with its own in their place; where one could
not be read, those that follow are undecodable up to the next that has its own.
"""

import base64
import json

from redis import Redis
from redis.client import Pipeline

from sampler.demux.codecs.parameter_sets import MOST_BYTES
from worker.ingest.pending.segments import SegmentRecord
from worker.ingest.playlist.hls import rendition_of, resource_name, segment_key
from worker.store import redis_keys
from worker.store.redis_client import run_script

parameter_sets_key = redis_keys.PARAMETER_SETS.of
"""Key of the hash: media sequence number modulo `KEPT_SEGMENTS` to key and parameter sets of a segment."""
KEPT_SEGMENTS = 16
"""More than are pending of a stream that keeps up; the next segment needs one."""


def keep_parameter_sets(redis: Redis, stream_id: str, record: SegmentRecord, sets: bytes) -> None:
    """Keeps those in force at a segment's end; before it settles, so that its successor finds them."""
    entry = json.dumps({"key": record.key, "sets": base64.b64encode(sets).decode()}, separators=(",", ":"))
    run_script(
        redis,
        "keep_parameter_sets",
        keys=[parameter_sets_key(stream_id)],
        args=[_field(record.sequence), entry, redis_keys.PARAMETER_SETS.seconds],
    )


def key_before(record: SegmentRecord) -> str | None:
    """Key of the segment before; None: it is not known."""
    before = record.before
    if before is None or record.damaged:
        return None
    return segment_key(
        generation=record.generation,
        epoch=record.epoch,
        rendition=rendition_of(record.key),
        sequence=before.sequence,
        name=resource_name(before.url, before.byte_range),
    )


def ask_for_entry(pipe: Pipeline, stream_id: str, record: SegmentRecord) -> None:
    """Queues the read of the entry that `parameter_sets_before` reads."""
    pipe.hget(parameter_sets_key(stream_id), _field(record.sequence - 1))


def parameter_sets_before(entry: object, record: SegmentRecord) -> bytes:
    """Reads those in force at the end of the segment before `record`; b"": they are not known, or damaged."""
    key = key_before(record)
    if key is None or not isinstance(entry, str):
        return b""
    try:
        kept = json.loads(entry)
        sets = base64.b64decode(kept["sets"], validate=True) if kept["key"] == key else b""
    except (ValueError, TypeError, KeyError):
        return b""
    return sets if len(sets) <= MOST_BYTES else b""


def _field(sequence: int) -> str:
    return str(sequence % KEPT_SEGMENTS)
