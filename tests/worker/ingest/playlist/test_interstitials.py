"""Interstitials, which players show in place of a stream, are counted: they are in no segment that anybody watches."""

from contextlib import closing

import pytest
from polled_platform import Platform, origins_of_a_platform
from redis import Redis

from worker.ingest.playlist.cursor import Cursor
from worker.ingest.playlist.interstitials import MAX_INTERSTITIALS, interstitials
from worker.ingest.playlist.parsing import MAX_PLAYLIST_BYTES

CLASS = 'CLASS="com.apple.hls.interstitial"'
START = 'START-DATE="2026-01-01T00:00:10Z"'
TAGS = {
    "an asset": f'#EXT-X-DATERANGE:ID="a",{CLASS},{START},DURATION=15.0,X-ASSET-URI="http://127.0.0.1/a.m3u8"',
    "a list of assets": f'#EXT-X-DATERANGE:ID="b",{CLASS},{START},X-ASSET-LIST="http://127.0.0.1/b.json",X-SNAP="OUT"',
    "the asset first": f'  #EXT-X-DATERANGE: X-ASSET-URI = "c.m3u8" , ID="c",{START}\r',
}
OTHERS = {
    "a mark of SCTE-35": f'#EXT-X-DATERANGE:ID="d",{START},SCTE35-OUT=0xFC',
    "a name in a text": f'#EXT-X-DATERANGE:ID="e,X-ASSET-URI=",{START}',
    "a line of tags": "#" + '#EXT-X-DATERANGE:ID="g",X-ASSET-URI="g.m3u8"' * 2,
    "a comment": '# #EXT-X-DATERANGE:ID="f",X-ASSET-URI="f.m3u8"',
}


@pytest.mark.parametrize("tag", TAGS.values(), ids=TAGS)
def test_an_interstitial_is_counted_once(redis: Redis, tag: str) -> None:
    """Viewers would be shown another video, and the ledger would say that everything was moderated."""
    with origins_of_a_platform(1) as (origin,), closing(Platform(redis, [origin])) as platform:
        origin.add("0.ts", b"")
        platform.watch("s", origin)
        assert "interstitials" not in platform.poll("s")["counts"]
        origin.add("1.ts", b"")
        origin.extra["1.ts"] = tag
        assert platform.poll("s")["counts"]["interstitials"] == 1
        origin.add("2.ts", b"")
        assert platform.poll("s")["counts"]["interstitials"] == 1
        origin.extra["2.ts"] = tag.replace('ID="', 'ID="other-')
        assert platform.poll("s")["counts"]["interstitials"] == 2


@pytest.mark.parametrize("tag", OTHERS.values(), ids=OTHERS)
def test_other_dates_are_none(tag: str) -> None:
    """Broadcasters mark programmes and breaks in the same tag, and show what is in the stream."""
    assert interstitials(f"#EXTM3U\n{tag}\n#EXTINF:2,\n0.ts\n") == ()


def test_a_playlist_of_nothing_else_is_bounded() -> None:
    """A hostile origin would fill the stream's record, or a batch's time."""
    tag = '#EXT-X-DATERANGE:ID="{}",X-ASSET-URI="a.m3u8"\n'
    text = "".join(map(tag.format, range(MAX_PLAYLIST_BYTES // len(tag))))
    assert len(interstitials(f"#EXTM3U\n{text}")) == MAX_INTERSTITIALS


def test_a_record_of_before_is_read() -> None:
    """After an update each stream would begin anew."""
    cursor = Cursor(generation=1, rendition="360", interstitials=("a", "b"))
    assert Cursor.from_json(cursor.to_json()) == cursor
    assert Cursor.from_json('{"generation":1,"rendition":"360"}').interstitials == ()
