"""The command `livewarden` and its small subcommands."""

import os
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
from clips import RATE, card, clip, held, photo
from commandline import COMMAND, SECONDS, livewarden
from media import side_by_side
from open_gops import open_segments
from PIL import Image

from models.pdq.pdq import hash_rgb

SUBCOMMANDS = ("scan", "hash", "testcard", "sample", "doctor", "demo", "streams", "queue")


def test_help_and_version() -> None:
    """A newcomer could not find out which commands exist."""
    assert all(f" {name} " in livewarden("--help").out for name in SUBCOMMANDS)
    assert livewarden("--version").out.startswith("livewarden 0.")


def test_light_commands_import_nothing_heavy() -> None:
    """A moderator would wait for decoders and models to load with each `queue next`."""
    code = (
        "import sys, worker.cli.main as m; print(*({'cv2', 'av', 'onnxruntime', 'celery', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([COMMAND.with_name("python"), "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_wrong_setting_is_one_line_with_status_2(tmp_path: Path) -> None:
    """An operator would get a traceback for a typo."""
    ran = livewarden("scan", tmp_path / "a.ts", environment={"LIVEWARDEN_DEPLOYMENT": "not a name!"})
    assert ran.status == 2
    assert "LIVEWARDEN_DEPLOYMENT" in ran.message


def test_hash_prints_good_pictures_and_names_bad_ones(tmp_path: Path) -> None:
    """One broken file among a thousand would cost the other hashes, or go unnoticed."""
    good = tmp_path / "good one.png"
    Image.fromarray(photo("astronaut", 512, 512)).save(good)
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    Image.new("1", (16_000, 16_000)).save(tmp_path / "huge.png")
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "empty.png").write_bytes(b"")
    bad = ["dot.png", "huge.png", "text.png", "empty.png", "nowhere.png"]
    ran = livewarden("hash", bad[0], good, *bad[1:], folder=tmp_path)
    expected = hash_rgb(photo("astronaut", 512, 512))
    assert ran.status == 2
    assert ran.out == f"{expected.hex} {expected.quality} {good}\n"
    messages = ran.err.splitlines()
    assert [message.split(":")[1].strip() for message in messages] == bad
    assert all("Traceback" not in message for message in messages)


def test_hash_of_a_file_name_that_is_not_utf8(tmp_path: Path) -> None:
    """Files with old names could not be hashed."""
    name = os.fsencode(tmp_path) + b"/caf\xe9.png"
    Image.fromarray(photo("coffee", 64, 64)).save(os.fsdecode(name))
    done = subprocess.run([COMMAND, "hash", name], capture_output=True, timeout=SECONDS, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.endswith(b"/caf\xe9.png\n")


def test_test_card_is_written_as_picture_and_as_video(tmp_path: Path) -> None:
    """An operator could not test the path to the moderators."""
    assert livewarden("testcard", tmp_path / "card.png").status == 0
    assert np.asarray(Image.open(tmp_path / "card.png")).shape == (720, 1280, 3)
    assert livewarden("testcard", tmp_path / "card.MP4").status == 0
    found = livewarden("scan", tmp_path / "card.MP4", "--json")
    assert found.status == 1
    assert [finding["rule"] for finding in found.of_type("finding")] == ["selftest"]


@pytest.mark.parametrize("name", ["card.gif", "card", "nowhere/card.png"])
def test_test_card_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    """A file that is no test card would be shown on a stream, and the drill would fail for no visible reason."""
    ran = livewarden("testcard", tmp_path / name)
    assert ran.status == 2
    assert str(tmp_path / name) in ran.message
    assert not (tmp_path / name).exists()


def test_sample_prints_the_executed_plan(tmp_path: Path) -> None:
    """A profile would be tuned by a plan that was not executed."""
    media = tmp_path / "a.ts"
    media.write_bytes(clip(held(photo("coffee"), 3) + held(card(), 1)))
    ran = livewarden("sample", media, "--json", "--profile", "vigilant", "--plot", tmp_path / "plot.png")
    assert (ran.status, ran.err) == (0, "")
    samples, (summary,) = ran.of_type("sample"), ran.of_type("summary")
    assert list(samples[0]) == ["type", "pts_seconds", "reason", "keyframe", "width", "height"]
    assert list(summary) == [
        "type",
        "duration_seconds",
        "unmoderated_seconds",
        "unmoderated",
        "notes",
        "frames_total",
        "frames_decoded",
        "samples",
        "max_gap_seconds",
        "cpu_seconds",
    ]
    assert list(summary["cpu_seconds"]) == ["demux", "decode", "total"]
    assert summary["frames_total"] == 4 * RATE
    assert summary["samples"] == len(samples)
    assert summary["max_gap_seconds"] <= 0.5 + 1 / RATE + 1e-6
    assert (samples[0]["pts_seconds"], samples[0]["width"], samples[0]["height"]) == (0, 640, 360)
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_sample_says_why_time_is_unmoderated(tmp_path: Path) -> None:
    """A segment that begins with leading pictures of an open GOP would look sampled from its first picture on."""
    media = tmp_path / "a.ts"
    segment = open_segments()[1]
    media.write_bytes(segment.data)
    (summary,) = livewarden("sample", media, "--json").of_type("summary")
    assert summary["unmoderated"] == {"leading": pytest.approx(segment.leading / RATE)}
    assert f"unmoderated: {segment.leading / RATE:.2f} s leading" in livewarden("sample", media).out


def test_sample_prints_what_is_odd_about_a_file(tmp_path: Path) -> None:
    """An operator who asks why a stream is unmoderated, or what its viewers may see otherwise, would not learn it."""
    media = tmp_path / "a.ts"
    clips = [clip(held(photo(name), 1)) for name in ("coffee", "astronaut", "cat")]
    media.write_bytes(side_by_side(*clips))
    (summary,) = livewarden("sample", media, "--json").of_type("summary")
    assert summary["notes"] == ["second_video_stream"]
    assert "notes: second_video_stream" in livewarden("sample", media).out


def test_sample_names_the_track_of_a_picture(tmp_path: Path) -> None:
    """Pictures of a second track would look like those of the first, taken out of order."""
    media = tmp_path / "a.ts"
    media.write_bytes(side_by_side(clip(held(photo("coffee"), 3)), clip(held(card(), 3))))
    ran = livewarden("sample", media, "--json", "--plot", tmp_path / "plot.png")
    samples, (summary,) = ran.of_type("sample"), ran.of_type("summary")
    assert {sample.get("track", 0) for sample in samples} == {0, 1}
    instants = [sample["pts_seconds"] for sample in samples]
    assert instants == sorted(instants)
    assert summary["unmoderated"] == {}
    assert summary["frames_total"] == 2 * 3 * RATE


def test_sample_of_a_file_without_video_is_one_line_with_status_2(tmp_path: Path) -> None:
    """A user would get a traceback."""
    (tmp_path / "a.ts").write_text("not a segment")
    ran = livewarden("sample", tmp_path / "a.ts", "--json")
    assert (ran.status, ran.out) == (2, "")
    assert str(tmp_path / "a.ts") in ran.message


@pytest.mark.parametrize(
    "command",
    ["hash a.png", "scan clip.ts --json", "scan clip.ts", "policy check", "models list", "--help"],
)
def test_a_closed_pipe_is_neither_a_traceback_nor_an_answer(tmp_path: Path, command: str) -> None:
    """`livewarden … | head` would end in a traceback; or its status be that of a scan that found something."""
    Image.fromarray(photo("coffee", 64, 64)).save(tmp_path / "a.png")
    (tmp_path / "clip.ts").write_bytes(clip(held(photo("coffee"), 1)))
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "wb") as gone:
        done = subprocess.run(
            [COMMAND, *command.split()],
            cwd=tmp_path,
            stdout=gone,
            stderr=subprocess.PIPE,
            timeout=SECONDS,
            check=False,
        )
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_terminal_of_another_encoding_gets_what_it_can_show() -> None:
    """A command would end in a traceback where the locale has no `≤`."""
    plain, other = (
        livewarden("models", "explain", "open-nsfw", environment={"PYTHONIOENCODING": name}, through=["env"])
        for name in ("utf-8", "ascii")
    )
    assert not plain.out.isascii()
    assert (other.status, other.err, other.out.isascii()) == (plain.status, "", True)


@pytest.mark.parametrize("pictures", [1, 2_000])
def test_a_full_disk_behind_standard_output_is_one_line(tmp_path: Path, pictures: int) -> None:
    """A list that was written to a full disk would look complete, or like a crash."""
    Image.fromarray(photo("coffee", 64, 64)).save(tmp_path / "a.png")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [COMMAND, "hash", *["a.png"] * pictures],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=SECONDS,
            check=False,
        )
    assert done.stderr == b"livewarden: standard output cannot be written: No space left on device\n"
    assert done.returncode == 2


def test_interrupt_ends_with_130_and_without_a_traceback(tmp_path: Path) -> None:
    """Ctrl-C on a long scan would look like a crash."""
    fifo = tmp_path / "never.ts"
    os.mkfifo(fifo)
    command = [COMMAND, "scan", fifo]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    # Opening for writing returns once the command has opened the pipe for reading; then it waits for bytes.
    with process, fifo.open("wb"):
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert (out, err) == ("", "")
