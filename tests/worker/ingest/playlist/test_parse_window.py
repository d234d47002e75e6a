"""Partial parsing of a long playlist agrees with parsing the whole."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.errors import PlaylistError
from worker.ingest.playlist.hls import MasterPlaylist, MediaPlaylist
from worker.ingest.playlist.parse_window import MAX_RENDITIONS
from worker.ingest.playlist.parsing import parse_playlist

URL = "https://cdn.example/live/index.m3u8"
HEAD = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n"


def media(text: str, most: int | None = None, from_sequence: int | None = None) -> MediaPlaylist:
    playlist = parse_playlist(text, URL, most=most, from_sequence=from_sequence)
    assert isinstance(playlist, MediaPlaylist)
    return playlist


TAGS = st.sampled_from(
    [
        '#EXT-X-KEY:METHOD=AES-128,URI="k"',
        "#EXT-X-KEY:METHOD=NONE",
        '#EXT-X-MAP:URI="init-a.mp4"',
        '#EXT-X-MAP:URI="init-b.mp4",BYTERANGE="10@5"',
        "#EXT-X-DISCONTINUITY",
        "#EXT-X-GAP",
        '#EXT-X-PART:DURATION=1,URI="p"',
        "# a comment",
        "",
    ]
)
ENTRY = st.tuples(st.lists(TAGS, max_size=3), st.integers(1, 4_000), st.sampled_from(["", "10@0", "10", "20"]))


def written(entries: list[tuple[list[str], int, str]], sequence: int, *, ended: bool, line_end: str) -> str:
    """A playlist in which byte ranges continue only where they may."""
    lines = [*HEAD.splitlines(), f"#EXT-X-MEDIA-SEQUENCE:{sequence}"]
    ranged = False
    for number, (tags, duration_ms, byte_range) in enumerate(entries):
        if byte_range and "@" not in byte_range and not ranged:
            byte_range += "@100"
        ranged = bool(byte_range)
        lines += [*tags, f"#EXTINF:{duration_ms / 1000:.3f},title"]
        lines += [f"#EXT-X-BYTERANGE:{byte_range}", "all.mp4"] if byte_range else [f"{number}.ts"]
    return line_end.join([*lines, *(["#EXT-X-ENDLIST"] if ended else [])]) + line_end


@given(
    st.lists(ENTRY, min_size=1, max_size=30),
    st.integers(0, 1_000),
    st.booleans(),
    st.integers(1, 12),
    st.integers(-5, 40),
    st.sampled_from(["\n", "\r\n"]),
)
def test_a_part_parses_like_the_whole(
    entries: list[tuple[list[str], int, str]], sequence: int, ended: bool, most: int, begin: int, line_end: str
) -> None:
    """A segment of a long playlist would get another number, key, initialisation section or byte range."""
    text = written(entries, sequence, ended=ended, line_end=line_end)
    whole, part = media(text), media(text, most, sequence + begin)
    first = max(0, len(entries) - most)
    if ended:
        first = min(max(0, begin), first)
    assert part.segments == whole.segments[first : first + most]
    assert (part.earlier, part.later) == (first, len(entries) - first - len(part.segments))
    assert (part.listed, part.first_sequence, part.last_sequence) == (
        len(entries),
        whole.segments[0].sequence,
        whole.segments[-1].sequence,
    )
    assert replace(part, segments=whole.segments, earlier=0, later=0) == whole


def test_tags_before_the_first_entry_of_a_long_recording_count() -> None:
    """A segment that the origin does not have would be requested, and its time be a failure instead of a gap."""
    entries = "".join(f"#EXTINF:4,\n{number}.ts\n" for number in range(1, 500))
    playlist = media(f"{HEAD}#EXT-X-DISCONTINUITY\n#EXT-X-GAP\n#EXTINF:4,\n0.ts\n{entries}#EXT-X-ENDLIST\n", 200)
    assert (playlist.segments[0].gap, playlist.segments[0].discontinuity) == (True, True)
    assert not any(segment.gap or segment.discontinuity for segment in playlist.segments[1:])
    indented = "#EXTM3U\n #EXT-X-TARGETDURATION:4\n\t#EXT-X-MEDIA-SEQUENCE:7\n#EXTINF:4,\n0.ts\n" + entries
    assert media(indented + "#EXT-X-ENDLIST\n", 200).segments == media(indented + "#EXT-X-ENDLIST\n").segments[:200]


def test_an_unread_recording_is_parsed_from_its_start() -> None:
    """The beginning of a recording would be skipped."""
    text = HEAD + "".join(f"#EXTINF:4,\n{number}.ts\n" for number in range(500)) + "#EXT-X-ENDLIST\n"
    playlist = media(text, 200)
    assert (playlist.earlier, len(playlist.segments), playlist.later) == (0, 200, 300)
    assert playlist.window_ms == 500 * 4_000
    assert media(text, 200, 9_999).earlier == 300


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HEAD + "#EXTINF:4,\n" * 300, "expected"),
        (HEAD + "#EXTINF:4,\n" * 300 + "a.ts\n", "expected"),
        (HEAD + "#EXTINF:4,\na.ts\nb.ts\n" * 300, "expected #EXTINF before a URI"),
        (HEAD + "#EXT-X-STREAM-INF:BANDWIDTH=1\na\n" + "#EXTINF:4,\na.ts\n" * 300, "segments or renditions"),
        (
            HEAD + "#EXTINF:4,\na.ts\n" * 300 + "#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n",
            "line 603: expected a complete",
        ),
        ("#EXTM3U\n" + "#EXTINF:4,\na.ts\n" * 300, "expected #EXT-X-TARGETDURATION"),
        (HEAD + "#EXTINF:4,\na.ts\n" + "#\n" * 30_000, "at most 20000 lines"),
        (HEAD + "#EXT-X-GAP\n" * 3_000 + "#EXTINF:4,\na.ts\n", "at most 2000 tags"),
        (
            HEAD + '#EXT-X-MAP:URI="' + "a,b=" * 1_000 + '"\n' * 1 + ("#EXT-X-MAP:" + "A=1," * 500 + "\n") * 100,
            "at most",
        ),
        (HEAD + "#EXTINF:4,a\u2028b\na.ts\n", "another line break"),
        (HEAD + "#EXTINF:4,\n" + "a" * 9_000, "URI of at most 4096"),
    ],
)
def test_excess_is_reported(text: str, expected: str) -> None:
    """A playlist made to consume time would be reported as another fault, or end the poll."""
    with pytest.raises(PlaylistError, match=expected) as refusal:
        parse_playlist(text, URL, most=200)
    assert len(str(refusal.value)) < 400


def test_many_renditions_are_cut() -> None:
    """A master playlist with a million renditions would use up a batch's time."""
    text = "#EXTM3U\n" + "".join(f"#EXT-X-STREAM-INF:BANDWIDTH={number}\n{number}.m3u8\n" for number in range(9_000))
    master = parse_playlist(text, URL, most=200)
    assert isinstance(master, MasterPlaylist)
    assert [rendition.bandwidth for rendition in master.renditions] == list(range(MAX_RENDITIONS))


def test_rendition_names_are_distinct_and_short() -> None:
    """A redundant rendition could not replace a broken one, or a segment's key could have any length."""
    text = "#EXTM3U\n" + ("#EXT-X-STREAM-INF:BANDWIDTH=" + "9" * 300 + "\na.m3u8\n") * 3
    master = parse_playlist(text, URL, most=200)
    assert isinstance(master, MasterPlaylist)
    names = [rendition.name for rendition in master.renditions]
    assert len(set(names)) == 3
    assert max(map(len, names)) < 40
