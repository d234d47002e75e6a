"""`livewarden scan` as a user runs it, on files and on an origin."""

import hashlib
import http.server
import threading
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from clips import RATE, card, clip, held, photo, shade
from commandline import livewarden
from media import rewritten, side_by_side
from open_gops import open_segments
from PIL import Image
from tinymodels import install, mean_model

SAMPLE_KEYS = ["type", "pts_seconds", "reason", "pdq", "pdq_quality", "matches", "scores", "deduplicated"]
SUMMARY_KEYS = [
    "type",
    "duration_seconds",
    "unmoderated_seconds",
    "unmoderated",
    "degraded",
    "frames_total",
    "frames_decoded",
    "samples",
    "max_gap_seconds",
    "cpu_seconds",
    "models",
]
FRAME = 1 / RATE
PARAMETER_SETS = (7, 8)
"""H.264's SPS and PPS."""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Keeps stderr, which tests read, free of access logs."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A VOD of three segments (benign, benign with the test card, benign), and various faulty files."""
    folder = tmp_path_factory.mktemp("vod")
    benign = clip(held(photo("coffee"), 2))
    (folder / "a.ts").write_bytes(benign)
    (folder / "b.ts").write_bytes(clip(held(photo("astronaut"), 2) + held(card(), 2)))
    (folder / "c.ts").write_bytes(clip(held(photo("chelsea"), 2)))
    (folder / "vod.m3u8").write_text(_playlist(("a.ts", 2), ("b.ts", 4), ("c.ts", 2)))
    (folder / "master.m3u8").write_text(
        "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION=64x36\ngone.m3u8\n"
        "#EXT-X-STREAM-INF:BANDWIDTH=9,RESOLUTION=640x360\nvod.m3u8\n"
    )
    (folder / "holes.m3u8").write_text(_playlist(("a.ts", 2), ("gone.ts", 4), ("c.ts", 2)))
    (folder / "clean.m3u8").write_text(_playlist(("a.ts", 2), ("c.ts", 2)))
    (folder / "page.m3u8").write_text("<!doctype html><title>Not here</title>")
    (folder / "black.ts").write_bytes(clip(held(shade(16), 3)))
    (folder / "card.mp4").write_bytes(clip(held(card(), 2), container="mp4"))
    (folder / "empty.ts").write_bytes(b"")
    (folder / "random.ts").write_bytes(bytes((index * 7919 >> 3) % 256 for index in range(20_000)))
    (folder / "cut.ts").write_bytes(benign[:600])
    return folder


def _playlist(*segments: tuple[str, float]) -> str:
    lines = [f"#EXTINF:{seconds},\n{name}" for name, seconds in segments]
    return "#EXTM3U\n#EXT-X-TARGETDURATION:4\n" + "\n".join(lines) + "\n#EXT-X-ENDLIST\n"


@pytest.fixture(scope="module")
def origin(folder: Path) -> Iterator[str]:
    """`folder` on a loopback origin."""
    handler = partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_playlist_is_scanned_on_one_timeline(folder: Path) -> None:
    """A program that reads the output could not locate the picture, or would break on an undocumented format."""
    ran = livewarden("scan", folder / "vod.m3u8", "--json")
    assert (ran.status, ran.err) == (1, "")
    assert [record["type"] for record in ran.records[-2:]] == ["finding", "summary"]
    samples, (finding,), (summary,) = ran.of_type("sample"), ran.of_type("finding"), ran.of_type("summary")
    assert list(samples[0]) == SAMPLE_KEYS
    assert list(summary) == SUMMARY_KEYS
    assert list(finding) == ["type", "rule", "severity", "pts_seconds"]
    assert 4 - FRAME <= finding["pts_seconds"] < 6
    assert summary["duration_seconds"] == pytest.approx(8, abs=3 * FRAME)
    assert summary["frames_total"] == 8 * RATE
    assert summary["samples"] == len(samples)
    instants = [0.0, *(sample["pts_seconds"] for sample in samples), summary["duration_seconds"]]
    gaps = [after - before for before, after in pairwise(instants)]
    assert min(gaps) >= 0
    assert summary["max_gap_seconds"] == pytest.approx(max(gaps), abs=1e-3)
    assert summary["unmoderated_seconds"] == 0
    shown = [sample for sample in samples if 4 <= sample["pts_seconds"] < 6]
    assert all(sample["matches"][0]["list"] == "selftest" for sample in shown)
    cpu = summary["cpu_seconds"]
    assert cpu["total"] >= sum(seconds for stage, seconds in cpu.items() if stage != "total") > 0


def test_open_gops_are_scanned_whole(tmp_path: Path) -> None:
    """A recording's pictures before each keyframe would be neither matched nor moderated."""
    segments = open_segments(carded=1)
    listed = [(f"{index}.ts", seconds) for index, seconds in enumerate((3.4, 2.0, 2.6))]
    for (name, _), segment in zip(listed, segments, strict=True):
        (tmp_path / name).write_bytes(segment.data)
    (tmp_path / "whole.m3u8").write_text(_playlist(*listed))
    ran = livewarden("scan", tmp_path / "whole.m3u8", "--json")
    (finding,), (summary,) = ran.of_type("finding"), ran.of_type("summary")
    assert 3.4 < finding["pts_seconds"] < 3.4 + segments[1].leading / RATE
    assert summary["unmoderated"] == {}
    (tmp_path / "torn.m3u8").write_text(_playlist(*listed).replace("#EXTINF:2.0", "#EXT-X-DISCONTINUITY\n#EXTINF:2.0"))
    ran = livewarden("scan", tmp_path / "torn.m3u8", "--json")
    assert ran.of_type("summary")[0]["unmoderated"] == {"leading": pytest.approx(segments[1].leading / RATE)}


def test_segments_without_parameter_sets_are_scanned_with_those_before(tmp_path: Path) -> None:
    """Of a recording by FFmpeg's HLS muxer with open GOPs nothing but the first segment would be moderated."""
    listed = [(f"{index}.ts", seconds) for index, seconds in enumerate((3.4, 2.0, 2.6))]
    for index, (name, _) in enumerate(listed):
        data = open_segments(carded=1)[index].data
        bare = rewritten(data, lambda _, units: [unit for unit in units if unit[0] & 0x1F not in PARAMETER_SETS])
        (tmp_path / name).write_bytes(bare if index else data)
    (tmp_path / "whole.m3u8").write_text(_playlist(*listed))
    ran = livewarden("scan", tmp_path / "whole.m3u8", "--json")
    assert ran.of_type("summary")[0]["unmoderated"] == {}
    assert len(ran.of_type("finding")) == 1
    (tmp_path / "torn.m3u8").write_text(_playlist(*listed).replace("#EXTINF:2.0", "#EXT-X-DISCONTINUITY\n#EXTINF:2.0"))
    ran = livewarden("scan", tmp_path / "torn.m3u8", "--json")
    assert ran.of_type("summary")[0]["unmoderated"] == {"undecodable": pytest.approx(4.6)}


def test_both_tracks_of_a_file_are_scanned(tmp_path: Path) -> None:
    """A recording could hide in a second track what was shown."""
    media = tmp_path / "two.ts"
    media.write_bytes(side_by_side(clip(held(photo("coffee"), 3)), clip(held(photo("rocket"), 2) + held(card(), 1))))
    ran = livewarden("scan", media, "--json")
    # Each scan has a secret of its own: one in four hundred has an audit of the card besides.
    (finding, *more), (summary,) = ran.of_type("finding"), ran.of_type("summary")
    assert all(2 - FRAME <= one["pts_seconds"] < 3 for one in (finding, *more))
    assert summary["unmoderated"] == {}
    assert summary["duration_seconds"] == pytest.approx(3, abs=FRAME)


def test_master_playlist_on_an_origin_named_by_hand(origin: str) -> None:
    """A user could not scan what a browser plays, or would have to allow the host in the settings first."""
    ran = livewarden("scan", f"{origin}/master.m3u8?token=s3cret", "--json")
    assert ran.status == 1
    assert ran.of_type("summary")[0]["frames_total"] == 8 * RATE
    assert "s3cret" not in ran.out + ran.err


def test_what_players_may_show_besides_is_named(folder: Path) -> None:
    """A clean scan of one rendition would pass for one of all that the stream shows."""
    named = "".join(f"#EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION={n}x{n}\nn{n}.m3u8\n" for n in range(10, 20))
    (folder / "several.m3u8").write_text(
        "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=2,RESOLUTION=640x360\nclean.m3u8\n"
        "#EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION=640x360\nclean.m3u8\n"
        '#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS="mp4a.40.2"\nsound.m3u8\n'
        f'{named}#EXT-X-MEDIA:TYPE=VIDEO,GROUP-ID="c",NAME="goal",URI="camera.m3u8"\n'
    )
    ran = livewarden("scan", folder / "several.m3u8", "--json")
    playlist = ran.records[0]
    *renditions, video = playlist["not_scanned"]
    assert (ran.status, playlist["type"], playlist["rendition"]) == (0, "playlist", "640x360~2")
    assert renditions == [f"{n}x{n}" for n in range(10, 20)]
    assert video.startswith("video-")
    assert "rendition 640x360~2 is scanned alone; the others are not: 10x10, 11x11" in ran.err
    assert ran.err.strip().endswith("17x17, 3 more")
    shown = livewarden("scan", folder / "several.m3u8", environment={"COLUMNS": "200"}).out
    assert "Rendition 640x360~2 is scanned alone; the others are not: 10x10" in shown


def test_a_playlist_alone_names_no_others(folder: Path) -> None:
    """Each scan of a file would end in a warning of nothing."""
    ran = livewarden("scan", folder / "clean.m3u8", "--json")
    assert (ran.of_type("playlist"), ran.err) == ([], "")


def test_hosts_named_by_a_playlist_are_not_allowed(folder: Path, origin: str) -> None:
    """A playlist could make the user's machine fetch from their own network."""
    (folder / "elsewhere.m3u8").write_text(_playlist((f"{origin}/a.ts", 2)))
    ran = livewarden("scan", folder / "elsewhere.m3u8", "--json")
    assert ran.status == 2
    assert "refused" in ran.message


def test_clean_media_ends_with_0(folder: Path) -> None:
    """A script that scans uploads would stop at each harmless one."""
    ran = livewarden("scan", folder / "clean.m3u8")
    assert (ran.status, ran.err) == (0, "")
    assert "No findings" in ran.out


def test_findings_are_printed_first(folder: Path) -> None:
    """For an hour of video, the findings would be below forty samples."""
    ran = livewarden("scan", folder / "card.mp4", environment={"COLUMNS": "80"})
    first, heading, finding, *rest = ran.out.splitlines()
    assert (ran.status, first, heading.split()) == (1, "Findings", ["at", "severity", "rule"])
    assert finding.split()[2:] == ["high", "selftest"]
    assert [line for line in rest if line in ("Samples", "Summary")] == ["Samples", "Summary"]
    assert max(map(len, rest)) <= 80


def test_black_media_ends_with_0_and_null_hashes(folder: Path) -> None:
    """A fade to black would make each film suspicious."""
    ran = livewarden("scan", folder / "black.ts", "--json")
    assert ran.status == 0
    assert all(sample["pdq"] is None and sample["pdq_quality"] < 50 for sample in ran.of_type("sample"))


def test_missing_segment_ends_with_2_and_is_reported(folder: Path) -> None:
    """Half a film would pass as clean."""
    ran = livewarden("scan", folder / "holes.m3u8", "--json")
    assert ran.status == 2
    assert "gone.ts" in ran.message
    (summary,) = ran.of_type("summary")
    assert summary["unmoderated_seconds"] == pytest.approx(4)
    assert summary["duration_seconds"] == pytest.approx(8, abs=2 * FRAME)
    assert summary["max_gap_seconds"] >= 4


@pytest.mark.parametrize(
    ("name", "reported"),
    [
        ("nowhere.ts", "No such file"),
        ("page.m3u8", "web page"),
        ("empty.ts", "empty"),
        ("random.ts", "expected"),
        ("cut.ts", ""),
    ],
)
def test_media_that_cannot_be_opened_is_named_in_one_line(folder: Path, name: str, reported: str) -> None:
    """A user would get a traceback, or not know which of the files is broken."""
    ran = livewarden("scan", folder / name, "--json")
    assert (ran.status, ran.out) == (2, "")
    assert str(folder / name) in ran.message
    assert reported in ran.message


@pytest.mark.parametrize("command", ["scan", "sample"])
def test_a_pipe_is_refused_as_such(folder: Path, command: str) -> None:
    """A user would read that the input is empty, although it is not."""
    piped = ("sh", "-c", 'cat "$0" | "$@"', str(folder / "a.ts"))
    ran = livewarden(command, "/dev/stdin", through=piped)
    assert (ran.status, ran.out) == (2, "")
    assert ran.message.startswith("/dev/stdin: expected a file, found a pipe")


def test_404_is_named_in_one_line_without_the_query(origin: str) -> None:
    """Signed URLs would be in logs."""
    ran = livewarden("scan", f"{origin}/gone.m3u8?token=s3cret")
    assert ran.status == 2
    assert "404" in ran.message
    assert "s3cret" not in ran.message


@pytest.fixture(scope="module")
def lists(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the list `known`, which holds the picture of `a.ts`."""
    lists = tmp_path_factory.mktemp("lists")
    hashed = livewarden("scan", folder / "a.ts", "--json").of_type("sample")[0]["pdq"]
    (lists / "known.csv").write_text(f"hash,id\n{hashed},case-7\n")
    return lists


def test_listed_picture_is_found_and_its_sheet_is_grey_and_blurred(folder: Path, lists: Path, tmp_path: Path) -> None:
    """An operator's own list would never be searched, or known material would be written to disk in the clear."""
    sheet = tmp_path / "sheet.png"
    ran = livewarden("scan", folder / "a.ts", "--json", "--lists", lists, "--contact-sheet", sheet, "--clear")
    assert ran.status == 1
    assert "--clear is refused" in ran.message
    assert _colourfulness(sheet) == 0
    assert ran.of_type("finding")[0]["rule"] == "known-material"
    assert ran.of_type("sample")[0]["matches"] == [{"list": "known", "entry": "case-7", "distance": 0}]


def test_bad_line_of_a_list_is_named(folder: Path, tmp_path: Path) -> None:
    """A list would be half in force, and its faulty line could not be found."""
    (tmp_path / "known.csv").write_text("hash\n" + "ab" * 32 + "\nnot-a-hash\n")
    ran = livewarden("scan", folder / "a.ts", "--lists", tmp_path)
    assert ran.status == 2
    assert "known.csv" in ran.message
    assert "3" in ran.message


def test_a_typo_in_the_policy_is_reported(folder: Path, tmp_path: Path) -> None:
    """A rule would silently not exist."""
    policy = tmp_path / "policy.yaml"
    policy.write_text('version: "1"\nrules:\n  - {name: a, wehn: "true", severity: review}\n')
    ran = livewarden("scan", folder / "a.ts", environment={"LIVEWARDEN_POLICY_FILE": str(policy)})
    assert ran.status == 2
    assert "policy.yaml" in ran.message
    assert "wehn" in ran.message


@pytest.mark.parametrize(
    ("text", "reported"),
    [
        (
            "rules: [{name: a, when: 'score(\"open-nsfw/nswf\") > 0.1', severity: high}]",
            "unknown score 'open-nsfw/nswf'",
        ),
        (
            "cascade: [{model: open-nsfw}, {model: age}]\nrules: [{name: a, when: 'true', severity: high}]",
            "line 2, column 31: cascade[1]: age estimates age",
        ),
    ],
)
def test_a_policy_that_workers_refuse_is_not_used(folder: Path, tmp_path: Path, text: str, reported: str) -> None:
    """A rule that can never hold would look like one that finds nothing in the clip."""
    policy = tmp_path / "policy.yaml"
    policy.write_text(f'version: "1"\n{text}\n')
    ran = livewarden("scan", folder / "a.ts", environment={"LIVEWARDEN_POLICY_FILE": str(policy)})
    assert ran.status == 2
    assert ran.message.startswith(f"{policy}: line ")
    assert reported in ran.message


def test_altered_weights_are_named(folder: Path, tmp_path: Path) -> None:
    """Scores would come from another model than the validated one."""
    weights = install(tmp_path, mean_model()).with_suffix(".onnx")
    environment = {"LIVEWARDEN_MANIFESTS_DIR": str(tmp_path)}
    weights.unlink()
    missing = livewarden("scan", folder / "a.ts", environment=environment)
    weights.write_bytes(b"altered")
    altered = livewarden("scan", folder / "a.ts", environment=environment)
    for ran in (missing, altered):
        assert ran.status == 2
        assert weights.name in ran.message
    assert "SHA-256" in altered.message


def test_a_classifier_that_fails_is_reported(folder: Path, tmp_path: Path) -> None:
    """A picture that was not classified would be taken for a clean one."""
    install(tmp_path, mean_model(), input__scale=[1.0, 1.0, 1.0])  # its scores are grey levels, not probabilities
    Image.fromarray(photo("astronaut")).save(tmp_path / "still.png")
    for media, seconds in ((tmp_path / "still.png", 0.0), (folder / "a.ts", 2.0)):
        ran = livewarden("scan", media, "--json", environment={"LIVEWARDEN_MANIFESTS_DIR": str(tmp_path)})
        assert ran.status == 2
        assert {sample["classified"] for sample in ran.of_type("sample")} == {False}
        (summary,) = ran.of_type("summary")
        assert summary["degraded"] == ["score-unusable:means"]
        assert summary["unmoderated"] == {"classifier_failed": pytest.approx(seconds, abs=FRAME)}
    shown = livewarden("scan", tmp_path / "still.png", environment={"LIVEWARDEN_MANIFESTS_DIR": str(tmp_path)})
    assert "still.png: unmoderated: classifier_failed" in shown.out
    assert "Not moderated" not in shown.out, "it says so already"


def test_unknown_profile_is_named(folder: Path) -> None:
    """A typo would scan less closely than intended."""
    ran = livewarden("scan", folder / "a.ts", "--profile", "vigilnat")
    assert ran.status == 2
    assert "vigilant" in ran.message


def test_clear_sheet_of_the_test_card(folder: Path, tmp_path: Path) -> None:
    """Nobody could check that the sheet shows what was sampled."""
    sheet = tmp_path / "sheet.png"
    ran = livewarden("scan", folder / "card.mp4", "--contact-sheet", sheet, "--clear")
    assert (ran.status, ran.err) == (1, "")
    assert _colourfulness(sheet) > 100


def _colourfulness(path: Path) -> int:
    """The largest difference of two channels inside the first thumbnail: 0 where it is grey."""
    thumb = np.asarray(Image.open(path).convert("RGB")).astype(int)[50:160, 30:230]
    return int((thumb.max(axis=2) - thumb.min(axis=2)).max())


@pytest.mark.parametrize("kind", ["md5", "sha1", "sha256"])
def test_a_listed_file_is_found_by_its_digest_although_it_is_no_video(tmp_path: Path, kind: str) -> None:
    """Sources list most files by MD5 only; an archive or an encrypted film would pass."""
    (tmp_path / "upload.bin").write_bytes(b"no video at all " * 100)
    digest = hashlib.new(kind, (tmp_path / "upload.bin").read_bytes(), usedforsecurity=False).hexdigest()
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "files.csv").write_text(f"hash,id,kind\n{digest},file-7,{kind}\n")
    ran = livewarden("scan", tmp_path / "upload.bin", "--json", "--lists", lists)
    assert ran.status == 1
    assert ran.of_type("file")[0]["matches"] == [{"list": "files", "entry": "file-7", "distance": 0}]
    assert ran.of_type("finding")[0]["rule"] == "known-material"
    assert "upload.bin" in ran.err  # that nothing of it could be moderated is reported as well


def test_a_film_listed_by_its_digest_is_still_classified(folder: Path, tmp_path: Path) -> None:
    """A listed file would hide its other content."""
    digest = hashlib.md5((folder / "a.ts").read_bytes(), usedforsecurity=False).hexdigest()
    (tmp_path / "files.csv").write_text(f"hash,id,kind\n{digest},file-7,md5\n")
    ran = livewarden("scan", folder / "a.ts", "--json", "--lists", tmp_path)
    assert ran.status == 1
    assert ran.of_type("sample")
    assert "this very file" in livewarden("scan", folder / "a.ts", "--lists", tmp_path).out


def test_a_still_picture_is_scanned(tmp_path: Path) -> None:
    """Users receive pictures too, and could scan only films."""
    assert livewarden("testcard", tmp_path / "card.png").status == 0
    ran = livewarden("scan", tmp_path / "card.png", "--json")
    assert ran.status == 1
    (sample,) = ran.of_type("sample")
    assert sample["matches"][0] == {"list": "selftest", "entry": "testcard-16x9", "distance": 0}
    (tmp_path / "cut.png").write_bytes((tmp_path / "card.png").read_bytes()[:500])
    cut = livewarden("scan", tmp_path / "cut.png")
    assert (cut.status, "cut.png" in cut.message) == (2, True)


def test_the_deployed_bank_is_searched(folder: Path, redis_url: str, tmp_path: Path) -> None:
    """A user would not find in a recording what workers find on the stream; or an absent bank would go unreported."""
    environment = {"LIVEWARDEN_REDIS_URL": redis_url, "LIVEWARDEN_BANK_DIR": str(tmp_path / "bank")}
    hashed = livewarden("scan", folder / "a.ts", "--json").of_type("sample")[0]["pdq"]
    assert livewarden("bank", "create", "police", environment=environment).status == 0
    assert livewarden("bank", "add", "police", hashed, "--id", "case-7", environment=environment).status == 0
    ran = livewarden("scan", folder / "a.ts", "--json", environment=environment)
    assert ran.of_type("sample")[0]["matches"] == [{"list": "police", "entry": "case-7", "distance": 0}]
    away = environment | {"LIVEWARDEN_REDIS_URL": "redis://127.0.0.1:1/0"}
    assert "bank-unfollowed" in livewarden("scan", folder / "a.ts", "--json", environment=away).err


def test_rules_that_are_evaluated_in_order(folder: Path, tmp_path: Path) -> None:
    """The author of a rule over a window could not try it on a recording."""
    rules = (
        'version: "1"\n'
        "rules:\n"
        '  - {name: shown-for-long, severity: high, when: \'window.matched("selftest", "2s") >= 3\'}\n'
        '  - {name: never, severity: high, when: \'window.matched("selftest", "2s") > 90\'}\n'
        "  - {name: most, severity: high, when: 'matched(\"selftest\")', persistence: {hits: 2, of_samples: 3}}\n"
        "  - {name: in-full, severity: high, when: 'coverage.segment_seconds == 4.0 && matched(\"selftest\")'}\n"
    )
    (tmp_path / "policy.yaml").write_text(rules)
    ran = livewarden(
        "scan",
        folder / "vod.m3u8",
        "--json",
        "--profile",
        "vigilant",
        environment={"LIVEWARDEN_POLICY_FILE": str(tmp_path / "policy.yaml")},
    )
    found = {finding["rule"]: finding["pts_seconds"] for finding in ran.of_type("finding")}
    assert found.keys() == {"shown-for-long", "most", "in-full"}
    assert found["in-full"] == found["most"] < found["shown-for-long"]
