"""The draw of segments that are moderated in another rendition too, of that rendition, and its segment."""

from worker.ingest.playlist.hls import MasterPlaylist, MediaPlaylist, Rendition, Segment

DRAW_BYTES = 6
"""Bytes of a seed for one draw: as many as a float holds exactly."""

MINUTE_MS = 60_000


def is_drawn(seed: bytes, *, duration_ms: int, per_minute: float) -> bool:
    """Returns whether a segment is audited, so that `per_minute` of a stream's are, however long they last.

    Args:
        seed: secret; the same one gives the same answer.
    """
    return _draw(seed, 0) < per_minute * duration_ms / MINUTE_MS


def other_rendition(master: MasterPlaylist, watched: str, seed: bytes) -> Rendition | None:
    """Draws one of the renditions that are not watched; None: there is none with pictures.

    Args:
        watched: name of the rendition that is.
        seed: that of `is_drawn`.
    """
    others = [one for one in master.renditions if one.name != watched and not one.audio_only]
    return others[int(_draw(seed, 1) * len(others))] if others else None


def counterpart(playlist: MediaPlaylist, *, sequence: int, program_ms: int | None) -> Segment | None:
    """The segment of another rendition that shows what the watched one's does; None: none of it can be had.

    Renditions mostly share their numbers; of those that do not, the one whose clock (EXT-X-PROGRAM-DATE-TIME) is
    nearest is taken, and without clocks the newest: it is moderated, whatever it shows.

    Args:
        sequence: media sequence number of the watched segment.
        program_ms: its EXT-X-PROGRAM-DATE-TIME, in Unix milliseconds; None: unknown.
    """
    listed = [segment for segment in playlist.segments if not segment.gap]
    for segment in listed:
        if segment.sequence == sequence:
            return segment
    timed = {
        abs(round(at.timestamp() * 1000) - program_ms): segment
        for segment in listed
        if program_ms is not None and (at := segment.program_date_time) is not None and at.tzinfo is not None
    }
    if timed:
        return timed[min(timed)]
    return listed[-1] if listed else None


def _draw(seed: bytes, number: int) -> float:
    """A number in [0, 1)."""
    return int.from_bytes(seed[number * DRAW_BYTES : (number + 1) * DRAW_BYTES]) / 2.0 ** (8 * DRAW_BYTES)
