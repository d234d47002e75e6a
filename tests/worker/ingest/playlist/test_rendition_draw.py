"""The draw of segments that are audited in another rendition, of that rendition, and of its segment."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from worker.ingest.playlist.hls import MasterPlaylist, MediaPlaylist, OtherVideo, Rendition, Segment
from worker.ingest.playlist.rendition_draw import MOST_DRAWN, counterpart, is_drawn, other_renditions

LOW = Rendition(uri="https://cdn.example/low.m3u8", bandwidth=500_000, width_pixels=640, height_pixels=360)
MIDDLE = Rendition(uri="https://cdn.example/mid.m3u8", bandwidth=2_000_000, width_pixels=1280, height_pixels=720)
HIGH = Rendition(uri="https://cdn.example/high.m3u8", bandwidth=6_000_000, width_pixels=1920, height_pixels=1080)
SOUND = Rendition(uri="https://cdn.example/sound.m3u8", bandwidth=64_000, codecs="mp4a.40.2")
NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
NOON_MS = round(NOON.timestamp() * 1000)


def seeds(count: int) -> list[bytes]:
    return [hashlib.sha256(bytes([number % 256, number // 256])).digest() for number in range(count)]


def playlist(*sequences: int, clock: bool = False, gap: int | None = None) -> MediaPlaylist:
    """Segments of 2 s; with a clock, number 0 began at noon."""
    return MediaPlaylist(
        url="https://cdn.example/high.m3u8",
        target_duration_seconds=2,
        segments=tuple(
            Segment(
                sequence=number,
                uri=f"https://cdn.example/{number}.ts",
                duration_ms=2000,
                program_date_time=NOON + timedelta(seconds=2 * number) if clock else None,
                gap=number == gap,
            )
            for number in sequences
        ),
        ended=False,
    )


@pytest.mark.parametrize("duration_ms", [500, 2_000, 6_000])
def test_as_many_a_minute_are_audited_however_long_segments_are(duration_ms: int) -> None:
    """Streams of short segments would be audited ten times as often as others, or long ones never."""
    drawn = sum(is_drawn(seed, duration_ms=duration_ms, per_minute=3.0) for seed in seeds(20_000))
    minutes = 20_000 * duration_ms / 60_000
    assert drawn / minutes == pytest.approx(3.0, rel=0.15)


def test_a_profile_without_audits_has_none() -> None:
    """An operator who has turned audits off would pay for them."""
    assert not any(is_drawn(seed, duration_ms=60_000, per_minute=0.0) for seed in seeds(1_000))


def test_each_of_the_other_renditions_is_drawn_and_neither_the_watched_one_nor_sound() -> None:
    """What is shown in one of them alone would never be seen."""
    master = MasterPlaylist(url="https://cdn.example/master.m3u8", renditions=(LOW, MIDDLE, SOUND, HIGH))
    found = [other_renditions(master, LOW.name, seed)[0] for seed in seeds(400)]
    assert set(found) == {MIDDLE, HIGH}
    assert found.count(HIGH) == pytest.approx(200, abs=50)


def test_other_videos_have_half_of_the_draws_however_many_they_are() -> None:
    """What is shown in one of them alone would never be seen, or a broadcaster would hide a rendition among them."""
    videos = tuple(OtherVideo(uri=f"https://cdn.example/{name}.m3u8", identity=name) for name in "abcdefgh")
    master = MasterPlaylist(url="https://cdn.example/master.m3u8", renditions=(LOW, HIGH), other_videos=videos)
    found = [other_renditions(master, LOW.name, seed)[0] for seed in seeds(800)]
    assert set(found) == {HIGH, *videos}
    assert found.count(HIGH) == pytest.approx(400, abs=70)
    assert found.count(videos[-1]) == pytest.approx(50, abs=30)


def test_those_that_take_the_place_of_one_that_cannot_be_had_are_few_and_others() -> None:
    """One that is broken would be asked for again, or a hundred of them in one audit."""
    videos = tuple(OtherVideo(uri=f"https://cdn.example/{name}.m3u8", identity=name) for name in "abcdefgh")
    master = MasterPlaylist(url="https://cdn.example/master.m3u8", renditions=(LOW, HIGH, MIDDLE), other_videos=videos)
    found = [other_renditions(master, LOW.name, seed) for seed in seeds(400)]
    assert {len(set(drawn)) for drawn in found} == {MOST_DRAWN}
    # Seven of eight: each place is a rendition's as often as not.
    assert sum(HIGH in drawn or MIDDLE in drawn for drawn in found) == pytest.approx(350, abs=25)
    assert {drawn[place] for drawn in found for place in range(MOST_DRAWN)} == {HIGH, MIDDLE, *videos}


def test_where_no_other_rendition_is_other_videos_are_drawn() -> None:
    """A stream of one rendition and ten cameras would have no audits."""
    video = OtherVideo(uri="https://cdn.example/camera.m3u8", identity="a")
    master = MasterPlaylist(url="https://cdn.example/master.m3u8", renditions=(LOW, SOUND), other_videos=(video,))
    assert {other_renditions(master, LOW.name, seed) for seed in seeds(20)} == {(video,)}


def test_a_stream_of_one_rendition_has_no_other() -> None:
    """The watched one would be fetched twice."""
    master = MasterPlaylist(url="https://cdn.example/master.m3u8", renditions=(LOW, SOUND))
    assert other_renditions(master, LOW.name, seeds(1)[0]) == ()


def test_the_segment_of_the_same_number_is_taken() -> None:
    """Another one shows another time, and could not be compared."""
    found = counterpart(playlist(3, 4, 5), sequence=4, program_ms=NOON_MS + 10_000)
    assert found is not None
    assert found.sequence == 4


@pytest.mark.parametrize(("program_ms", "taken"), [(NOON_MS + 10_100, 5), (NOON_MS + 8_900, 4), (None, 4)])
def test_a_number_that_is_of_another_time_is_not_taken(program_ms: int | None, taken: int) -> None:
    """A packager that was started a segment later counts the same numbers for others: its pictures would have the times
    of what is shown seconds before."""
    found = counterpart(playlist(3, 4, 5, 6, clock=True), sequence=4, program_ms=program_ms)
    assert found is not None
    assert found.sequence == taken


@pytest.mark.parametrize("gap", [None, 104])
def test_of_renditions_with_other_numbers_the_clock_decides(gap: int | None) -> None:
    """Some packagers count each rendition for itself."""
    found = counterpart(playlist(103, 104, 105, 106, clock=True, gap=gap), sequence=4, program_ms=NOON_MS + 208_300)
    assert found is not None
    assert found.sequence == (104 if gap is None else 105)


def test_without_a_clock_the_newest_segment_is_taken() -> None:
    """It is moderated whatever it shows, and at the edge of the window it would be gone."""
    found = counterpart(playlist(103, 104, 105, clock=True), sequence=4, program_ms=None)
    assert found is not None
    assert found.sequence == 105


def test_an_empty_playlist_has_none() -> None:
    """An encoder that has just begun lists nothing yet."""
    assert counterpart(playlist(), sequence=4, program_ms=None) is None
