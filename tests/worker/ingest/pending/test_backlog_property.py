"""Bounds of a stream's backlog, whatever an origin lists, renames, jumps over and ends, and however slow moderation is:
pending segments are bounded, the ledger adds up, and a recording loses nothing. Playlists go through their text
form."""

from dataclasses import dataclass, field

from hypothesis import example, given, settings
from hypothesis import strategies as st

from worker.ingest.playlist.cursor import Cursor, StreamState
from worker.ingest.playlist.hls import MediaPlaylist
from worker.ingest.playlist.outcome import MissedReason, Reading
from worker.ingest.playlist.parsing import parse_playlist
from worker.ingest.playlist.poll_pace import SHORTEST_DELAY_MS, pending_cap
from worker.ingest.playlist.timeline import SEEN_SEGMENTS, advance, failed_poll

T0 = 1_700_000_000_000
MOST = 40
"""Entries parsed of one playlist; less than in production, so that the limit is hit more often."""
SEGMENT_MS = 2_000


@dataclass
class Stream:
    """An origin and the ledger's view of it. All segments have the same duration, so time gives their number."""

    life: int = 0
    first: int = 0
    last: int = -1
    ended: bool = False
    now_ms: int = T0
    cursor: Cursor = field(default_factory=lambda: Cursor(generation=1, rendition="sole"))
    pending: list[str] = field(default_factory=list)
    admitted: list[tuple[int, int]] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    elapsed_ms: int = 0
    admitted_ms: int = 0
    missed_ms: int = 0
    skipped_ms: int = 0
    accounted: int = 0
    """Segment numbers that the ledger must account for, by what was listed when."""

    def text(self) -> str:
        lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:2", f"#EXT-X-MEDIA-SEQUENCE:{self.first}"]
        for number in range(self.first, self.last + 1):
            lines += ["#EXTINF:2,", f"{self.life}-{number}.ts"]
        return "\n".join([*lines, *(["#EXT-X-ENDLIST"] if self.ended else [])])

    def poll(self) -> None:
        next_sequence = self.cursor.next_sequence
        begin_at = None if next_sequence is None else max(0, next_sequence - SEEN_SEGMENTS)
        playlist = parse_playlist(self.text(), "http://o.example/live.m3u8", most=MOST, from_sequence=begin_at)
        assert isinstance(playlist, MediaPlaylist)
        before, pending = self.cursor, len(self.pending)
        outcome = advance(before, playlist, now_ms=self.now_ms, pending=pending)
        for new in outcome.segments:
            assert new.key not in self.keys, "admitted twice"
            self.keys.add(new.key)
            self.pending.append(new.key)
            self.admitted.append((self.life, new.segment.sequence))
        assert [new.segment.sequence for new in outcome.segments] == sorted(
            new.segment.sequence for new in outcome.segments
        )
        assert len(self.pending) <= max(pending, pending_cap(before, playlist))
        admitted_ms = sum(new.segment.duration_ms for new in outcome.segments)
        missed_ms = sum(stretch.duration_ms for stretch in outcome.missed)
        assert outcome.elapsed_ms == admitted_ms + missed_ms + outcome.skipped_ms
        assert outcome.next_poll_in_ms is None or outcome.next_poll_in_ms >= SHORTEST_DELAY_MS
        if playlist.ended:
            assert not outcome.skipped_ms, "a recording skips nothing"
        if outcome.skipped_ms and outcome.segments:
            assert outcome.segments[-1].segment.sequence == self.last, "the newest are what is moderated"
        assert len(outcome.cursor.to_json()) < 4_000
        self.elapsed_ms += outcome.elapsed_ms
        self.admitted_ms += admitted_ms
        self.skipped_ms += outcome.skipped_ms
        self.missed_ms += missed_ms
        self._account(before, playlist, outcome.reading, outcome.cursor)
        outage_ms = sum(s.duration_ms for s in outcome.missed if s.reason is MissedReason.OUTAGE)
        self.elapsed_ms -= outage_ms
        self.missed_ms -= outage_ms
        assert self.elapsed_ms == self.accounted * SEGMENT_MS, "time was counted that was not listed, or not counted"
        self.cursor = Cursor.from_json(outcome.cursor.to_json())

    def _account(self, before: Cursor, playlist: MediaPlaylist, reading: Reading | None, after: Cursor) -> None:
        """Elapsed time: each number that the cursor passed, and what a recording withdrew."""
        waited = max(0, before.listed_until - (before.next_sequence or 0))
        assert after.next_sequence is not None or not playlist.segments
        passed_to = after.next_sequence or 0
        if reading is Reading.FIRST:
            self.accounted += passed_to - playlist.segments[0].sequence
        elif reading is Reading.RESET:
            self.accounted += waited + passed_to - playlist.first_sequence
        else:
            self.accounted += passed_to - (before.next_sequence or 0)
        if after.state is StreamState.ENDED and playlist.ended and reading is not Reading.RESET:
            # A shorter recording replaced the one that waited: the rest of the old one will never come.
            self.accounted += max(0, before.listed_until - passed_to)

    @property
    def watched(self) -> bool:
        return self.cursor.state is not StreamState.ENDED


steps = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(1, 90)),
        st.tuples(st.just("trim"), st.integers(1, 150)),
        st.tuples(st.just("rename"), st.integers(0, 200)),
        st.tuples(st.just("record"), st.integers(1, 200)),
        st.tuples(st.just("settle"), st.integers(1, 64)),
        st.tuples(st.just("end"), st.booleans()),
        st.tuples(st.just("fail"), st.just(0)),
        st.tuples(st.just("poll"), st.just(0)),
        st.tuples(st.just("poll"), st.just(0)),
    ),
    max_size=30,
)


@settings(max_examples=max(200, settings().max_examples))
@given(steps)
@example([("record", 41), ("record", 41), ("record", 1)])
def test_the_ledger_adds_up_whatever_is_listed(steps: list[tuple[str, int]]) -> None:
    """Some order of floods, restarts, ends and slow workers would lose a stretch, or flood the queue."""
    stream = Stream()
    for step, amount in steps:
        stream.now_ms += 1_000
        match step:
            case "publish" if not stream.ended:
                stream.last += amount
                stream.now_ms += amount * SEGMENT_MS
            case "trim":
                stream.first = min(stream.first + amount, max(stream.first, stream.last))
            case "rename":
                stream.life += 1
                stream.first, stream.last, stream.ended = 0, amount - 1, False
            case "record":
                stream.life += 1
                stream.first, stream.last, stream.ended = 0, amount - 1, True
                stream.poll()
            case "settle":
                del stream.pending[:amount]
            case "end":
                stream.ended = bool(amount) and stream.last >= stream.first
            case "fail":
                stream.cursor = failed_poll(stream.cursor, now_ms=stream.now_ms, reason="timeout").cursor
            case "poll":
                stream.poll()
        if not stream.watched:
            break


@given(st.integers(1, 400), st.integers(0, 1_000), st.lists(st.integers(1, 64), min_size=1, max_size=8), st.booleans())
def test_a_recording_is_admitted_whole(length: int, first: int, settled: list[int], live_before: bool) -> None:
    """A recording longer than the bound of pending segments would lose the rest."""
    stream = Stream(first=first, last=first + length - 1, ended=not live_before)
    if live_before:
        stream.last = first + (length - 1) % MOST
        stream.poll()
        stream.last, stream.ended = first + length - 1, True
    for round_ in range(1_000):
        stream.now_ms += 2_000
        stream.poll()
        if not stream.watched:
            break
        del stream.pending[: settled[round_ % len(settled)]]
    assert not stream.watched
    assert stream.missed_ms == stream.skipped_ms == 0
    assert stream.admitted == [(0, number) for number in range(first, first + length)]
