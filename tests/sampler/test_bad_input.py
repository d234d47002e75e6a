"""Bad and hostile input: each gets one answer with a reason, and the same decoder goes on."""

import ctypes
import os
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from random import Random

import av
import pytest
from hostile_media import (
    audio,
    bomb_png,
    init_and_fragments,
    many_pictures,
    naming_another,
    segment,
    still,
    wave_file,
)

from config.profiles import BALANCED
from sampler.child.decoder import Decoder
from sampler.demux.packet_reader import Demuxer
from sampler.demux.source import InputFile
from sampler.errors import InputError, NoVideoError, TooLargeError, TooSmallError, UndecodableError
from sampler.frames import SampledSegment, Stretch
from sampler.limits import Limits

VTT = b"WEBVTT\n\n00:00.000 --> 00:01.000\nHello\n"
PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile:///etc/hostname\n"
FFCONCAT = b"ffconcat version 1.0\nfile /etc/hostname\n"
BAD = {
    "nothing": (b"", "empty"),
    "HTML": (b"<!doctype html><html><body>404</body></html>", "unsupported_container"),
    "a playlist": (PLAYLIST, "unsupported_container"),
    "a list of files for FFmpeg": (FFCONCAT, "unsupported_container"),
    "text": (b"Forbidden\n", "unsupported_container"),
    "noise": (Random(1).randbytes(50_000), "unsupported_container"),
    "zeros": (bytes(50_000), "unsupported_container"),
    "WAV": (wave_file(), "unsupported_container"),
    "Matroska": (segment("matroska"), "unsupported_container"),
    "FLV": (segment("flv"), "unsupported_container"),
    "a picture": (bomb_png(100, 100), "unsupported_container"),
    "audio alone in TS": (audio("mpegts"), "no_video"),
    "audio alone in MP4": (audio("mp4"), "no_video"),
    "ADTS": (audio("adts"), "audio_only"),
    "MP3 behind ID3": (audio("mp3", "mp3"), "audio_only"),
    "AC-3": (audio("ac3", "ac3"), "audio_only"),
    "WebVTT": (VTT, "audio_only"),
    "WebVTT behind a byte order mark": (b"\xef\xbb\xbf" + VTT, "audio_only"),
    "45,000 frames a second in TS": (segment(rate=45_000, seconds=50 / 45_000), "implausible_rate"),
    "100,000 frames a second in MP4": (segment("mp4", rate=100_000, seconds=50 / 100_000), "implausible_rate"),
    "10,000 pictures at 100,000 a second": (many_pictures(10_000, container="mp4", rate=100_000), "implausible_rate"),
    "a codec that nobody knows": (segment("mp4").replace(b"avc1", b"zzzz"), "unsupported_codec"),
    "a codec that we leave alone": (segment("mpegts", codec="mpeg1video"), "unsupported_codec"),
    "pictures of 8×8": (segment(width=8, height=8), "too_small"),
    "a TS packet and a half": (segment()[:282], "truncated"),
    "half of a TS packet": (segment()[:94], "truncated"),
}
"""Input by name, with the reason that the ledger must show."""


def sample(decoder: Decoder, data: bytes) -> SampledSegment:
    return decoder.sample(data, profile=BALANCED, seed=b"seed")


def still_works(decoder: Decoder, pid: int | None) -> bool:
    """True if the same child samples a good segment completely."""
    seen = sample(decoder, segment(seconds=3.0))
    return len(seen.frames) >= 2 and seen.unmoderated == () and (pid is None or decoder.fork_server_pid == pid)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_segment_fails_for_its_own_reason(decoder: Decoder, name: str) -> None:
    """The coverage ledger would show operators a wrong reason, or the segment would count as moderated."""
    data, reason = BAD[name]
    pid = decoder.fork_server_pid
    with pytest.raises(InputError) as caught:
        sample(decoder, data)
    assert caught.value.reason == reason
    assert "\n" not in str(caught.value)
    assert still_works(decoder, pid)


@pytest.mark.parametrize("container", ["mpegts", "mp4"])
def test_a_truncated_segment_gives_its_pictures_or_a_reason(decoder: Decoder, container: str) -> None:
    """An interrupted download would kill the decoder, or pass for a whole segment."""
    whole = segment(container)
    assert still_works(decoder, None)
    pid = decoder.fork_server_pid
    random = Random(2)
    lengths = [*range(1, 200, 9), *range(200, 2_000, 75), *(random.randrange(2_000, len(whole)) for _ in range(40))]
    counts = []
    for length in sorted(lengths):
        try:
            counts.append(sample(decoder, whole[:length]).frames_total)
        except InputError:
            counts.append(0)
    assert counts == sorted(counts)
    assert counts[0] == 0
    assert 0 < counts[-1] <= 50
    assert still_works(decoder, pid)


TS_TABLES = segment()[: 3 * 188]
ERROR_PAGE = b"<!doctype html><html><head><title>404 Not Found</title></head></html>" * 20
BAD_PAIRS = {
    "an error page for a fragment": (init_and_fragments(segment("mp4"))[0], ERROR_PAGE, "unsupported_container"),
    "text for a fragment": (init_and_fragments(segment("mp4"))[0], b"Forbidden\n", "unsupported_container"),
    "an error page for an init section": (ERROR_PAGE, init_and_fragments(segment("mp4"))[1], "unsupported_container"),
    "an error page behind tables of TS": (TS_TABLES, ERROR_PAGE, "unsupported_container"),
    "TS behind an init section of MP4": (init_and_fragments(segment("mp4"))[0], segment(), "unsupported_container"),
    "subtitles behind an init section of MP4": (init_and_fragments(segment("mp4"))[0], VTT, "audio_only"),
    "an init section alone": (init_and_fragments(segment("mp4"))[0], b"", "empty"),
    "an init section twice": (*[init_and_fragments(segment("mp4"))[0]] * 2, "no_video"),
    "fragments of sound": (*init_and_fragments(audio("mp4")), "no_video"),
}
"""Init section and media segment by name, with the reason that the ledger must show."""


@pytest.mark.parametrize("name", BAD_PAIRS)
def test_a_bad_pair_fails_for_its_own_reason(decoder: Decoder, name: str) -> None:
    """An error page after a good init section would look like a stream without video."""
    init, data, reason = BAD_PAIRS[name]
    with pytest.raises(InputError) as caught:
        decoder.sample(data, init=init, profile=BALANCED, seed=b"")
    assert caught.value.reason == reason


def test_a_fragment_after_its_init_section_may_break_off_anywhere(decoder: Decoder) -> None:
    """An interrupted download of a fragment would kill the decoder."""
    init, fragments = init_and_fragments(segment("mp4"))
    pid = decoder.fork_server_pid
    random = Random(3)
    counts = []
    for length in sorted([*range(1, 1_500, 60), *(random.randrange(1_500, len(fragments)) for _ in range(25))]):
        try:
            counts.append(decoder.sample(fragments[:length], init=init, profile=BALANCED, seed=b"").frames_total)
        except InputError:
            counts.append(0)
    assert counts[0] == 0
    assert 0 < max(counts) <= 50
    assert still_works(decoder, pid)


STUFFING = {
    "messages": b"\0\0\1\x06\x05",
    "parameter sets": b"\0\0\1\x67\x42\xc0\x0b\xda\x0a\x36\x84",
    "nothing": b"\0\0\1",
}
"""Useless NAL units."""


@pytest.mark.parametrize("name", STUFFING)
def test_pictures_stuffed_with_tiny_units_are_all_read(decoder: Decoder, name: str) -> None:
    """A segment of 20 MB would hold a worker for its whole wall time, three times over: `python -m bench.floods`."""
    seen = sample(decoder, many_pictures(3_000, stuffing=STUFFING[name] * 480))
    assert seen.frames_total == 3_000


def test_ten_thousand_tiny_pictures_are_all_read(decoder: Decoder) -> None:
    """Each costs more to read than to send: a cheap stream would be expensive for a worker."""
    seen = sample(decoder, many_pictures(10_000))
    assert seen.frames_total == 10_000


def test_pictures_behind_a_million_empty_messages_are_all_read(decoder: Decoder) -> None:
    """One NAL unit of megabytes could contain as many messages as it has byte pairs."""
    seen = sample(decoder, many_pictures(10, stuffing=b"\0\0\1\x06" + b"\x05\x00" * (1 << 20)))
    assert seen.frames_total == 10


def test_init_section_and_fragment_belong_together(decoder: Decoder) -> None:
    """fMP4 streams could not be decoded; or one without its init section would look like any other failure."""
    whole = segment("mp4")
    start = whole.index(b"moof") - 4
    init, fragments = whole[:start], whole[start:]
    seen = decoder.sample(fragments, init=init, profile=BALANCED, seed=b"seed")
    assert seen.frames_total == 50
    with pytest.raises(UndecodableError):
        sample(decoder, fragments)
    with pytest.raises(NoVideoError):
        sample(decoder, init)
    assert still_works(decoder, decoder.fork_server_pid)


@pytest.mark.parametrize("container", ["mpegts", "mp4"])
def test_a_third_video_stream_leaves_everything_unmoderated(decoder: Decoder, container: str) -> None:
    """A broadcaster could show two streams to us and the third one to viewers."""
    seen = sample(decoder, segment(container, video_streams=3))
    assert "second_video_stream" in seen.notes
    whole = Stretch(start_seconds=0.0, end_seconds=seen.duration_seconds, reason="second_video_stream")
    assert seen.unmoderated == (whole,)
    assert {frame.track for frame in seen.frames} == {0, 1}


@pytest.mark.parametrize(
    ("limits", "named"),
    [
        (Limits(input_bytes=1_000), "1000"),
        (Limits(frames=10), "10 pictures"),
        (Limits(streams=1), "2 streams"),
        (Limits(output_bytes=20_000), "20000 bytes"),
    ],
)
def test_an_exceeded_limit_is_named(limits: Limits, named: str) -> None:
    """A segment could cost a worker any time and memory; or an operator could not tell which limit to raise."""
    with Decoder(limits=limits) as decoder, pytest.raises(TooLargeError, match=named) as caught:
        sample(decoder, segment(audio_seconds=1.0))
    assert caught.value.reason == "too_large"


def test_limits_are_inclusive() -> None:
    """Segments exactly as large as allowed would be refused."""
    data = segment(audio_seconds=1.0)
    with Decoder(limits=Limits(input_bytes=len(data), frames=50, streams=2)) as decoder:
        assert sample(decoder, data).frames_total == 50


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (bomb_png(16_000, 16_000), TooLargeError),
        (bomb_png(64_000_001, 1)[:64], TooLargeError),
        (bomb_png(1, 1), TooSmallError),
        (bomb_png(15, 4_000), TooSmallError),
    ],
    ids=["bomb", "header of a bomb", "1×1", "15×4000"],
)
def test_a_still_of_an_impossible_size_is_refused(decoder: Decoder, data: bytes, error: type[InputError]) -> None:
    """A picture of 1 MB that unpacks to 256 MB, or one without pixels, would be decoded and hashed."""
    with pytest.raises(error):
        decoder.picture(data)
    assert still_works(decoder, decoder.fork_server_pid)


@pytest.mark.parametrize("extension", [".png", ".jpg", ".webp", ".bmp", ".tiff", ".gif"])
def test_a_damaged_still_is_reported(decoder: Decoder, extension: str) -> None:
    """`livewarden hash` would crash on a broken file, or hash half a picture."""
    whole = still(extension)
    assert decoder.picture(whole).rgb().shape == (48, 64, 3)
    for length in (*range(1, 60, 3), len(whole) // 4, len(whole) // 2):
        with pytest.raises(InputError) as caught:
            decoder.picture(whole[:length])
        assert caught.value.reason in {"unsupported_container", "truncated", "undecodable", "too_small"}
    assert still_works(decoder, decoder.fork_server_pid)


@pytest.mark.parametrize(
    "data", [b"", VTT, segment(), Random(4).randbytes(5_000)], ids=["empty", "text", "TS", "noise"]
)
def test_a_file_that_is_no_picture_is_reported(decoder: Decoder, data: bytes) -> None:
    """A moderator who hashes the wrong file would get a meaningless hash."""
    with pytest.raises(InputError) as caught:
        decoder.picture(data)
    assert caught.value.reason in {"empty", "unsupported_container"}


class Watched:
    """A file, and whether any process opened it (inotify(7))."""

    IN_OPEN = 0x20

    def __init__(self, path: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self.path = path
        self._descriptor = libc.inotify_init1(os.O_NONBLOCK)
        assert libc.inotify_add_watch(self._descriptor, os.fsencode(path), self.IN_OPEN) >= 0

    def opened(self) -> bool:
        """True if it was opened since the last call."""
        try:
            return bool(os.read(self._descriptor, 4096))
        except BlockingIOError:
            return False

    def close(self) -> None:
        os.close(self._descriptor)


@pytest.fixture
def secret(tmp_path: Path) -> Iterator[Watched]:
    """A file with another video, to which a hostile one refers."""
    path = tmp_path / "secret.ts"
    path.write_bytes(segment())
    watched = Watched(path)
    yield watched
    watched.close()


@pytest.mark.parametrize("kind", [b"alis", b"url "], ids=["alias", "URL"])
def test_a_file_that_a_segment_refers_to_is_never_opened(decoder: Decoder, secret: Watched, kind: bytes) -> None:
    """A broadcaster would make the worker read files of its machine, or fetch addresses inside its network."""
    hostile = naming_another(segment("mov"), secret.path, kind)
    try:
        assert sample(decoder, hostile).frames_total == 50
    except NoVideoError:
        assert kind == b"alis"
    assert not secret.opened()
    assert still_works(decoder, decoder.fork_server_pid)


def test_a_file_that_a_segment_refers_to_is_not_opened_without_seccomp_either(secret: Watched, tmp_path: Path) -> None:
    """Without seccomp, nothing would stop a segment that refers to a file."""
    hostile = tmp_path / "hostile.mov"
    hostile.write_bytes(naming_another(segment("mov"), secret.path, b"alis"))
    with hostile.open("rb") as file, pytest.raises(NoVideoError):
        list(Demuxer(InputFile(file.fileno(), hostile.stat().st_size), Limits()).windows())
    assert not secret.opened()


def test_the_attack_by_external_reference_works_on_a_careless_reader(secret: Watched) -> None:
    """The tests above would prove nothing, if FFmpeg never opened the file anyway."""
    hostile = naming_another(segment("mov"), secret.path, b"alis")
    with av.open(BytesIO(hostile), options={"enable_drefs": "1", "use_absolute_path": "1"}):
        assert secret.opened()
