"""The draw of segments that are moderated in another rendition too, of that rendition, and its segment."""

from worker.ingest.playlist.hls import MasterPlaylist, MediaPlaylist, OtherVideo, Rendition, Segment

DRAW_BYTES = 6
"""Bytes of a seed for one draw: as many as a float holds exactly."""

MOST_DRAWN = 3
"""Renditions that are drawn for an audit, <=: the next takes the place of one that cannot be had, so that those that a
broadcaster lists and does not serve take few audits from others."""

MINUTE_MS = 60_000


def is_drawn(seed: bytes, *, duration_ms: int, per_minute: float) -> bool:
    """Returns whether a segment is audited, so that `per_minute` of a stream's are, however long they last.

    Args:
        seed: secret; the same one gives the same answer.
    """
    return _draw(seed, 0) < per_minute * duration_ms / MINUTE_MS


def other_renditions(master: MasterPlaylist, watched: str, seed: bytes) -> tuple[Rendition | OtherVideo, ...]:
    """Draws some of the playlists that are not watched, in the order in which they are tried; (): there is none with
    pictures.

    Where there are other videos, half of the draws are theirs, so that nobody hides a rendition among many of them.

    Args:
        watched: name of the rendition that is.
        seed: that of `is_drawn`.
    """
    others: list[Rendition | OtherVideo] = [*master.others(watched)]
    kinds = [kind for kind in (others, [*master.other_videos]) if kind]
    drawn: list[Rendition | OtherVideo] = []
    while kinds and len(drawn) < MOST_DRAWN:
        at = _draw(seed, 1 + len(drawn)) * len(kinds)
        kind = kinds[int(at)]
        drawn.append(kind.pop(int(at % 1 * len(kind))))
        kinds = [kind for kind in kinds if kind]
    return tuple(drawn)


def counterpart(playlist: MediaPlaylist, *, sequence: int, program_ms: int | None) -> Segment | None:
    """The segment of another rendition that shows what the watched one's does; None: none of it can be had.

    Renditions mostly share their numbers; of those that do not, or whose segment of that number is of another time, the
    one whose clock (EXT-X-PROGRAM-DATE-TIME) is nearest is taken, and without clocks the newest: it is moderated,
    whatever it shows.

    Args:
        sequence: media sequence number of the watched segment.
        program_ms: its EXT-X-PROGRAM-DATE-TIME, in Unix milliseconds; None: unknown.
    """
    listed = [segment for segment in playlist.segments if not segment.gap]
    numbered = next((segment for segment in listed if segment.sequence == sequence), None)
    timed = {
        abs(round(at.timestamp() * 1000) - program_ms): segment
        for segment in listed
        if program_ms is not None and (at := segment.program_date_time) is not None and at.tzinfo is not None
    }
    if numbered is not None and all(off_ms < numbered.duration_ms for off_ms, one in timed.items() if one is numbered):
        return numbered
    if timed:
        return timed[min(timed)]
    return listed[-1] if listed else None


def _draw(seed: bytes, number: int) -> float:
    """A number in [0, 1)."""
    return int.from_bytes(seed[number * DRAW_BYTES : (number + 1) * DRAW_BYTES]) / 2.0 ** (8 * DRAW_BYTES)
