"""Other videos, which players may show in place of a stream's own, are counted: they are in no segment that anybody
watches."""

import time
from contextlib import closing

import pytest
from hls_origin import LiveOrigin
from polled_platform import Platform, origins_of_a_platform
from redis import Redis

from worker.ingest.playlist.cursor import Cursor
from worker.ingest.playlist.hls import MasterPlaylist
from worker.ingest.playlist.other_videos import MAX_OTHER_VIDEOS
from worker.ingest.playlist.parse_window import MAX_RENDITIONS, PARSED_ENTRIES
from worker.ingest.playlist.parsing import MAX_PLAYLIST_BYTES, parse_playlist

URL = "https://cdn.example/live/index.m3u8"
VARIANT = '#EXT-X-STREAM-INF:BANDWIDTH=500000,RESOLUTION=640x360,VIDEO="v"\nlow.m3u8\n'
NAMED = 'TYPE=VIDEO,GROUP-ID="v",NAME="a"'
TAGS = {
    "a camera": f'#EXT-X-MEDIA:{NAMED},URI="a.m3u8"',
    "of a group that no variant names": '#EXT-X-MEDIA:TYPE=VIDEO,GROUP-ID="w",NAME="a",URI="a.m3u8"',
    "of another origin": f'#EXT-X-MEDIA:{NAMED},URI="https://elsewhere.example/low.m3u8"',
    "the playlist last": '#EXT-X-MEDIA:URI="a.m3u8",NAME="a,b",GROUP-ID="v",TYPE=VIDEO',
    "spaces and a return": '  #EXT-X-MEDIA: URI = "a.m3u8" , TYPE = VIDEO\r',
    "types in quotes": '#EXT-X-MEDIA:TYPE="VIDEO",URI=a.m3u8',
    "the type twice": '#EXT-X-MEDIA:TYPE=AUDIO,TYPE=VIDEO,URI="a.m3u8"',
    "the playlist twice": '#EXT-X-MEDIA:TYPE=VIDEO,URI="low.m3u8",URI="a.m3u8"',
    "in two groups": "\n".join(f'#EXT-X-MEDIA:TYPE=VIDEO,GROUP-ID="{group}",URI="a.m3u8"' for group in "vw"),
    "a URI that nobody can fetch": f'#EXT-X-MEDIA:{NAMED},URI="http://[::1/a.m3u8"',
    "a URI that browsers rewrite": f'#EXT-X-MEDIA:{NAMED},URI="b\\a.m3u8"',
    "behind a long name": f'#EXT-X-MEDIA:NAME="{"a" * 10_000}",TYPE=VIDEO,URI="a.m3u8"',
    "a playlist of sound alone, as its variant says": '#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS="mp4a.40.2"\na.m3u8\n'
    f'#EXT-X-MEDIA:{NAMED},URI="a.m3u8"',
    "behind a quote that opens no value": '#EXT-X-MEDIA:NAME=a"b,TYPE=VIDEO,URI="a.m3u8"',
    "behind so many variants, and a return": VARIANT * (MAX_RENDITIONS + 1)
    + f'# a comment\r#EXT-X-MEDIA:{NAMED},URI="a.m3u8"',
    "behind what nobody reads": '#EXT-X-MEDIA:TYPE=VIDEO,GROUP-ID="v"\n' * 5_000 + '#EXT-X-MEDIA:TYPE=VIDEO,URI="a"',
}
OTHERS = {
    "the stream's own": f"#EXT-X-MEDIA:{NAMED},DEFAULT=YES",
    "an empty URI": f'#EXT-X-MEDIA:{NAMED},URI=""',
    "a variant's": f'#EXT-X-MEDIA:{NAMED},URI="../live/low.m3u8"',
    "sound": '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="v",NAME="TYPE=VIDEO",URI="a.m3u8"',
    "a type in a name": '#EXT-X-MEDIA:TYPE=AUDIO,NAME="a,TYPE=VIDEO,",URI="a.m3u8"',
    "a playlist in a name": '#EXT-X-MEDIA:TYPE=VIDEO,NAME="a,URI=a.m3u8"',
    "a comment": '# #EXT-X-MEDIA:TYPE=VIDEO,URI="a.m3u8"',
    "another tag": '#EXT-X-MEDIATE:TYPE=VIDEO,URI="a.m3u8"',
}


def master(*lines: str) -> MasterPlaylist:
    playlist = parse_playlist("\n".join(["#EXTM3U", *lines, VARIANT]), URL, most=PARSED_ENTRIES)
    assert isinstance(playlist, MasterPlaylist)
    return playlist


def list_them(origin: LiveOrigin, *lines: str) -> None:
    """The origin's master playlist has these lines too; its variant one segment."""
    origin.playlist = "\n".join(["#EXTM3U", *lines, VARIANT]).encode()
    origin.bodies["/live/low.m3u8"] = b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n0.ts\n"


@pytest.mark.parametrize("tag", TAGS.values(), ids=TAGS)
def test_an_other_video_is_found_once(tag: str) -> None:
    """Viewers would be shown another video, and the ledger would say that everything was moderated."""
    assert len(master(tag).other_videos) == 1


@pytest.mark.parametrize("tag", OTHERS.values(), ids=OTHERS)
def test_other_media_are_none(tag: str) -> None:
    """Broadcasters list sound and subtitles in the same tag, and name the stream's own video in it."""
    assert master(tag).other_videos == ()


def test_tokens_and_hosts_make_no_other_video() -> None:
    """Each reading of a playlist with signed URLs would count the same cameras again."""
    one, two = (
        master(f'#EXT-X-MEDIA:{NAMED},URI="https://{number}.cdn.example/a.m3u8?token={number}"').other_videos
        for number in range(2)
    )
    assert [video.identity for video in one] == [video.identity for video in two]


def test_videos_that_differ_by_their_query_are_counted_each() -> None:
    """A packager that names cameras by a parameter would seem to have one."""
    videos = master(*(f'#EXT-X-MEDIA:{NAMED},URI="a.m3u8?camera={number}"' for number in range(3))).other_videos
    assert len({video.identity for video in videos}) == 3


def test_each_is_counted_once_in_the_ledger(redis: Redis) -> None:
    """Nobody would know that viewers may see what is not watched; or the count would grow with each reading."""
    camera = '#EXT-X-MEDIA:TYPE=VIDEO,GROUP-ID="v",NAME="{0}",URI="{0}.m3u8"'
    with origins_of_a_platform(1) as (origin,), closing(Platform(redis, [origin])) as platform:

        def poll(*cameras: str) -> int:
            """Gives the count after the master playlist was read once more, for its variant had failed."""
            list_them(origin, *(camera.format(name) for name in cameras))
            body = origin.bodies.pop("/live/low.m3u8")
            platform.poll("s")
            origin.bodies["/live/low.m3u8"] = body
            counts: dict[str, int] = platform.poll("s")["counts"]
            return counts.get("other_videos", 0)

        platform.watch("s", origin)
        assert poll() == 0
        assert poll("a") == 1
        assert poll("a", "b") == 2
        assert poll() == 2
        assert poll("b", "a") == 2
        assert poll("c") == 3
        assert platform.poll("s")["counts"]["other_videos"] == 3, "the master playlist was not read"


@pytest.mark.parametrize(
    "tag",
    [
        '#EXT-X-MEDIA:TYPE=VIDEO,URI="{}.m3u8"\n',
        '#EXT-X-MEDIA:TYPE=VIDEO,URI="{}/../low.m3u8"\n',
        "#EXT-X-MEDIA:VIDEO{}\n",
        "#EXT-X-MEDIA:{}\n",
        "#EXT-X-MEDIA:" + "{}," * 1_000 + "VIDEO\n",
        "#EXT-X-MEDIA:" + "A" * 5_000 + "VIDEO{}\n",
        "#EXT-X-MEDIA:TYPE=VIDEO," + '"' * 5_000 + "{}\n",
        "#EXT-X-MEDIA:" + "VIDEO {}" * 5_000,
        "#EXT-X-MEDIA:TYPE=VIDEO" + ",URI=a" * 1_300 + "{}\n",
        "#EXT-X-MEDIA:TYPE=VIDEO" + ",URI=low.m3u8" * 600 + "\n",
        "#EXT-X-MEDIA:TYPE=VIDEO" + ",URI=" * 1_600 + "\n",
        "#EXT-X-MEDIA:TYPE=VIDEO," + "A" * 8_000 + "\n",
        " " * 5_000 + "{}\n",
        " {}" * 5_000,
    ],
    ids=[
        "other videos",
        "ways to the variant",
        "short",
        "without a type",
        "of many attributes",
        "of one attribute",
        "of quotes",
        "one line",
        "of one URI",
        "of the variant's URI",
        "of empty URIs",
        "of one name",
        "of spaces",
        "a line of spaces",
    ],
)
def test_a_playlist_of_nothing_else_is_bounded(tag: str) -> None:
    """A hostile origin would fill the stream's record, or a batch's time."""
    text = "".join(tag.replace("{}", str(number)) for number in range(MAX_PLAYLIST_BYTES // len(tag)))
    # What comes after so many variants is bounded by nothing else.
    variants = [VARIANT.strip()] * (MAX_RENDITIONS + 1)
    begin_seconds = time.thread_time()
    found = master(*variants, text[: MAX_PLAYLIST_BYTES - 10_000]).other_videos
    assert time.thread_time() - begin_seconds < 0.5
    assert len(found) <= MAX_OTHER_VIDEOS


def test_a_record_of_before_is_read() -> None:
    """After an update each stream would begin anew."""
    cursor = Cursor(generation=1, rendition="360", other_videos=("a", "b"))
    assert Cursor.from_json(cursor.to_json()) == cursor
    assert Cursor.from_json('{"generation":1,"rendition":"360"}').other_videos == ()


def test_what_is_remembered_is_bounded(redis: Redis) -> None:
    """A broadcaster who lists other videos with each reading would fill Redis."""
    with origins_of_a_platform(1) as (origin,), closing(Platform(redis, [origin])) as platform:
        platform.watch("s", origin)
        for reading in range(3):
            list_them(origin, *(f'#EXT-X-MEDIA:TYPE=VIDEO,URI="{reading}-{number}.m3u8"' for number in range(60)))
            body = origin.bodies.pop("/live/low.m3u8")
            platform.poll("s")
            origin.bodies["/live/low.m3u8"] = body
            platform.poll("s")
        record = redis.hget("lw:stream:s", "cursor")
        assert record is not None
        assert len(Cursor.from_json(record).other_videos) == MAX_OTHER_VIDEOS
