"""The demo's broadcast: real time, real MPEG-TS, a real process."""

import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO

import av
import m3u8
import pytest

from worker.demo.broadcast import KEPT_SEGMENTS, WINDOW_SEGMENTS, BroadcastWindow, LiveSegment
from worker.demo.scene import Scene, shows_card


def segment(media_sequence: int) -> LiveSegment:
    return LiveSegment(media_sequence=media_sequence, starts_at=datetime.now(UTC), content=bytes(4))


def test_window_slides_and_stays_bounded() -> None:
    """A demo left running would fill the memory; or the segment of a slightly late reader would be gone."""
    window = BroadcastWindow()
    assert window.playlist() is None
    for number in range(20):
        window.add(segment(number))
    playlist = m3u8.loads(window.playlist())
    assert playlist.media_sequence == 20 - WINDOW_SEGMENTS
    assert [listed.uri for listed in playlist.segments] == [f"{n}.ts" for n in range(14, 20)]
    assert window.segment(20 - KEPT_SEGMENTS) is not None
    assert window.segment(20 - KEPT_SEGMENTS - 1) is None


def test_card_cuts_in_every_twenty_seconds() -> None:
    """The demo would show nothing to find, or nothing else."""
    on = [tenth / 10 for tenth in range(500) if shows_card(tenth / 10)]
    assert [second for second in on if not shows_card(second - 0.1)] == [6, 26, 46]
    assert len(on) == pytest.approx(90, abs=1)


def test_scene_is_no_test_card_and_moves() -> None:
    """The harmless part of the demo would raise alarms, or be taken for a frozen picture."""
    scene = Scene(320, 180)
    clock = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    first, later, card = scene.picture(0.0, clock), scene.picture(1.0, clock), scene.picture(6.0, clock)
    assert first.shape == later.shape == card.shape == (180, 320, 3)
    assert (first != later).any()
    assert abs(first.astype(int) - card).mean() > 30


@pytest.fixture(scope="module")
def origin() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running origin and its playlist's URL."""
    with subprocess.Popen(
        [sys.executable, "-m", "worker.demo.origin"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
        process.kill()


def test_a_segment_is_decodable_on_its_own(origin: tuple[subprocess.Popen[str], str]) -> None:
    """A worker that gets one segment could not decode it, or would find other GOPs than intended."""
    _, url = origin
    playlist = m3u8.loads(urllib.request.urlopen(url, timeout=10).read().decode())
    assert playlist.segments[0].uri == "0.ts"
    content = urllib.request.urlopen(url.replace("live.m3u8", "0.ts"), timeout=10).read()
    with av.open(BytesIO(content), format="mpegts") as container:
        frames = list(container.decode(video=0))
    assert len(frames) == 100
    assert [number for number, frame in enumerate(frames) if frame.key_frame] == [0, 50]
    assert (frames[0].width, frames[0].height) == (640, 360)


def test_an_unknown_path_is_404(origin: tuple[subprocess.Popen[str], str]) -> None:
    """A wrong name would crash the origin or get a body."""
    _, url = origin
    for name in ("999.ts", "-1.ts", "9999999999999.ts", "other.m3u8", "../etc/passwd"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(url.replace("live.m3u8", name), timeout=10)


def test_ends_cleanly_when_asked(origin: tuple[subprocess.Popen[str], str]) -> None:
    """Ctrl-C on the demo, or `docker stop`, would leave a broadcaster behind or print a traceback."""
    process, _ = origin
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=10)
    assert (process.returncode, output) == (0, "")
