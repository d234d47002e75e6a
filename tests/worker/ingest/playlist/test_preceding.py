"""The record of a segment names the one before it, from which an open GOP's leading pictures are decoded."""

from dataclasses import replace

import pytest

from worker.ingest.http.resource import ByteRange
from worker.ingest.pending.segments import SegmentRecord
from worker.ingest.playlist.cursor import Cursor
from worker.ingest.playlist.hls import MediaPlaylist
from worker.ingest.playlist.outcome import PollAdvance, Reading
from worker.ingest.playlist.parsing import parse_playlist
from worker.ingest.playlist.timeline import advance

T0 = 1_700_000_000_000
BASE = "http://origin.example/live/index.m3u8"


def playlist(*entries: str, first: int = 10, ended: bool = False) -> MediaPlaylist:
    """A playlist of these entries, each a URI with the tags before its EXTINF in lines above it."""
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:4", f"#EXT-X-MEDIA-SEQUENCE:{first}"]
    for entry in entries:
        *tags, uri = entry.split("\n")
        lines += [*tags, "#EXTINF:4.0,", uri]
    parsed = parse_playlist("\n".join([*lines, *(["#EXT-X-ENDLIST"] if ended else [])]), BASE)
    assert isinstance(parsed, MediaPlaylist)
    return parsed


def poll(cursor: Cursor, read: MediaPlaylist, *, after_ms: int = 0, pending: int = 0) -> PollAdvance:
    return advance(cursor, read, now_ms=T0 + after_ms, pending=pending)


def kept(cursor: Cursor) -> Cursor:
    """The cursor as the next poll reads it from Redis."""
    return Cursor.from_json(cursor.to_json())


NEW = Cursor(generation=1, rendition="360")


def before(outcome: PollAdvance) -> dict[str, str | None]:
    """Name of each new segment to that of the one before it, as their records have them."""
    records = [
        SegmentRecord.from_json(SegmentRecord.of(new, generation=1, purpose="live", admitted_ms=T0).to_json())
        for new in outcome.segments
    ]
    return {
        record.url.rpartition("/")[2]: None if record.before is None else record.before.url.rpartition("/")[2]
        for record in records
    }


def test_each_listed_segment_names_the_one_listed_before_it() -> None:
    """What is shown before a keyframe at a segment's beginning could never be decoded."""
    assert before(poll(NEW, playlist("a.ts", "b.ts", "c.ts"))) == {"a.ts": None, "b.ts": "a.ts", "c.ts": "b.ts"}


def test_the_one_before_is_known_from_the_poll_before() -> None:
    """Where each poll finds a window of new segments, the first of each would have nothing before it."""
    first = poll(NEW, playlist("a.ts", "b.ts"))
    second = poll(kept(first.cursor), playlist("c.ts", "d.ts", first=12), after_ms=8_000)
    assert before(second) == {"c.ts": "b.ts", "d.ts": "c.ts"}


def test_the_newest_listing_names_it() -> None:
    """A signed URL of the last poll has expired by the time it is needed."""
    first = poll(NEW, playlist("a.ts?sig=1", "b.ts?sig=1"))
    second = poll(kept(first.cursor), playlist("b.ts?sig=2", "c.ts?sig=2", first=11), after_ms=4_000)
    assert before(second) == {"c.ts?sig=2": "b.ts?sig=2"}


def test_ranges_and_init_sections_come_along() -> None:
    """Of a fragmented MP4 in one file nothing could be fetched."""
    tags = '#EXT-X-MAP:URI="all.mp4",BYTERANGE="700@0"\n'
    read = playlist(f"{tags}#EXT-X-BYTERANGE:1000@700\nall.mp4", "#EXT-X-BYTERANGE:2000@1700\nall.mp4")
    (_, second) = poll(NEW, read).segments
    record = SegmentRecord.of(second, generation=1, purpose="live", admitted_ms=T0)
    found = SegmentRecord.from_json(record.to_json()).before
    assert found is not None
    assert (found.url, found.byte_range) == ("http://origin.example/live/all.mp4", ByteRange(offset=700, length=1000))
    assert (found.init_url, found.init_byte_range) == (found.url, ByteRange(offset=0, length=700))
    # The same where it comes from the poll before.
    cursor = kept(poll(NEW, replace(read, segments=read.segments[:1])).cursor)
    (again,) = poll(cursor, read, after_ms=4_000).segments
    (other,) = poll(cursor, replace(read, segments=read.segments[1:]), after_ms=4_000).segments
    assert again.before == other.before == found


@pytest.mark.parametrize(
    ("what", "entries"),
    [
        ("a discontinuity", ("a.ts", "#EXT-X-DISCONTINUITY\nb.ts")),
        ("the one before is missing at the origin", ("#EXT-X-GAP\na.ts", "b.ts")),
        ("the one before is encrypted", ('#EXT-X-KEY:METHOD=AES-128,URI="k"\na.ts', "#EXT-X-KEY:METHOD=NONE\nb.ts")),
    ],
)
def test_what_does_not_go_on_from_the_one_before_names_none(what: str, entries: tuple[str, ...]) -> None:
    """Pictures of another broadcast would be joined, or a fetch be spent on what cannot be read."""
    first = poll(NEW, playlist(*entries))
    assert before(first)["b.ts"] is None, what
    # Nor where each of the two is read in a poll of its own.
    one = poll(NEW, playlist(entries[0]))
    assert before(poll(kept(one.cursor), playlist(entries[1], first=11), after_ms=4_000)) == {"b.ts": None}, what


def test_after_skipped_numbers_a_restart_or_another_rendition_none_is_named() -> None:
    """Leading pictures would be decoded with pictures that they were not predicted from."""
    first = poll(NEW, playlist("a.ts", "b.ts"))
    assert before(poll(kept(first.cursor), playlist("d.ts", first=13), after_ms=12_000)) == {"d.ts": None}
    again = poll(kept(first.cursor), playlist("x.ts", "y.ts", first=0), after_ms=8_000)
    assert again.reading is Reading.RESET
    assert before(again) == {"x.ts": None, "y.ts": "x.ts"}
    switched = kept(first.cursor).switched_to("720")
    assert before(poll(switched, playlist("c.ts", first=12), after_ms=8_000)) == {"c.ts": None}
    assert before(poll(switched, playlist("b.ts", "c.ts", first=11), after_ms=8_000)) == {"c.ts": "b.ts"}


def test_a_recording_that_is_admitted_bit_by_bit_names_it() -> None:
    """Of a long recording one segment in sixty would have nothing before it."""
    read = playlist(*(f"{number}.ts" for number in range(6)), first=0, ended=True)
    first = poll(NEW, read, pending=62)
    rest = poll(kept(first.cursor), read, after_ms=4_000)
    assert before(first) | before(rest) == {"0.ts": None, **{f"{n}.ts": f"{n - 1}.ts" for n in range(1, 6)}}


def test_a_record_or_cursor_without_it_or_with_nonsense_in_it() -> None:
    """During an upgrade, or by one damaged field, segments would go unmoderated."""
    outcome = poll(NEW, playlist("a.ts", "b.ts"))
    record = SegmentRecord.of(outcome.segments[1], generation=1, purpose="live", admitted_ms=T0)
    assert record.before is not None
    older = record.to_json().replace('"before":', '"unknown":')
    assert SegmentRecord.read(record.key, older) == replace(record, before=None)
    odd = record.to_json().replace(f'"{record.before.url}"', "7")
    assert SegmentRecord.read(record.key, odd) == replace(record, before=None)
    assert Cursor.from_json(outcome.cursor.to_json().replace('"newest":', '"unknown":')).newest is None
    assert Cursor.from_json(outcome.cursor.to_json().replace('"init_url":null', '"init_url":7')).newest is None
