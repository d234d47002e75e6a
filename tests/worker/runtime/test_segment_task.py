"""The segment task with the real pipeline, real models and a real Valkey."""

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from clips import clip, held, photo
from hls_origin import SEGMENT_SECONDS, LiveOrigin, fragmented_mp4, segment_bytes
from hostile_media import audio
from pydantic import SecretStr
from redis_between import Command, Send, redis_between
from short_packets import AAC_TYPE, with_short_packets
from stand_in import LIE, STAND_IN

from config.settings import Settings
from models.classifiers.classifier import StuckRun
from models.pdq.pdq import hash_rgb
from models.testcard import testcard as card_picture
from sampler.child.decoder import Decoder
from sampler.limits import Limits
from worker.errors import StoreError
from worker.ingest.coverage.ledger import summary
from worker.ingest.pending.segments import pending_key
from worker.ingest.poll.poll import poll_due
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import DUE, watch
from worker.ingest.registry.signals import report_signals
from worker.ingest.status import stream_status
from worker.policyload.breaker import STUCK_SECONDS, leave_out
from worker.queue.claims import take
from worker.queue.decisions import decide_incident
from worker.runtime.segment_end import gate_key
from worker.runtime.segment_task import MAX_LOSSES, RETRY_DELAYS_MS, moderate_segment
from worker.runtime.worker_process import WorkerProcess
from worker.store.redis_client import now_ms, run_script
from worker.verdictlog.reading import read_log

CRITICAL = "lw:escalations:critical"
DRILLS = "lw:escalations:high"
"""Stream on which the default policy publishes the test card's incidents."""


def admit(process: WorkerProcess, origin: LiveOrigin, purpose: str = "drill") -> list[str]:
    """Registers and polls the stream; gives the keys of new segments in stream order."""
    keys: list[str] = []
    watch(process.redis, register("s", origin.url, purpose=purpose, url_template="", legal_basis=""))
    process.redis.zadd(DUE, {"s": 0}, xx=True)
    poll_due(process.redis, process.fetcher, height_pixels=360, send=lambda _, key, __: keys.append(key))
    return sorted(keys, key=lambda key: [int(part) for part in key.split(".") if part.isdecimal()])


def let_lease_pass(process: WorkerProcess, key: str) -> None:
    process.redis.hdel(f"lw:tries:s {key}", "leased_until_ms")


def check_equation(record: dict) -> None:
    parts = ("moderated", "skipped", "failed", "missed", "pending")
    assert sum(record[f"{part}_seconds"] for part in parts) == pytest.approx(record["elapsed_seconds"], abs=1e-9)


def test_a_late_segment_does_not_move_the_seen_position_back(process: WorkerProcess, origin: LiveOrigin):
    """Segments end in any order: operators would see lag where there is none."""
    for index in range(2):
        origin.add(f"{index}.ts", segment_bytes(card=False))
    earlier, later = admit(process, origin)
    moderate_segment(process, "s", later)
    seen_until_ms = process.redis.hget("lw:stream:s", "settled_until_ms")
    moderate_segment(process, "s", earlier)
    assert process.redis.hget("lw:stream:s", "settled_until_ms") == seen_until_ms


def test_a_claimed_duration_of_an_hour_hides_no_lag(process: WorkerProcess, origin: LiveOrigin):
    """A broadcaster who declares segments of an hour would have a lag of 0 while the stream goes unseen."""
    for name in ("0.ts", "1.ts"):
        origin.add(name, segment_bytes(card=False))
        origin.playlist = origin.playlist_text().replace(b"DURATION:2", b"DURATION:3600").replace(b":2.000,", b":3600,")
        for key in admit(process, origin):
            moderate_segment(process, "s", key)
    record = stream_status(process.redis, "s")
    check_equation(record)
    assert int(process.redis.hget("lw:stream:s", "settled_until_ms") or 0) <= now_ms(process.redis)


@pytest.mark.parametrize(("says", "short"), [("0.1", 1), ("2.0", None)])
def test_a_segment_longer_than_declared_is_counted(process: WorkerProcess, origin: LiveOrigin, says: str, short: int):
    """A broadcast of hours with a ledger of seconds would look short and wholly moderated."""
    origin.add("0.ts", segment_bytes(card=False))
    origin.playlist = origin.playlist_text().replace(b":2.000,", f":{says},".encode())
    (key,) = admit(process, origin)
    moderate_segment(process, "s", key)
    record = stream_status(process.redis, "s")
    check_equation(record)
    assert record["counts"].get("short_extinf") == short


def test_a_late_segment_does_not_replace_what_a_later_one_classified(process: WorkerProcess, origin: LiveOrigin):
    """A still scene would count with the scores of another scene that ended before it."""
    for name, scene in (("0.ts", "coffee"), ("1.ts", "astronaut"), ("2.ts", "astronaut")):
        origin.add(name, clip(held(photo(scene), SEGMENT_SECONDS)))
    first, second, third = admit(process, origin)
    moderate_segment(process, "s", first)
    ((series, kept),) = process.redis.hgetall(gate_key("s")).items()
    moderate_segment(process, "s", second)
    before = stream_status(process.redis, "s")["counts"]
    assert (before["samples"], before.get("deduplicated")) == (2, None)
    # A slow worker writes the gate state of the first one only now.
    args = [series, json.loads(kept)["capture_ms"], kept, 300]
    run_script(process.redis, "keep_gate", keys=[gate_key("s")], args=args)
    moderate_segment(process, "s", third)
    counts = stream_status(process.redis, "s")["counts"]
    assert (counts["samples"], counts["deduplicated"]) == (3, 1)


def test_a_known_picture_is_escalated_once(process: WorkerProcess, origin: LiveOrigin):
    """A message delivered twice would lose or double an escalation."""
    origin.add("0.ts", segment_bytes(card=False))
    origin.add("1.ts", segment_bytes(card=True))
    for key in admit(process, origin) * 2:
        moderate_segment(process, "s", key)
    events = [json.loads(fields["event"]) for _, fields in process.redis.xrange(DRILLS)]
    assert [event["type"] for event in events] == ["livewarden.escalation.raised.v1"]
    assert events[0]["data"]["matches"][0]["list"] == "selftest"
    assert events[0]["data"]["drill"] is True
    assert events[0]["data"]["principles"] == [1, 5]
    record = stream_status(process.redis, "s")
    check_equation(record)
    assert record["moderated_seconds"] == 2 * SEGMENT_SECONDS
    assert record["pending_seconds"] == 0
    assert record["counts"]["segments"] == 2
    assert set(record["last_scores"]) == {"open-nsfw/nsfw", "open-nsfw/sfw", "testcard/card"}


def test_an_escalation_carries_segment_and_stream_data_without_tokens(process: WorkerProcess, origin: LiveOrigin):
    """A platform could not find the segment in its recordings, or events and logs would contain its tokens."""
    origin.add("8.ts", segment_bytes(card=False))
    origin.media_sequence = 7
    origin.add("9.ts", segment_bytes(card=True))
    origin.playlist = origin.playlist_text().replace(b".ts", b".ts?token=s3cret")
    admit(process, origin)
    watch(process.redis, register("s", origin.url, purpose="drill", risk_prior=0.25, url_template="", legal_basis=""))
    report_signals(process.redis, "s", {"viewer-reports": 3.0})
    for key in process.redis.hkeys("lw:pending:s"):
        moderate_segment(process, "s", key)
    ((_, fields),) = process.redis.xrange(DRILLS)
    data = json.loads(fields["event"])["data"]
    assert data["segment"] == {"uri": f"http://{origin.host}/live/9.ts", "media_sequence": 8}
    assert distance(data["sample"]["pdq"], hash_rgb(card_picture(320, 180)).hex) <= 10
    known = {"source": "livewarden", "category": "test card", "max_distance": 31}
    assert known.items() <= data["matches"][0].items()
    assert (data["risk_prior"], data["signals"], data["stream_state"]) == (0.25, {"viewer-reports": 3.0}, "live")
    assert data["condition"]["when"] == process.policy.rule(data["rule"]).when
    assert data["earlier_decisions"] == []
    assert "s3cret" not in fields["event"]


def distance(one: str, other: str) -> int:
    """Hamming distance of two hashes in hex."""
    return (int(one, 16) ^ int(other, 16)).bit_count()


def test_fragmented_mp4_is_moderated_with_its_initialisation_section(process: WorkerProcess, origin: LiveOrigin):
    """Low-latency and CMAF origins serve fMP4: without the bytes of EXT-X-MAP no picture can be decoded."""
    init, segment = fragmented_mp4(card=True)
    origin.bodies["/live/init.mp4"] = init
    origin.add("0.m4s", segment)
    origin.extra["0.m4s"] = '#EXT-X-MAP:URI="init.mp4"\n#EXT-X-DISCONTINUITY'
    for key in admit(process, origin):
        moderate_segment(process, "s", key)
    assert process.redis.xlen(DRILLS) == 1
    assert stream_status(process.redis, "s")["moderated_seconds"] == SEGMENT_SECONDS


@pytest.mark.parametrize("container", ["mpegts", "mp4"])
def test_segments_that_share_a_file_are_moderated_separately(
    process: WorkerProcess, origin: LiveOrigin, container: str
):
    """The findings of one segment would appear in all of them, or an fMP4 in one file could not be decoded."""
    head = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-TARGETDURATION:2"]
    if container == "mp4":
        init, first = fragmented_mp4(card=False)
        same_init, second = fragmented_mp4(card=True)
        assert init == same_init
        head.append(f'#EXT-X-MAP:URI="all.bin",BYTERANGE="{len(init)}@0"')
    else:
        init, first, second = b"", segment_bytes(card=False), segment_bytes(card=True)
    origin.bodies["/live/all.bin"] = init + first + second
    head += ["#EXTINF:2,", f"#EXT-X-BYTERANGE:{len(first)}@{len(init)}", "all.bin"]
    head += ["#EXTINF:2,", f"#EXT-X-BYTERANGE:{len(second)}", "all.bin", ""]
    origin.playlist = "\n".join(head).encode()
    keys = admit(process, origin)
    for key, found in zip(keys, (0, 1), strict=True):
        moderate_segment(process, "s", key)
        assert process.redis.xlen(DRILLS) == found
    assert stream_status(process.redis, "s")["moderated_seconds"] == 2 * SEGMENT_SECONDS


def test_a_suspended_model_is_used_again_when_its_time_is_over(process: WorkerProcess, origin: LiveOrigin):
    """One bad minute would end a model's work for good, or each of its stuck runs would end a worker."""
    run = StuckRun(model="open-nsfw", version="1", sha256="5a" * 32, limit_seconds=1.0, on_trial=False)
    leave_out(process.redis, run)
    assert 0 < process.redis.ttl("lw:stuck:open-nsfw") <= STUCK_SECONDS
    for name in ("0.ts", "1.ts"):
        origin.add(name, segment_bytes(card=True))
        for key in admit(process, origin):
            moderate_segment(process, "s", key)
        record = stream_status(process.redis, "s")
        if name == "0.ts":
            assert record["degraded"] == ["model-stuck:open-nsfw"]
            assert record["reasons"] == {"failed: classifier_failed": SEGMENT_SECONDS}
            assert set(record["last_scores"]) == {"testcard/card"}
            assert process.redis.xlen(DRILLS) == 1
        process.redis.delete("lw:stuck:open-nsfw")  # as its expiry does
    check_equation(record)
    assert record["degraded"] == []
    assert record["moderated_seconds"] == SEGMENT_SECONDS


def test_the_test_card_has_no_effect_on_a_live_stream(process: WorkerProcess, origin: LiveOrigin):
    """A broadcaster could evade moderation, or call moderators, by showing the test card."""
    origin.add("0.ts", segment_bytes(card=True))
    for key in admit(process, origin, purpose="live"):
        moderate_segment(process, "s", key)
    assert process.redis.xlen(DRILLS) == 0
    assert stream_status(process.redis, "s")["moderated_seconds"] == SEGMENT_SECONDS


def test_a_canary_calls_nobody(process: WorkerProcess, origin: LiveOrigin):
    """The continuous self-check would fill the moderators' queue."""
    origin.add("0.ts", segment_bytes(card=True))
    for key in admit(process, origin, purpose="canary"):
        moderate_segment(process, "s", key)
    assert process.redis.xlen(DRILLS) == 0
    assert process.redis.xlen("lw:operations") == 1


def test_a_segment_with_an_old_capture_time_is_still_escalated(process: WorkerProcess, origin: LiveOrigin):
    """A broadcaster who backdates captures by hours would have them all covered by one decision."""
    origin.add("0.ts", segment_bytes(card=True))
    for key in admit(process, origin):
        moderate_segment(process, "s", key)
    taken = take(process.redis, "ann")
    assert taken is not None
    decide_incident(process.redis, taken.incident_id, "harmless", by="ann", note="seen", deployment="test")
    # As if the decision had been made ten minutes ago.
    state = json.loads(process.redis.hget("lw:incidents:s", "rule:drill:selftest") or "")
    state["decided"]["quiet_until_ms"] -= 600_000
    process.redis.hset("lw:incidents:s", "rule:drill:selftest", json.dumps(state))
    origin.add("1.ts", segment_bytes(card=True))
    (key,) = admit(process, origin)
    record = json.loads(process.redis.hget(pending_key("s"), key) or "")
    process.redis.hset(pending_key("s"), key, json.dumps(record | {"capture_ms": record["capture_ms"] - 3_600_000}))
    moderate_segment(process, "s", key)
    raised = [json.loads(fields["event"]) for _, fields in process.redis.xrange(DRILLS)]
    assert [event["type"].split(".")[2] for event in raised] == ["raised", "closed", "raised"]


def test_a_late_segment_keeps_the_purpose_of_its_watch(process: WorkerProcess, origin: LiveOrigin):
    """A canary's last segment would call moderators once its stream is live, or a live one's would call nobody once the
    stream is a drill."""
    origin.add("0.ts", segment_bytes(card=True))
    canary = admit(process, origin, purpose="canary")
    live = admit(process, origin, purpose="live")
    drill = admit(process, origin, purpose="drill")
    assert len({*canary, *live, *drill}) == 3
    for key in (*canary, *live):
        moderate_segment(process, "s", key)
    assert process.redis.xlen(DRILLS) == 0
    raised = [json.loads(fields["event"]) for _, fields in process.redis.xrange("lw:operations")]
    assert [event["data"]["purpose"] for event in raised if "escalation" in event["type"]] == ["canary"]
    for key in drill:
        moderate_segment(process, "s", key)
    (event,) = (json.loads(fields["event"]) for _, fields in process.redis.xrange(DRILLS))
    generation = stream_status(process.redis, "s")["generation"]
    assert (event["data"]["purpose"], event["data"]["generation"]) == ("drill", generation)


def test_a_pending_segment_of_an_older_version_has_the_streams_purpose(process: WorkerProcess, origin: LiveOrigin):
    """Segments pending during an upgrade would be lost, or be moderated for another purpose."""
    origin.add("0.ts", segment_bytes(card=True))
    (key,) = admit(process, origin, purpose="drill")
    record = json.loads(str(process.redis.hget(pending_key("s"), key)))
    assert record.pop("purpose") == "drill"
    process.redis.hset(pending_key("s"), key, json.dumps(record))
    moderate_segment(process, "s", key)
    assert process.redis.xlen(DRILLS) == 1


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty"),
        (b"<html>not found</html>" * 40, "unsupported_container"),
        (bytes(range(256)) * 100, "unsupported_container"),
        (segment_bytes(card=False)[: 188 * 3], "truncated"),
    ],
)
def test_an_unmoderated_segment_is_accounted_with_its_reason(
    process: WorkerProcess, origin: LiveOrigin, body: bytes, reason: str
):
    """A segment that could not be moderated would look harmless."""
    origin.add("0.ts", body)
    for key in admit(process, origin):
        moderate_segment(process, "s", key)
    record = stream_status(process.redis, "s")
    check_equation(record)
    assert record["failed_seconds"] == SEGMENT_SECONDS
    ((shown, _),) = record["reasons"].items()
    assert shown.startswith("failed: ")
    assert shown == f"failed: {reason}" or reason == "truncated"


def test_another_rendition_is_used_where_the_chosen_one_has_no_pictures(process: WorkerProcess, origin: LiveOrigin):
    """A stream whose master playlist begins with audio, or with a dead rendition, would never be watched."""
    origin.bodies["/live/master.m3u8"] = (
        b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nsound.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=2\ngone.m3u8\n"
        b"#EXT-X-STREAM-INF:BANDWIDTH=2\nindex.m3u8\n"
    )
    head = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n"
    origin.bodies["/live/sound.m3u8"] = f"{head}#EXTINF:2,\nsound-0.ts\n".encode()
    origin.bodies["/live/sound-0.ts"] = audio("mpegts")
    origin.add("0.ts", segment_bytes(card=True))
    keys: list[str] = []
    url = origin.url.replace("index", "master")
    watch(process.redis, register("s", url, purpose="drill", url_template="", legal_basis=""))

    def poll() -> str:
        process.redis.zadd(DUE, {"s": 0}, xx=True)
        poll_due(process.redis, process.fetcher, height_pixels=360, send=lambda _, key, __: keys.append(key))
        for key in keys:
            moderate_segment(process, "s", key)
        return stream_status(process.redis, "s")["rendition"]

    assert poll() == "1bps"
    assert set(stream_status(process.redis, "s")["reasons"]) <= {"failed: audio_only", "failed: no_video"}
    poll()
    assert stream_status(process.redis, "s")["reason"] == "http_404"
    origin.add("1.ts", segment_bytes(card=True))
    assert poll() == "2bps~2"
    assert process.redis.xlen(DRILLS) == 1
    record = stream_status(process.redis, "s")
    check_equation(record)
    assert record["moderated_seconds"] == record["failed_seconds"] == SEGMENT_SECONDS
    for name in ("2.ts", "3.ts"):
        origin.add(name, segment_bytes(card=True))
        assert poll() == "2bps~2", "what has pictures is kept"
    assert origin.requests.count("GET /live/master.m3u8") == 3
    # Its pictures end, and the others were tried long ago.
    process.redis.hset("lw:stream:s", "tried", json.dumps({"1bps": 1, "2bps": 2}))
    origin.add("4.ts", audio("mpegts"))
    poll()
    assert poll() == "1bps"


def test_an_encrypted_segment_is_accounted_without_a_request(process: WorkerProcess, origin: LiveOrigin):
    """An encrypted stream would evade moderation without a trace in the ledger."""
    origin.add("0.ts", b"x")
    origin.extra["0.ts"] = '#EXT-X-KEY:METHOD=AES-128,URI="key"'
    for key in admit(process, origin):
        moderate_segment(process, "s", key)
    assert stream_status(process.redis, "s")["reasons"] == {"failed: encrypted": float(SEGMENT_SECONDS)}


def test_a_failing_origin_is_retried_and_then_leaves_a_gap(process: WorkerProcess, origin: LiveOrigin):
    """One refused connection would cost a segment; or a dead origin would occupy a worker without end."""
    origin.add("0.ts", segment_bytes(card=True))
    (key,) = admit(process, origin)
    origin.status["/live/0.ts"] = 503
    moderate_segment(process, "s", key)
    assert stream_status(process.redis, "s")["pending_seconds"] == SEGMENT_SECONDS
    origin.status.clear()
    moderate_segment(process, "s", key)
    assert process.redis.xlen(DRILLS) == 1

    origin.add("1.ts", b"x")
    origin.status["/live/1.ts"] = 503
    (key,) = admit(process, origin)
    for _ in range(len(RETRY_DELAYS_MS) + 1):
        moderate_segment(process, "s", key)
    assert stream_status(process.redis, "s")["reasons"] == {"failed: http_503": float(SEGMENT_SECONDS)}


def test_a_segment_that_an_edge_does_not_have_yet_is_requested_again(process: WorkerProcess, origin: LiveOrigin):
    """Edges list a segment before they have it: it would be given up at the first 404."""
    origin.add("0.ts", segment_bytes(card=True))
    (key,) = admit(process, origin)
    for status in (404, 410):
        origin.status["/live/0.ts"] = status
        moderate_segment(process, "s", key)
        record = stream_status(process.redis, "s")
        assert (record["pending_seconds"], record["reasons"]) == (SEGMENT_SECONDS, {})
    origin.status.clear()
    moderate_segment(process, "s", key)
    assert process.redis.xlen(DRILLS) == 1
    assert stream_status(process.redis, "s")["moderated_seconds"] == SEGMENT_SECONDS


def test_a_segment_that_the_origin_no_longer_has_is_lost(process: WorkerProcess, origin: LiveOrigin):
    """After an outage of the workers the ledger would not show which segments they were too late for."""
    origin.add("0.ts", b"x")
    (key,) = admit(process, origin)
    record = json.loads(str(process.redis.hget(pending_key("s"), key)))
    process.redis.hset(pending_key("s"), key, json.dumps(record | {"admitted_ms": 0}))
    origin.status["/live/0.ts"] = 404
    moderate_segment(process, "s", key)
    assert stream_status(process.redis, "s")["reasons"] == {"failed: lost": float(SEGMENT_SECONDS)}


def test_a_segment_that_kills_its_workers_is_closed_at_the_eighth_try(process: WorkerProcess, origin: LiveOrigin):
    """One poisonous segment would kill pool children without end."""
    origin.add("0.ts", segment_bytes(card=True))
    (key,) = admit(process, origin)
    process.redis.hset(f"lw:tries:s {key}", "begun", MAX_LOSSES - 1)
    process.redis.hset(f"lw:tries:s {key}", "leased_until_ms", 0)
    origin.status["/live/0.ts"] = 503
    moderate_segment(process, "s", key)
    assert stream_status(process.redis, "s")["pending_seconds"] == SEGMENT_SECONDS
    process.redis.hincrby(f"lw:tries:s {key}", "begun", 1)
    moderate_segment(process, "s", key)
    assert stream_status(process.redis, "s")["reasons"] == {"failed: worker_lost": float(SEGMENT_SECONDS)}


def test_a_segment_that_kills_its_decoder_is_quarantined_at_the_third_try(
    process: WorkerProcess, origin: LiveOrigin, redis_url: str
):
    """A stream made to crash the decoder would occupy workers without end, or be missing from the ledger."""
    starved = WorkerProcess(process.settings, limits=Limits(memory_bytes=0))
    origin.add("0.ts", segment_bytes(card=True))
    (key,) = admit(process, origin)
    for _ in range(2):
        moderate_segment(starved, "s", key)
        assert stream_status(process.redis, "s")["pending_seconds"] == SEGMENT_SECONDS
    moderate_segment(starved, "s", key)
    starved.close()
    record = stream_status(process.redis, "s")
    check_equation(record)
    assert record["reasons"] == {"failed: quarantined": float(SEGMENT_SECONDS)}


@pytest.mark.parametrize("is_first", [True, False])
def test_a_segment_that_takes_more_memory_than_any_may_is_tried_once(
    process: WorkerProcess, origin: LiveOrigin, is_first: bool
):
    """The same bytes would run out of it again: a hostile stream would have three decoders for each of its segments."""
    if not is_first:
        origin.add("0.ts", segment_bytes(card=False))
        for key in admit(process, origin):
            moderate_segment(process, "s", key)
    origin.add("1.ts", with_short_packets(40_000, AAC_TYPE))
    (key,) = admit(process, origin)
    moderate_segment(process, "s", key)
    record = stream_status(process.redis, "s")
    check_equation(record)
    assert record["reasons"] == {"failed: out_of_memory": float(SEGMENT_SECONDS)}


def test_a_segment_is_tried_again_where_the_machine_has_no_memory(process: WorkerProcess, origin: LiveOrigin):
    """It would be lost for what others took, though another worker, or a later try, would see it."""
    process.__dict__["_decoder"] = Decoder(program=STAND_IN)
    origin.add("0.ts", LIE + b"no memory")
    (key,) = admit(process, origin)
    for _ in range(2):
        moderate_segment(process, "s", key)
        assert stream_status(process.redis, "s")["pending_seconds"] == SEGMENT_SECONDS
    moderate_segment(process, "s", key)
    record = stream_status(process.redis, "s")
    check_equation(record)
    assert record["reasons"] == {"failed: quarantined": float(SEGMENT_SECONDS)}


def test_a_listed_hash_is_critical_on_any_stream(
    process: WorkerProcess, origin: LiveOrigin, tmp_path: Path, redis_url: str
):
    """A platform's own list, put into the folder, would not match on a live stream."""
    (tmp_path / "police.csv").write_text(f"hash,id\n{hash_rgb(card_picture(320, 180)).hex},case-7\n")
    listed = WorkerProcess(
        Settings.from_mapping(
            {
                "LIVEWARDEN_REDIS_URL": redis_url,
                "LIVEWARDEN_ALLOWED_ORIGINS": origin.host,
                "LIVEWARDEN_LISTS_DIR": str(tmp_path),
                "LIVEWARDEN_STORE_URL": str(tmp_path / "store"),
            }
        )
    )
    origin.add("0.ts", segment_bytes(card=True))
    for key in admit(listed, origin, purpose="live"):
        moderate_segment(listed, "s", key)
    listed.close()
    ((_, fields),) = process.redis.xrange(CRITICAL)
    event = json.loads(fields["event"])
    assert [(match["list"], match["entry"]) for match in event["data"]["matches"]] == [("police", "case-7")]
    assert event["data"]["drill"] is False
    assert set(event["data"]["versions"]["lists"]) == {"police", "selftest"}


def test_rules_over_windows_wait_for_earlier_segments_but_not_for_lost_ones(
    origin: LiveOrigin, process_with: Callable[[str | None], WorkerProcess]
):
    """A slow worker would change what is raised, or a lost segment would keep everything from being raised."""
    process = process_with(
        "version: '1'\nrules:\n"
        '  - {name: shown, severity: high, when: \'window.matched("selftest", "60s") >= 1\'}\n'
        '  - {name: sum, severity: high, when: \'matched("selftest") && stream.metadata.age + 1 > 5 &&'
        ' window.samples("9s") > 0\'}\n'
    )
    for name in ("0.ts", "1.ts"):
        origin.add(name, segment_bytes(card=True))
    first, second = admit(process, origin)
    process.redis.hset("lw:stream:s", "metadata", json.dumps({"age": "many"}))
    moderate_segment(process, "s", second)
    assert process.redis.xlen(DRILLS) == 0
    assert process.redis.hlen("lw:pending:s") == 1
    origin.status["/live/0.ts"] = 404
    process.redis.hset("lw:pending:s", first, _older(process.redis.hget("lw:pending:s", first)))
    moderate_segment(process, "s", first)
    events = [json.loads(fields["event"])["data"] for _, fields in process.redis.xrange(DRILLS)]
    assert [(event["rule"], event["sample"]["segment"]) for event in events] == [("shown", second)]
    (event,) = events
    record = stream_status(process.redis, "s")
    assert event["segment"] == {"uri": f"http://{origin.host}/live/1.ts", "media_sequence": 1}
    assert len(event["sample"]["pdq"]) == 64
    assert event["degraded"] == record["degraded"] == ["rule-failed:sum"]
    assert record["reasons"] == {"failed: lost": float(SEGMENT_SECONDS)}
    check_equation(record)


def _older(record: str) -> str:
    """Backdates the admission, so that edges do not lag any more."""
    return json.dumps(json.loads(record) | {"admitted_ms": 0})


def test_the_ledger_names_each_kind():
    """Operators could not distinguish skipped, failed and missed time."""
    ledger = summary({"elapsed": "9000", "moderated": "4000", "failed: lost": "2000", "missed: outage": "3000"}, 0)
    assert (ledger["failed_seconds"], ledger["missed_seconds"], ledger["skipped_seconds"]) == (2, 3, 0)
    assert ledger["reasons"] == {"failed: lost": 2.0, "missed: outage": 3.0}


def test_moderated_pictures_are_logged_once(process: WorkerProcess, origin: LiveOrigin):
    """A message delivered twice would log each picture twice, or a picture would be missing for look-backs."""
    origin.add("0.ts", segment_bytes(card=False))
    origin.add("1.ts", segment_bytes(card=True))
    for key in admit(process, origin) * 2:
        moderate_segment(process, "s", key)
    process.verdict_log.close()
    rows = [row for batch in read_log(process.settings.store_url, 0, 2**62) for row in batch.to_pylist()]
    counts = stream_status(process.redis, "s")["counts"]
    assert len(rows) == counts["samples"]
    assert {row["hits"] == ["selftest"] for row in rows} == {True, False}
    shown = next(row for row in rows if row["hits"])
    assert (shown["matches"][0]["list"], shown["purpose"], shown["segment_ms"]) == ("selftest", "drill", 2000)
    assert shown["policy_version"] == process.policy.version
    assert shown["segment_uri"] == f"http://{origin.host}/live/1.ts"
    assert "selftest" in dict(shown["list_versions"])


def test_a_segment_moderated_by_two_workers_is_logged_once(process: WorkerProcess, origin: LiveOrigin):
    """A segment whose lease expired would be in the log twice, and a replay would see another stream."""
    origin.add("0.ts", segment_bytes(card=True))
    (key,) = admit(process, origin)
    gate = origin.hold("0.ts")
    other = WorkerProcess(process.settings)
    slow = threading.Thread(target=moderate_segment, args=(other, "s", key))
    slow.start()
    try:
        assert gate.reached.wait(60)
        let_lease_pass(process, key)
        origin.gates.clear()
        moderate_segment(process, "s", key)
    finally:
        gate.opened.set()
        slow.join()
    other.verdict_log.close()
    process.verdict_log.close()
    other.close()
    rows = [row for batch in read_log(process.settings.store_url, 0, 2**62) for row in batch.to_pylist()]
    assert len(rows) == stream_status(process.redis, "s")["counts"]["samples"]


def test_a_segment_is_logged_only_when_it_is_settled(process: WorkerProcess, origin: LiveOrigin, redis_url: str):
    """The log would contain verdicts that count nowhere, and have them twice once the segment is retried."""
    refuses = True

    def refuse_settling(command: Command, send: Send) -> bytes:
        settles = command[0].upper() == b"EVALSHA" and b"lw:windows:s" in command
        return b"-MISCONF errors writing to the disk\r\n" if settles and refuses else send()

    origin.add("0.ts", segment_bytes(card=True))
    (key,) = admit(process, origin)
    with redis_between(redis_url, refuse_settling) as url:
        behind = WorkerProcess(process.settings.model_copy(update={"redis_url": SecretStr(url)}))
        with pytest.raises(StoreError):
            moderate_segment(behind, "s", key)
        behind.verdict_log.flush()
        assert list(read_log(process.settings.store_url, 0, 2**62)) == []
        assert stream_status(process.redis, "s")["pending_seconds"] == SEGMENT_SECONDS
        refuses = False
        let_lease_pass(process, key)
        moderate_segment(behind, "s", key)
        behind.close()
    rows = [row for batch in read_log(process.settings.store_url, 0, 2**62) for row in batch.to_pylist()]
    assert len(rows) == stream_status(process.redis, "s")["counts"]["samples"]


def test_an_unseen_segment_is_logged_with_its_reason(process: WorkerProcess, origin: LiveOrigin):
    """A reader of the log would take an unseen stretch for one without findings."""
    origin.add("0.ts", b"no segment")
    (key,) = admit(process, origin)
    moderate_segment(process, "s", key)
    process.verdict_log.close()
    (row,) = [row for batch in read_log(process.settings.store_url, 0, 2**62) for row in batch.to_pylist()]
    assert (row["stream_id"], row["segment_key"], row["reason"], row["looked_at"]) == ("s", key, None, False)
    assert row["failed_ms"] == [("unsupported_container", row["segment_ms"])]
    assert row["moderated_ms"] == 0


@pytest.mark.expected_errors("the verdict log cannot be written")
def test_a_log_that_cannot_be_written_marks_events_and_stops_nothing(
    process: WorkerProcess, origin: LiveOrigin, tmp_path: Path
):
    """A full disk would stop moderation, or moderators would not know that look-backs will miss this time."""
    (tmp_path / "store").touch()
    origin.add("0.ts", segment_bytes(card=False))
    origin.add("1.ts", segment_bytes(card=True))
    for key in admit(process, origin):
        moderate_segment(process, "s", key)
        process.verdict_log.flush()
    ((_, fields),) = process.redis.xrange(DRILLS)
    assert json.loads(fields["event"])["data"]["degraded"] == ["verdict-log-failing"]
    assert stream_status(process.redis, "s")["degraded"] == ["verdict-log-failing"]
    assert stream_status(process.redis, "s")["moderated_seconds"] == 2 * SEGMENT_SECONDS
    (tmp_path / "store").unlink()
