"""Playlists of real live servers are parsed, and errors say what was expected."""

import contextlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.errors import PlaylistError
from worker.ingest.http.resource import ByteRange
from worker.ingest.playlist.hls import (
    InitSection,
    MasterPlaylist,
    MediaPlaylist,
    Rendition,
    Segment,
    choose_rendition,
    segment_key,
)
from worker.ingest.playlist.parse_window import MAX_SEGMENTS
from worker.ingest.playlist.parsing import MAX_PLAYLIST_BYTES, parse_playlist

URL = "https://cdn.example/live/one/index.m3u8?token=SECRET"

NGINX_RTMP = b"""#EXTM3U
#EXT-X-VERSION:3
#EXT-X-MEDIA-SEQUENCE:7
#EXT-X-TARGETDURATION:5
#EXT-X-DISCONTINUITY
#EXTINF:4.967,
stream-7.ts
#EXTINF:5.000,
stream-8.ts
"""

LOW_LATENCY = b"""#EXTM3U
#EXT-X-TARGETDURATION:4
#EXT-X-VERSION:9
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.0,CAN-SKIP-UNTIL=24
#EXT-X-PART-INF:PART-TARGET=0.33334
#EXT-X-MEDIA-SEQUENCE:266
#EXT-X-MAP:URI="init.mp4",BYTERANGE="720@0"
#EXT-X-PROGRAM-DATE-TIME:2026-02-14T02:13:36.106Z
#EXTINF:4.00008,
fileSequence266.mp4
#EXT-X-PART:DURATION=0.33334,URI="filePart267.0.mp4",INDEPENDENT=YES
#EXT-X-PART:DURATION=bad,URI=
#EXTINF:4.00008,
fileSequence267.mp4
#EXT-X-PART:DURATION=0.33334,URI="filePart268.0.mp4"
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="filePart268.1.mp4"
#EXT-X-RENDITION-REPORT:URI="../1M/waitForMSN.php",LAST-MSN=268,LAST-PART=1
#EXT-X-DATERANGE:ID="ad",START-DATE="nonsense",DURATION=x
"""


def media(content: bytes | str, base: str | Path = URL) -> MediaPlaylist:
    playlist = parse_playlist(content, base)
    assert isinstance(playlist, MediaPlaylist)
    return playlist


def listing(*lines: str, target: str = "#EXT-X-TARGETDURATION:4") -> str:
    return "\n".join(("#EXTM3U", target, *lines))


def test_playlists_of_nginx_rtmp() -> None:
    """Streams of the most used open RTMP server could not be watched."""
    assert media(NGINX_RTMP) == MediaPlaylist(
        url=URL,
        target_duration_seconds=5,
        segments=(
            Segment(sequence=7, uri="https://cdn.example/live/one/stream-7.ts", duration_ms=4967, discontinuity=True),
            Segment(sequence=8, uri="https://cdn.example/live/one/stream-8.ts", duration_ms=5000),
        ),
        ended=False,
    )
    assert media(NGINX_RTMP).window_ms == 9967


def test_low_latency_parts_are_ignored() -> None:
    """A part would be taken for a segment, or an unknown tag would make the stream unreadable."""
    playlist = media(LOW_LATENCY)
    assert [segment.sequence for segment in playlist.segments] == [266, 267]
    assert [segment.duration_ms for segment in playlist.segments] == [4000, 4000]
    assert playlist.segments[1].init == InitSection(
        uri="https://cdn.example/live/one/init.mp4", byte_range=ByteRange(offset=0, length=720)
    )
    assert playlist.segments[0].program_date_time == datetime(2026, 2, 14, 2, 13, 36, 106000, tzinfo=UTC)


def test_windows_line_ends_byte_order_mark_and_whole_seconds() -> None:
    """A playlist edited on Windows, or one of version 2, would be refused."""
    text = "\ufeff" + listing("#EXTINF:4", "a.ts", "", "# a comment", "#EXTINF: 3 ,title, with comma", " b.ts ")
    playlist = media(text.replace("\n", "\r\n").encode())
    assert [segment.uri.rpartition("/")[2] for segment in playlist.segments] == ["a.ts", "b.ts"]
    assert playlist.segments[0].sequence == 0


def test_byte_ranges_continue_after_the_previous_one() -> None:
    """Segments that share a file would all have the same bytes."""
    playlist = media(
        listing(
            *("#EXTINF:4,", "#EXT-X-BYTERANGE:100@50", "all.ts"),
            *("#EXT-X-BYTERANGE:30", "#EXTINF:4,", "all.ts"),
            *("#EXTINF:4,", "other.ts"),
        )
    )
    assert [segment.byte_range for segment in playlist.segments] == [
        ByteRange(offset=50, length=100),
        ByteRange(offset=150, length=30),
        None,
    ]
    assert len({segment.name for segment in playlist.segments}) == 3


def test_keys_gaps_and_the_end() -> None:
    """An encrypted segment would be reported as broken, and a recording would be polled for ever."""
    playlist = media(
        listing(
            '#EXT-X-KEY:METHOD=AES-128,URI="key.bin?a=b,c"',
            *("#EXTINF:4,", "a.ts"),
            "#EXT-X-KEY:METHOD=NONE",
            *("#EXT-X-GAP", "#EXTINF:4,", "b.ts"),
            '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://x",KEYFORMAT="com.apple.streamingkeydelivery"',
            *("#EXTINF:4,", "c.ts"),
            "#EXT-X-ENDLIST",
        )
    )
    assert [segment.encryption for segment in playlist.segments] == ["AES-128", None, "SAMPLE-AES"]
    assert [segment.gap for segment in playlist.segments] == [False, True, False]
    assert playlist.ended


def test_a_wrong_date_does_not_stop_a_watch() -> None:
    """A stream whose encoder writes a bad date could not be watched."""
    for date in ("yesterday", "0000-00-00T00:00:00Z", "9999-12-31T23:59:59Z", ""):
        playlist = media(listing(f"#EXT-X-PROGRAM-DATE-TIME:{date}", "#EXTINF:4,", "a.ts"))
        assert playlist.segments[0].program_date_time is None


def test_uris_with_dots_are_no_others() -> None:
    """Segments with a dot in their name, escaped or not, would be refused."""
    for uri in ("a%2eb.ts", "a.b/c..d.ts", "../a.ts", "a.ts?x=%2e%2e"):
        assert media(listing("#EXTINF:4,", uri)).segments[0].uri


def test_uris_are_resolved_against_the_playlists_url() -> None:
    """Segments would be requested from the wrong place."""
    playlist = media(
        listing(*("#EXTINF:4,", "/root.ts?sig=a%2Fb+c"), *("#EXTINF:4,", "../x.ts"), *("#EXTINF:4,", "//other/y.ts"))
    )
    assert [segment.uri for segment in playlist.segments] == [
        "https://cdn.example/root.ts?sig=a%2Fb+c",
        "https://cdn.example/live/x.ts",
        "https://other/y.ts",
    ]


def test_a_live_playlist_may_be_empty() -> None:
    """A stream registered a moment before its first segment would be reported as malformed."""
    assert media(listing()).segments == ()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "expected a playlist, got nothing"),
        (b" \r\n ", "expected a playlist, got nothing"),
        (b"<!doctype html><title>Log in", "expected a playlist, got a web page"),
        (b"\x47\x40\xff\x10\x00", "expected a playlist in UTF-8, got binary data at byte 2"),
        (b"not found", "line 1: expected #EXTM3U, got 'not found'"),
        (b"#EXTM3U\n", "expected #EXT-X-TARGETDURATION"),
        (listing(target="#EXT-X-TARGETDURATION:four"), "line 2: expected #EXT-X-TARGETDURATION from 0"),
        (listing("#EXTINF:x,", "a.ts"), "line 3: expected #EXTINF from 0 to 3600 seconds, got 'x'"),
        (listing("#EXTINF:nan,", "a.ts"), "line 3: expected #EXTINF"),
        (listing("#EXTINF:-1,", "a.ts"), "line 3: expected #EXTINF"),
        (listing("#EXTINF:1e9,", "a.ts"), "line 3: expected #EXTINF"),
        (listing("#EXTINF:4,", "a.ts", "b.ts?token=SECRET"), "line 5: expected #EXTINF before a URI"),
        (listing("#EXT-X-BYTERANGE:5@0", "a.ts"), "line 4: expected #EXTINF before a URI"),
        (listing("#EXTINF:4,", "a.ts", "#EXTINF:4,"), "expected the URI that line 5 announced"),
        (listing("#EXTINF:4,", "a.ts", "#EXT-X-BYTERANGE:5@0"), "media sequence 1: expected a URI after its tags"),
        ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n#EXT-X-BYTERANGE:5@0\na", "expected segments or renditions"),
        (listing("#EXTINF:4,", "#EXTINF:4,", "a.ts"), "line 4: expected the URI that line 3 announced"),
        (listing("#EXT-X-MEDIA-SEQUENCE:-1"), "line 3: expected #EXT-X-MEDIA-SEQUENCE from 0"),
        (listing("#EXT-X-MEDIA-SEQUENCE:" + "9" * 5000), "line 3: expected"),
        (listing("#EXT-X-SKIP:SKIPPED-SEGMENTS=3"), "line 3: expected a complete playlist"),
        (listing("#EXT-X-I-FRAMES-ONLY"), "line 3: expected a playlist of segments"),
        (listing('#EXT-X-DEFINE:NAME="a",VALUE="b"', "#EXTINF:4,", "{$a}.ts"), "line 3: expected a playlist without"),
        (listing("#EXTINF:4,", "# a\rb.ts", "a.ts"), "expected lines that end with LF or CRLF"),
        (listing("#EXTINF:4,", "#EXT-X-OTHER:\u2028b.ts", "a.ts"), "expected lines that end with LF or CRLF"),
        (listing("#EXTINF:4,", "# a\u2029b.ts", "a.ts"), "expected lines that end with LF or CRLF"),
        (listing('#EXT-X-MAP:URI="a",uri="b"', "#EXTINF:4,", "a.ts"), "line 3: expected a well-formed tag with each"),
        (listing('#EXT-X-MAP:URI="a",URI="b"', "#EXTINF:4,", "a.ts"), "line 3: expected a well-formed tag with each"),
        (listing("#EXTINF:4,", "x\\a.ts"), "expected a URI without a backslash"),
        (listing("#EXTINF:4,", "x/%2E./a.ts"), "expected a URI without a backslash or an encoded dot"),
        (listing("#EXT-X-KEY:METHOD", "#EXTINF:4,", "a.ts"), "line 3: expected a well-formed tag"),
        (listing("#EXT-X-MAP:BYTERANGE=1@0", "#EXTINF:4,", "a.ts"), "expected EXT-X-MAP with a URI"),
        (listing("#EXTINF:4,", "#EXT-X-BYTERANGE:5", "a.ts"), "media sequence 0: expected a byte range"),
        (listing("#EXTINF:4,", "#EXT-X-BYTERANGE:0@0", "a.ts"), "expected a byte range"),
        (listing("#EXTINF:4,", "#EXT-X-BYTERANGE:5@-1", "a.ts"), "expected a byte range"),
        (listing("#EXTINF:4,", "file:///etc/passwd"), "expected an http or https URI, got 'file:///etc/passwd'"),
        (listing("#EXTINF:4,", "http://[::1/a.ts"), "expected a URI"),
        (listing("#EXTINF:4,", "a" * 5000), "expected a URI of at most 4096 characters"),
        ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=x\na.m3u8", "line 2: expected a well-formed tag"),
        ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n#EXTINF:4,\na.ts", "expected segments or renditions"),
        (b"#EXTM3U\n" + b"#" * MAX_PLAYLIST_BYTES, f"at most {MAX_PLAYLIST_BYTES} bytes"),
        (listing(*["#EXTINF:4,\na.ts"] * (MAX_SEGMENTS + 1)), f"expected at most {MAX_SEGMENTS} segments"),
    ],
)
def test_an_invalid_playlist_error_says_what_was_expected(content: bytes | str, expected: str) -> None:
    """A platform engineer could not distinguish a login page from a truncated playlist, or the log would show a
    token."""
    with pytest.raises(PlaylistError) as refusal:
        parse_playlist(content, URL)
    text = str(refusal.value)
    assert expected in text
    assert text.startswith("https://cdn.example/live/one/index.m3u8: ")
    assert "SECRET" not in text
    assert "\n" not in text
    assert len(text) < 400


PIECES = st.sampled_from(
    [
        *(b"#EXTM3U", b"#EXTINF:", b"#EXT-X-BYTERANGE:", b"#EXT-X-KEY:", b"#EXT-X-MAP:", b"#EXT-X-STREAM-INF:"),
        *(b"#EXT-X-TARGETDURATION:4", b"#EXT-X-MEDIA-SEQUENCE:", b"#EXT-X-PROGRAM-DATE-TIME:", b"#EXT-X-GAP"),
        *(b"#EXT-X-ENDLIST", b"#EXT-X-DISCONTINUITY", b"METHOD=", b"RESOLUTION=", b"BANDWIDTH=", b"URI=", b"NONE"),
        *(b"\n", b"\n", b"\r\n", b",", b'"', b"'", b"=", b"@", b":", b"4", b"-1", b"1e400", b"a.ts", b"2026-01-01"),
        *(b"\xe2\x80\xa8", b"//[", b"x"),
    ]
)


@settings(max_examples=max(400, settings().max_examples))
@given(st.lists(st.one_of(PIECES, st.binary(max_size=6)), max_size=40))
def test_any_text_is_a_playlist_or_a_playlist_error(pieces: list[bytes]) -> None:
    """A hostile playlist would end the poll of a whole batch with a traceback."""
    for content in (b"".join(pieces), b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n" + b"".join(pieces)):
        with contextlib.suppress(PlaylistError):
            assert parse_playlist(content, URL).url == URL


MASTER = """#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a",URI="audio.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=5000000,RESOLUTION=1920x1080,CODECS="avc1.640028,mp4a.40.2"
1080.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=900000,RESOLUTION=640x360
360.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=800000,RESOLUTION=640x360
360-cheap.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=300000,RESOLUTION=426x240
240.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=64000,CODECS="mp4a.40.2"
audio.m3u8
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1000,RESOLUTION=640x360
"""


@pytest.mark.parametrize(
    ("height_pixels", "name"),
    [(360, "360-cheap"), (361, "1080"), (240, "240"), (1, "240"), (1080, "1080"), (2160, "1080")],
)
def test_the_smallest_rendition_at_or_above_a_height_is_chosen(height_pixels: int, name: str) -> None:
    """Every stream would cost as much as its best rendition, or be watched in one too small to show anything."""
    master = parse_playlist(MASTER, URL)
    assert isinstance(master, MasterPlaylist)
    assert choose_rendition(master, height_pixels).uri == f"https://cdn.example/live/one/{name}.m3u8"


def test_without_sizes_the_cheapest_rendition_with_video_is_chosen() -> None:
    """A stream whose master playlist gives no sizes would be watched in its audio rendition."""
    master = MasterPlaylist(
        url=URL,
        renditions=(
            Rendition(uri="a", bandwidth=64_000, codecs="mp4a.40.2"),
            Rendition(uri="b", bandwidth=900_000, codecs="mp4a.40.2, avc1.4d401f"),
            Rendition(uri="c", bandwidth=500_000),
        ),
    )
    assert choose_rendition(master, 360).uri == "c"


def test_an_unusable_rendition_is_skipped() -> None:
    """A stream whose first choice is gone, or has no pictures, would never be watched."""
    master = parse_playlist(MASTER, URL)
    assert isinstance(master, MasterPlaylist)
    tried: dict[str, int] = {}
    order = []
    for now_ms in range(4):
        chosen = choose_rendition(master, 360, tried=tried)
        order.append(chosen.uri.rpartition("/")[2])
        tried[chosen.name] = now_ms
    assert order == ["360-cheap.m3u8", "360.m3u8", "1080.m3u8", "240.m3u8"]
    assert choose_rendition(master, 360, tried=tried).uri.endswith("/360-cheap.m3u8"), "all were tried: the first again"


def test_an_audio_only_master_is_refused() -> None:
    """A radio stream would be shown as watched."""
    master = MasterPlaylist(url=URL, renditions=(Rendition(uri="a", bandwidth=64_000, codecs="mp4a.40.2"),))
    with pytest.raises(PlaylistError, match="expected a rendition with video") as refusal:
        choose_rendition(master, 360)
    assert "SECRET" not in str(refusal.value)


def test_a_key_contains_exactly_the_identity_of_a_segment() -> None:
    """A re-signed URL would be moderated twice, or a restarted origin's segment not at all."""
    plain = Segment(sequence=5, uri="https://cdn.example/a.ts?sig=1", duration_ms=4000)
    signed_anew = Segment(sequence=5, uri="https://edge.example/a.ts?sig=2", duration_ms=3999, discontinuity=True)

    def key(segment: Segment, generation: int = 1, epoch: int = 0, rendition: str = "640x360") -> str:
        return segment_key(
            generation=generation, epoch=epoch, rendition=rendition, sequence=segment.sequence, name=segment.name
        )

    assert key(plain) == key(signed_anew)
    others = {
        key(plain, generation=2),
        key(plain, epoch=1),
        key(plain, rendition="1280x720"),
        key(Segment(sequence=6, uri=plain.uri, duration_ms=4000)),
        key(Segment(sequence=5, uri="https://cdn.example/b.ts", duration_ms=4000)),
        key(Segment(sequence=5, uri=plain.uri, duration_ms=4000, byte_range=ByteRange(offset=0, length=1))),
    }
    assert len(others | {key(plain)}) == 7


def test_a_local_playlist_names_files_below_its_folder(tmp_path: Path) -> None:
    """`livewarden scan` of a downloaded playlist would not find its segments, or could read any file of the machine."""
    folder = tmp_path / "recording"
    folder.mkdir()
    playlist = media(listing(*("#EXTINF:4,", "sub/a%20b.ts?x=1"), *("#EXTINF:4,", "https://cdn.example/c.ts")), folder)
    assert [segment.uri for segment in playlist.segments] == [
        str(folder / "sub" / "a b.ts"),
        "https://cdn.example/c.ts",
    ]
    (folder / "link.ts").symlink_to("/etc/hostname")
    for outside in ("../secret", "/etc/hostname", "%2e%2e/secret", "link.ts"):
        with pytest.raises(PlaylistError, match="expected a file below the playlist's folder"):
            media(listing("#EXTINF:4,", outside), folder)
    with pytest.raises(PlaylistError, match="expected an http or https URI"):
        media(listing("#EXTINF:4,", "file:///etc/hostname"), folder)
