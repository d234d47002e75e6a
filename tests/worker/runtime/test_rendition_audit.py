"""Audits of other renditions, with real playlists, segments, models and a real Valkey."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from clips import clip, held, shade
from evidence_items import Pair, recipients_file
from hls_origin import SEGMENT_SECONDS, LiveOrigin, segment_bytes
from two_renditions import ALWAYS, MASTER, NEVER, POLICY, film, large, moderate, raised, serve, signal_of, small

from models.testcard import testcard as card_picture
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import watch
from worker.runtime.worker_process import WorkerProcess
from worker.store.redis_client import now_ms
from worker.verdictlog.reading import read_log

Process = Callable[[str | None], WorkerProcess]


def test_a_listed_picture_in_another_rendition_is_raised_with_its_place(process_with: Process, origin: LiveOrigin):
    """A broadcaster who encodes all renditions could show viewers what the watched one never does."""
    process = process_with(ALWAYS)
    serve(origin, {"low": [small("astronaut")], "high": [large("card")]})
    record = moderate(process, origin)
    (event,) = raised(process)
    assert event["matches"][0]["list"] == "selftest"
    assert event["segment"] == {
        "media_sequence": 0,
        "uri": f"http://{origin.host}/live/high/0.ts",
        "rendition": "1280x720",
    }
    assert ".0.640x360.0." in event["sample"]["segment"], "its segment is the watched one"
    assert record["counts"]["rendition_audits"] == 1
    assert (record["elapsed_seconds"], record["moderated_seconds"]) == (SEGMENT_SECONDS, SEGMENT_SECONDS)
    process.verdict_log.close()
    rows = [row for batch in read_log(process.settings.store_url, 0, 2**62) for row in batch.to_pylist()]
    places = {row["segment_uri"] for row in rows}
    assert places == {f"http://{origin.host}/live/{name}/0.ts" for name in ("low", "high")}


def test_a_rule_that_is_judged_in_order_names_the_other_rendition_too(process_with: Process, origin: LiveOrigin):
    """Of rules with windows, or of N of M samples, the event would say that the watched segment shows the picture."""
    policy = ALWAYS.replace("severity: high}", "severity: high, persistence: {hits: 1, of_samples: 5}}")
    process = process_with(policy)
    serve(origin, {"low": [small("astronaut")], "high": [large("card")]})
    moderate(process, origin)
    assert {(event["segment"]["uri"], event["segment"]["rendition"]) for event in raised(process)} == {
        (f"http://{origin.host}/live/high/0.ts", "1280x720")
    }


def test_its_sealed_picture_names_the_other_rendition_s_segment(
    environment: dict[str, str], process_with: Process, origin: LiveOrigin, tmp_path: Path
):
    """A reviewer, or the police, would search the watched segment for a picture that it does not show."""
    environment["LIVEWARDEN_EVIDENCE_RECIPIENTS"] = str(recipients_file(tmp_path / "recipients", [Pair()]))
    environment["LIVEWARDEN_SPOOL_DIR"] = str(tmp_path / "spool")
    process = process_with(ALWAYS)
    serve(origin, {"low": [small("astronaut")], "high": [large("card")]})
    moderate(process, origin)
    (event,) = raised(process)
    kept = process.redis.hgetall(f"lw:evidence:{event['incident_id']}")
    assert kept
    assert {".0.1280x720.0." in json.loads(record)["segment"] for record in kept.values()} == {True}


def test_renditions_that_show_different_pictures_are_a_signal_of_the_stream(process_with: Process, origin: LiveOrigin):
    """Of what is on no list nobody would learn that viewers see something else."""
    process = process_with(ALWAYS)
    serve(origin, {"low": [small("astronaut")], "high": [large("coffee")]})
    record = moderate(process, origin)
    assert signal_of(record) == 1.0
    assert record["risk"]["value"] == pytest.approx(0.5, abs=0.01)


def test_renditions_that_show_the_same_are_none(process_with: Process, origin: LiveOrigin):
    """Every stream would seem to hide something."""
    process = process_with(ALWAYS)
    for name in ("astronaut", "coffee", "camera"):
        serve(origin, {"low": [small(name)], "high": [large(name)]})
        record = moderate(process, origin, name)
        assert record["counts"]["rendition_audits"] == 1
        assert signal_of(record) == 0.0


def test_renditions_whose_clocks_differ_are_moderated_and_not_compared(process_with: Process, origin: LiveOrigin):
    """Encoders that were started one after the other show the same at other times: no sign of anything."""
    process = process_with(ALWAYS)
    serve(origin, {"low": [small("astronaut")], "high": [large("coffee", late_seconds=3.0)]})
    record = moderate(process, origin)
    assert record["counts"]["rendition_audits"] == 1
    assert signal_of(record) == 0.0


@pytest.mark.parametrize(
    ("low", "high"),
    [
        # One at 30 a second shows the new picture 17 ms after one at 60 a second.
        ({"rate": 30}, {"rate": 60}),
        # Each muxer adds the delay of its own B-frames to the clock.
        ({"rate": 60}, {"rate": 60, "late_pictures": 1}),
        ({"rate": 50, "late_pictures": 1}, {"rate": 50}),
        # Encoders that were started one after the other.
        ({"rate": 25}, {"rate": 25, "late_pictures": 13}),
    ],
    ids=["30 and 60", "a picture late", "a picture early", "half a second late"],
)
def test_renditions_that_cut_a_moment_apart_show_the_same(
    process_with: Process, origin: LiveOrigin, low: dict[str, int], high: dict[str, int]
):
    """Samples are taken at cuts: nearly every stream of films, games or music would seem to hide something."""
    process = process_with(ALWAYS)
    names, cuts, size = ("astronaut", "coffee", "rocket", "chelsea"), (0.31, 0.81, 1.41), {"width": 320, "height": 180}
    for number in range(3):
        cuts = tuple(cut + number / 240 for cut in cuts)
        serve(
            origin, {"low": [film(names, cuts=cuts, **size, **low)], "high": [film(names, cuts=cuts, **size, **high)]}
        )
        record = moderate(process, origin, f"s{number}")
        assert record["counts"]["rendition_audits"] == 1
        assert signal_of(record) == 0.0


def test_renditions_that_show_something_else_between_cuts_are_a_signal(process_with: Process, origin: LiveOrigin):
    """What is shown for a second in one of them alone would be taken for a cut that is a picture apart."""
    process = process_with(ALWAYS)
    names = ("astronaut", "coffee", "astronaut")
    serve(origin, {"low": [small("astronaut")], "high": [film(names, cuts=(0.0, 1.6), rate=25)]})
    assert signal_of(moderate(process, origin)) == 1.0


CAMERA_MASTER = b"""#EXTM3U
#EXT-X-MEDIA:TYPE=VIDEO,GROUP-ID="cameras",NAME="main",DEFAULT=YES
#EXT-X-MEDIA:TYPE=VIDEO,GROUP-ID="cameras",NAME="goal",URI="camera/index.m3u8?token=s3cret"
#EXT-X-STREAM-INF:BANDWIDTH=500000,RESOLUTION=640x360,VIDEO="cameras"
low/index.m3u8
"""


def test_a_listed_picture_in_an_other_video_is_raised_with_its_place(process_with: Process, origin: LiveOrigin):
    """AVPlayer shows it in place of the stream's own pictures, to whoever chooses it."""
    process = process_with(ALWAYS)
    serve(origin, {"low": [small("astronaut")], "camera": [large("card")]}, master=CAMERA_MASTER)
    record = moderate(process, origin)
    (event,) = raised(process)
    assert event["matches"][0]["list"] == "selftest"
    assert event["segment"]["uri"] == f"http://{origin.host}/live/camera/0.ts"
    assert event["segment"]["rendition"].startswith("video-")
    assert (record["counts"]["rendition_audits"], record["counts"]["other_videos"]) == (1, 1)
    assert (record["elapsed_seconds"], record["moderated_seconds"]) == (SEGMENT_SECONDS, SEGMENT_SECONDS)


def test_another_camera_is_no_rendition_that_differs(process_with: Process, origin: LiveOrigin):
    """Each stream of several cameras would seem to hide something."""
    process = process_with(ALWAYS)
    serve(origin, {"low": [small("astronaut")], "camera": [large("coffee")]}, master=CAMERA_MASTER)
    record = moderate(process, origin)
    assert record["counts"]["rendition_audits"] == 1
    assert signal_of(record) == 0.0


def test_renditions_of_another_shape_are_moderated_and_not_compared(process_with: Process, origin: LiveOrigin):
    """With bars above and below, the same picture is as far from itself as from any other."""
    process = process_with(ALWAYS)
    serve(origin, {"low": [small("astronaut")], "high": [film(("coffee",), rate=25, width=640, height=480)]})
    record = moderate(process, origin)
    assert record["counts"]["rendition_audits"] == 1
    assert signal_of(record) == 0.0


def test_a_stream_whose_renditions_differed_is_audited_more_often(process_with: Process, origin: LiveOrigin):
    """Of what was found by chance once the next would be found by chance again."""
    # Without the signal one segment in 50 is drawn.
    process = process_with(POLICY.replace("PER_MINUTE", "3.5"))
    serve(origin, {"low": [small("astronaut")], "high": [large("coffee")]})
    watch(process.redis, register("s", origin.url, purpose="drill", url_template="", legal_basis=""))
    process.redis.hset("lw:risk:s", "signal: drill renditions-differ", f"1.0000 {now_ms(process.redis)}")
    assert moderate(process, origin)["counts"].get("rendition_audits") == 1


def test_a_broadcaster_who_lists_his_segments_as_short_has_no_fewer_audits(process_with: Process, origin: LiveOrigin):
    """By EXTINF, which he writes, a hundredth of his segments would be drawn."""
    process = process_with(ALWAYS)
    serve(origin, {"low": [small("astronaut")], "high": [large("card")]}, extinf_seconds=0.02)
    assert moderate(process, origin)["counts"].get("rendition_audits") == 1


def test_the_watched_playlist_under_another_name_is_no_other_rendition(process_with: Process, origin: LiveOrigin):
    """Audits would be spent on what is seen anyway, as often as the broadcaster lists it."""
    process = process_with(ALWAYS)
    again = b"".join(
        b"#EXT-X-STREAM-INF:BANDWIDTH=%d,RESOLUTION=640x360\nlow/index.m3u8\n" % (600_000 + number)
        for number in range(50)
    )
    serve(origin, {"low": [small("astronaut")], "high": [large("card")]}, master=MASTER + again)
    assert moderate(process, origin)["counts"].get("rendition_audits") == 1
    assert len(raised(process)) == 1


def test_the_stream_s_last_picture_is_one_of_the_watched_rendition(process_with: Process, origin: LiveOrigin):
    """`livewarden streams` would call a stream blank, or scored, for what it does not show where it is watched."""
    process = process_with(ALWAYS)
    serve(origin, {"low": [small("astronaut")], "high": [clip(held(shade(120), SEGMENT_SECONDS + 1))]})
    record = moderate(process, origin)
    assert record["counts"]["rendition_audits"] == 1
    assert process.redis.hget("lw:stream:s", "still") == ""


def test_a_profile_without_audits_fetches_one_rendition(process_with: Process, origin: LiveOrigin):
    """An operator who has turned audits off would pay for them."""
    serve(origin, {"low": [small("astronaut")], "high": [large("card")]})
    record = moderate(process_with(NEVER), origin)
    assert not any("high" in request for request in origin.requests)
    assert "rendition_audits" not in record["counts"]


def test_a_stream_of_one_playlist_has_no_audits(process_with: Process, origin: LiveOrigin):
    """Its only playlist would be fetched again and again, or each be counted as a failure."""
    origin.add("0.ts", segment_bytes(card=False))
    record = moderate(process_with(ALWAYS), origin)
    assert record["moderated_seconds"] == SEGMENT_SECONDS
    assert not {"rendition_audits", "rendition_audits_failed"} & set(record["counts"])
    assert origin.requests.count("GET /live/index.m3u8") == 1


def test_what_was_found_is_published_before_another_rendition_is_looked_at(process_with: Process, origin: LiveOrigin):
    """An escalation would wait for the fetches of an audit."""
    process = process_with(ALWAYS)
    serve(origin, {"low": [clip(held(card_picture(640, 360), SEGMENT_SECONDS))], "high": [large("coffee")]})
    moderate(process, origin)
    assert len(raised(process)) == 1
    assert not any("high" in request for request in origin.requests)


def test_an_audit_that_fails_is_counted_and_costs_the_segment_nothing(process_with: Process, origin: LiveOrigin):
    """Whoever breaks the other renditions would have the watched one go unmoderated, or nobody would know."""
    process = process_with(ALWAYS)
    high = [large("coffee")]
    broken: dict[str, tuple[list[bytes] | None, str]] = {
        "no-playlist": (None, ""),
        "no-video": ([b"no video at all" * 100], ""),
        "nothing-listed": ([], ""),
        "encrypted": (high, '#EXT-X-KEY:METHOD=AES-128,URI="key"'),
        "no-init-section": (high, '#EXT-X-MAP:URI="nowhere.mp4"'),
    }
    for name, (segments, lines) in broken.items():
        others = {} if segments is None else {"high": segments}
        serve(origin, {"low": [small("astronaut")], **others}, lines=lines)
        record = moderate(process, origin, name)
        assert record["counts"].get("rendition_audits_failed") == 1, name
        assert "rendition_audits" not in record["counts"], name
        assert record["moderated_seconds"] == SEGMENT_SECONDS, name
        assert record["counts"]["samples"] >= 1, name


def test_videos_that_are_listed_and_not_served_take_no_audits_from_renditions(
    process_with: Process, origin: LiveOrigin
):
    """A broadcaster would halve the audits of his renditions by the name of a camera that he does not have."""
    process = process_with(ALWAYS)
    cameras = b"".join(
        b'#EXT-X-MEDIA:TYPE=VIDEO,GROUP-ID="c",NAME="%b",URI="%b.m3u8"\n' % (2 * (name,)) for name in (b"a", b"b")
    )
    serve(origin, {"low": [small("astronaut")], "high": [large("coffee")]}, master=MASTER + cameras)
    counts = [moderate(process, origin, f"camera-{number}")["counts"] for number in range(8)]
    assert [one["rendition_audits"] for one in counts] == [1] * 8
    assert max(one.get("rendition_audits_failed", 0) for one in counts) <= 2
