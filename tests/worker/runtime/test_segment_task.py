"""One segment's way through the real pipeline, real models and a real Valkey."""

import json
import threading
from pathlib import Path

import pytest
from clips import clip, held, photo
from hls_origin import SEGMENT_SECONDS, LiveOrigin, fragmented_mp4, segment_bytes
from hostile_media import audio
from pydantic import SecretStr
from redis import Redis
from redis_between import Command, Send, redis_between

from config.settings import Settings
from models.classifiers.classifier import StuckRun
from models.pdq.pdq import hash_rgb
from models.testcard import testcard as card_picture
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
from worker.runtime.worker_process import SEED, WorkerProcess
from worker.store.redis_client import now_ms, run_script
from worker.verdictlog.reading import read_log

CRITICAL = "lw:escalations:critical"
DRILLS = "lw:escalations:high"
"""Where the default policy has the test card's incidents."""


def admit(process: WorkerProcess, origin: LiveOrigin, purpose: str = "drill") -> list[str]:
    """Registers the stream and polls it; gives the keys of what is new, in the order of the stream."""
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


def test_a_segment_that_ends_late_does_not_set_back_how_far_its_stream_is_seen(
    process: WorkerProcess, origin: LiveOrigin
):
    """Segments end in any order: operators would see lag where there is none."""
    for index in range(2):
        origin.add(f"{index}.ts", segment_bytes(card=False))
    earlier, later = admit(process, origin)
    moderate_segment(process, "s", later)
    seen_until_ms = process.redis.hget("lw:stream:s", "settled_until_ms")
    moderate_segment(process, "s", earlier)
    assert process.redis.hget("lw:stream:s", "settled_until_ms") == seen_until_ms


def test_an_hour_that_a_segment_claims_hides_no_lag(process: WorkerProcess, origin: LiveOrigin):
    """A broadcaster who says that each segment lasts an hour would have a lag of 0 while his stream goes unseen."""
    for name in ("0.ts", "1.ts"):
        origin.add(name, segment_bytes(card=False))
        origin.playlist = origin.playlist_text().replace(b"DURATION:2", b"DURATION:3600").replace(b":2.000,", b":3600,")
        for key in admit(process, origin):
            moderate_segment(process, "s", key)
    record = stream_status(process.redis, "s")
    check_equation(record)
    assert int(process.redis.hget("lw:stream:s", "settled_until_ms") or 0) <= now_ms(process.redis)


@pytest.mark.parametrize(("says", "short"), [("0.1", 1), ("2.0", None)])
def test_a_segment_that_says_it_is_shorter_is_counted(
    process: WorkerProcess, origin: LiveOrigin, says: str, short: int
):
    """A ledger with seconds of a broadcast of hours would look like a short broadcast, wholly seen."""
    origin.add("0.ts", segment_bytes(card=False))
    origin.playlist = origin.playlist_text().replace(b":2.000,", f":{says},".encode())
    (key,) = admit(process, origin)
    moderate_segment(process, "s", key)
    record = stream_status(process.redis, "s")
    check_equation(record)
    assert record["counts"].get("short_extinf") == short


def test_what_a_late_segment_classified_does_not_take_the_place_of_what_a_later_one_did(
    process: WorkerProcess, origin: LiveOrigin
):
    """The scores that count for a still scene would be those of another one that was over before it."""
    for name, scene in (("0.ts", "coffee"), ("1.ts", "astronaut"), ("2.ts", "astronaut")):
        origin.add(name, clip(held(photo(scene), SEGMENT_SECONDS)))
    first, second, third = admit(process, origin)
    moderate_segment(process, "s", first)
    ((series, kept),) = process.redis.hgetall(gate_key("s")).items()
    moderate_segment(process, "s", second)
    before = stream_status(process.redis, "s")["counts"]
    assert before["samples"] - before["deduplicated"] == 2
    # A slow worker writes what it kept of the first one only now.
    args = [series, json.loads(kept)["capture_ms"], kept, 300]
    run_script(process.redis, "keep_gate", keys=[gate_key("s")], args=args)
    moderate_segment(process, "s", third)
    counts = stream_status(process.redis, "s")["counts"]
    assert counts["samples"] > before["samples"]
    assert counts["samples"] - counts["deduplicated"] == 2


def test_a_known_picture_is_escalated_once(process: WorkerProcess, origin: LiveOrigin):
    """A message delivered twice must neither lose nor double an escalation."""
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


def test_an_escalation_leads_to_the_picture_and_to_what_is_known_of_its_stream(
    process: WorkerProcess, origin: LiveOrigin
):
    """A platform could not find the segment in its recordings, or would find its tokens in events and logs."""
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


def test_fragmented_mp4_is_seen_with_its_initialisation_section(process: WorkerProcess, origin: LiveOrigin):
    """Low-latency and CMAF origins serve fMP4; without EXT-X-MAP's bytes not one picture of it could be seen."""
    init, segment = fragmented_mp4(card=True)
    origin.bodies["/live/init.mp4"] = init
    origin.add("0.m4s", segment)
    origin.extra["0.m4s"] = '#EXT-X-MAP:URI="init.mp4"\n#EXT-X-DISCONTINUITY'
    for key in admit(process, origin):
        moderate_segment(process, "s", key)
    assert process.redis.xlen(DRILLS) == 1
    assert stream_status(process.redis, "s")["moderated_seconds"] == SEGMENT_SECONDS


@pytest.mark.parametrize("container", ["mpegts", "mp4"])
def test_segments_that_share_a_file_are_seen_each_by_itself(process: WorkerProcess, origin: LiveOrigin, container: str):
    """What one segment shows would be found in all of them, or nothing in any of an fMP4 that is one file."""
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


def test_a_model_that_is_left_out_is_asked_again_when_its_time_is_over(process: WorkerProcess, origin: LiveOrigin):
    """One bad minute of a model would end its work for good, or each of its stuck runs would take a worker."""
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


def test_the_test_card_is_nothing_to_a_live_stream(process: WorkerProcess, origin: LiveOrigin):
    """A broadcaster who shows the test card must gain nothing by it, nor call a person."""
    origin.add("0.ts", segment_bytes(card=True))
    for key in admit(process, origin, purpose="live"):
        moderate_segment(process, "s", key)
    assert process.redis.xlen(DRILLS) == 0
    assert stream_status(process.redis, "s")["moderated_seconds"] == SEGMENT_SECONDS


def test_a_canary_calls_nobody(process: WorkerProcess, origin: LiveOrigin):
    """The self-check that runs day and night must not fill the moderators' queue."""
    origin.add("0.ts", segment_bytes(card=True))
    for key in admit(process, origin, purpose="canary"):
        moderate_segment(process, "s", key)
    assert process.redis.xlen(DRILLS) == 0
    assert process.redis.xlen("lw:operations") == 1


def test_a_segment_that_claims_to_be_old_is_shown_all_the_same(process: WorkerProcess, origin: LiveOrigin):
    """A broadcaster who lets his capture time lie hours back would be decided on once and for all."""
    origin.add("0.ts", segment_bytes(card=True))
    for key in admit(process, origin):
        moderate_segment(process, "s", key)
    taken = take(process.redis, "ann")
    assert taken is not None
    decide_incident(process.redis, taken.incident_id, "harmless", by="ann", note="seen", deployment="test")
    # As if that had been ten minutes ago.
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
    """A canary's last segment would call moderators once its stream is watched live, or a live one's would call no one
    once it is a drill."""
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
    """Segments that were pending during an upgrade would be lost, or be moderated as something else."""
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
def test_what_cannot_be_seen_is_told(process: WorkerProcess, origin: LiveOrigin, body: bytes, reason: str):
    """A segment that could not be moderated must not read as one that was harmless."""
    origin.add("0.ts", body)
    for key in admit(process, origin):
        moderate_segment(process, "s", key)
    record = stream_status(process.redis, "s")
    check_equation(record)
    assert record["failed_seconds"] == SEGMENT_SECONDS
    ((shown, _),) = record["reasons"].items()
    assert shown.startswith("failed: ")
    assert shown == f"failed: {reason}" or reason == "truncated"


def test_another_rendition_is_watched_where_the_chosen_one_has_no_pictures(process: WorkerProcess, origin: LiveOrigin):
    """A master playlist that begins with sound, or names a dead rendition first, would never be watched."""
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


def test_an_encrypted_segment_is_told_without_asking_the_origin(process: WorkerProcess, origin: LiveOrigin):
    """A stream that encrypts evades moderation, and the ledger has to say so."""
    origin.add("0.ts", b"x")
    origin.extra["0.ts"] = '#EXT-X-KEY:METHOD=AES-128,URI="key"'
    for key in admit(process, origin):
        moderate_segment(process, "s", key)
    assert stream_status(process.redis, "s")["reasons"] == {"failed: encrypted": float(SEGMENT_SECONDS)}


def test_a_failing_origin_is_asked_again_and_then_it_is_a_gap(process: WorkerProcess, origin: LiveOrigin):
    """One refused connection must not cost a segment; a dead origin must not cost a worker without end."""
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


def test_a_segment_that_an_edge_does_not_have_yet_is_asked_for_again(process: WorkerProcess, origin: LiveOrigin):
    """Edges list a segment before they have it: what it shows would be given up at the first 404, and be lost."""
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


def test_a_segment_that_the_origin_has_no_more_is_lost(process: WorkerProcess, origin: LiveOrigin):
    """After an outage of the workers the ledger shows what they came too late for."""
    origin.add("0.ts", b"x")
    (key,) = admit(process, origin)
    record = json.loads(str(process.redis.hget(pending_key("s"), key)))
    process.redis.hset(pending_key("s"), key, json.dumps(record | {"admitted_ms": 0}))
    origin.status["/live/0.ts"] = 404
    moderate_segment(process, "s", key)
    assert stream_status(process.redis, "s")["reasons"] == {"failed: lost": float(SEGMENT_SECONDS)}


def test_a_segment_that_kills_its_workers_is_closed_at_the_eighth(process: WorkerProcess, origin: LiveOrigin):
    """One poisonous segment must not keep killing pool children without end."""
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


def test_a_segment_that_kills_its_decoder_is_quarantined_at_the_third(
    process: WorkerProcess, origin: LiveOrigin, redis_url: str
):
    """A stream made to crash the decoder costs three children, never a worker, and is in the ledger."""
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


def test_a_listed_hash_is_critical_on_any_stream(
    process: WorkerProcess, origin: LiveOrigin, tmp_path: Path, redis_url: str
):
    """The platform's own list, dropped into the folder, finds its picture on a live stream."""
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


def test_rules_over_windows_wait_for_an_earlier_segment_and_for_none_that_is_lost(
    origin: LiveOrigin, redis: Redis, redis_url: str, tmp_path: Path
):
    """What is raised would depend on which worker is slow, or nothing would be raised once a segment is lost."""
    redis.set(SEED, "s3cret")
    (tmp_path / "policy.yaml").write_text(
        "version: '1'\nrules:\n"
        '  - {name: shown, severity: high, when: \'window.matched("selftest", "60s") >= 1\'}\n'
        '  - {name: sum, severity: high, when: \'matched("selftest") && stream.metadata.age + 1 > 5 &&'
        ' window.samples("9s") > 0\'}\n'
    )
    process = WorkerProcess(
        Settings.from_mapping(
            {
                "LIVEWARDEN_REDIS_URL": redis_url,
                "LIVEWARDEN_ALLOWED_ORIGINS": origin.host,
                "LIVEWARDEN_POLICY_FILE": str(tmp_path / "policy.yaml"),
                "LIVEWARDEN_STORE_URL": str(tmp_path / "store"),
            }
        )
    )
    try:
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
        (event,) = [json.loads(fields["event"])["data"] for _, fields in process.redis.xrange(DRILLS)]
        record = stream_status(process.redis, "s")
    finally:
        process.close()
    assert (event["rule"], event["sample"]["segment"]) == ("shown", second)
    assert event["segment"] == {"uri": f"http://{origin.host}/live/1.ts", "media_sequence": 1}
    assert len(event["sample"]["pdq"]) == 64
    assert event["degraded"] == record["degraded"] == ["rule-failed:sum"]
    assert record["reasons"] == {"failed: lost": float(SEGMENT_SECONDS)}
    check_equation(record)


def _older(record: str) -> str:
    """Admitted so long ago that an origin's edges do not lag any more."""
    return json.dumps(json.loads(record) | {"admitted_ms": 0})


def test_the_ledger_names_each_kind():
    """Operators read skipped, failed and missed apart."""
    ledger = summary({"elapsed": "9000", "moderated": "4000", "failed: lost": "2000", "missed: outage": "3000"}, 0)
    assert (ledger["failed_seconds"], ledger["missed_seconds"], ledger["skipped_seconds"]) == (2, 3, 0)
    assert ledger["reasons"] == {"failed: lost": 2.0, "missed: outage": 3.0}


def test_what_was_judged_is_logged_once(process: WorkerProcess, origin: LiveOrigin):
    """A message delivered twice would log each picture twice; one that is missing could not be looked back on."""
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


def test_what_two_workers_judged_at_once_is_logged_once(process: WorkerProcess, origin: LiveOrigin):
    """A segment whose lease ran out would be in the log twice, and what is replayed would be another stream."""
    origin.add("0.ts", segment_bytes(card=True))
    (key,) = admit(process, origin)
    gate = origin.hold("0.ts")
    other = WorkerProcess(process.settings)
    slow = threading.Thread(target=moderate_segment, args=(other, "s", key))
    slow.start()
    try:
        assert gate.reached.wait(30)
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


def test_what_could_not_be_settled_is_logged_when_it_is(process: WorkerProcess, origin: LiveOrigin, redis_url: str):
    """The log would have what counts nowhere, and have it twice once the segment is tried again."""
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


def test_what_nobody_saw_is_logged_with_its_reason(process: WorkerProcess, origin: LiveOrigin):
    """A reader of the log would take an unseen stretch for one on which nothing was found."""
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
    """A full disk must not stop moderation, and moderators must know that look-backs will miss what is seen now."""
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
