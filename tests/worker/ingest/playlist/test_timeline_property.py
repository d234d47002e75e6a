"""Whatever an origin does and whenever it is polled: nothing is admitted twice, nothing listed is lost, and elapsed
time equals that of admitted and missed segments."""

from collections import Counter
from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from worker.ingest.playlist.cursor import Cursor, StreamState
from worker.ingest.playlist.hls import MediaPlaylist, Segment
from worker.ingest.playlist.missed_time import provisional_gap
from worker.ingest.playlist.outcome import MissedReason, PollAdvance
from worker.ingest.playlist.playlist_diff import possible_restarts
from worker.ingest.playlist.timeline import LEAST_MEAN_MS, advance, failed_poll

T0 = 1_700_000_000_000
STALE_BY_SEGMENTS = 4


@dataclass
class Published:
    """A segment as its origin published it, under whatever name."""

    life: int
    sequence: int
    duration_ms: int
    path: str


def counted_ms(one: Published) -> int:
    """Durations above the target duration of 4 s, when rounded to seconds, count as the target."""
    return one.duration_ms if one.duration_ms <= 4_500 else 4_000


@dataclass
class Origin:
    """A packager with a sliding window, which restarts, lags, and re-signs its URLs at every poll."""

    window: int
    names_again: bool
    """After a restart the same numbers have the same names; only validators distinguish the runs."""
    life: int = 0
    published: list[Published] = field(default_factory=list)
    asked: int = 0

    def publish(self, duration_ms: int) -> None:
        sequence = self.published[-1].sequence + 1 if self.published else 0
        prefix = "seg" if self.names_again else f"life{self.life}"
        self.published.append(
            Published(life=self.life, sequence=sequence, duration_ms=duration_ms, path=f"/{prefix}-{sequence}.ts")
        )

    def restart(self) -> None:
        self.life += 1
        self.published.clear()

    def listed(self, stale_by: int = 0) -> list[Published]:
        end = max(len(self.published) - stale_by, 1)
        return self.published[max(0, end - self.window) : end]

    def playlist(self, listed: list[Published]) -> MediaPlaylist:
        self.asked += 1
        return MediaPlaylist(
            url="http://origin.example/live.m3u8",
            target_duration_seconds=4.0,
            segments=tuple(
                Segment(
                    sequence=one.sequence,
                    uri=f"http://origin.example{one.path}?sig={self.asked}",
                    duration_ms=one.duration_ms,
                )
                for one in listed
            ),
            ended=False,
        )


class Watch:
    """A stream as the poll reads it: the cursor goes through JSON at each step, as through Redis."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.now_ms = T0
        self.cursor = Cursor(generation=1, rendition="360")
        self.keys: Counter[str] = Counter()
        self.admitted: Counter[tuple[int, int]] = Counter()
        self.listed: dict[tuple[int, int], int] = {}
        self.life_of_key: dict[str, int] = {}
        self.elapsed_ms = 0
        self.missed_ms = 0
        self.jumped: set[tuple[int, int]] = set()

    @property
    def shown_ms(self) -> int:
        """Elapsed time as the ledger shows it, including provisional time."""
        found = provisional_gap(self.cursor)
        return self.elapsed_ms + (0 if found is None else self.now_ms - found.since_ms)

    def poll(self, stale_by: int = 0) -> PollAdvance:
        listed = self.origin.listed(stale_by)
        playlist = self.origin.playlist(listed)
        by_sequence = {one.sequence: one for one in listed}
        doubted = possible_restarts(self.cursor, playlist, now_ms=self.now_ms)
        changed = None
        if doubted:
            changed = self.life_of_key[doubted[0].key] != by_sequence[doubted[0].segment.sequence].life
        before = self.cursor
        outcome = advance(self.cursor, playlist, now_ms=self.now_ms, validators_changed=changed)
        for one in listed:
            self.listed[one.life, one.sequence] = counted_ms(one)
        for new in outcome.segments:
            life = by_sequence[new.segment.sequence].life
            self.keys[new.key] += 1
            self.admitted[life, new.segment.sequence] += 1
            self.life_of_key[new.key] = life
        for stretch in outcome.missed:
            if stretch.reason is MissedReason.LEFT_WINDOW:
                assert before.next_sequence is not None
                jumped = range(before.next_sequence, listed[0].sequence)
                self.jumped |= {(self.origin.life, sequence) for sequence in jumped}
                by_mean_ms, mean_ms = (sum(map(counted_ms, listed)) * n // len(listed) for n in (len(jumped), 1))
                by_clock = mean_ms <= LEAST_MEAN_MS and by_mean_ms < stretch.duration_ms <= 4_000 * len(jumped)
                assert stretch.duration_ms == by_mean_ms or by_clock
        self._take(outcome)
        return outcome

    def fail(self) -> PollAdvance:
        outcome = failed_poll(self.cursor, now_ms=self.now_ms, reason="unreachable")
        self._take(outcome)
        return outcome

    def _take(self, outcome: PollAdvance) -> None:
        missed_ms = sum(stretch.duration_ms for stretch in outcome.missed)
        admitted_ms = sum(new.segment.duration_ms for new in outcome.segments)
        assert outcome.elapsed_ms == admitted_ms + missed_ms
        assert all(stretch.duration_ms > 0 for stretch in outcome.missed)
        self.elapsed_ms += outcome.elapsed_ms
        self.missed_ms += missed_ms
        assert Cursor.from_json(outcome.cursor.to_json()) == outcome.cursor
        self.cursor = Cursor.from_json(outcome.cursor.to_json())

    def check(self) -> None:
        assert max(self.keys.values(), default=0) <= 1, "a key was given twice"
        assert max(self.admitted.values(), default=0) <= 1, "a segment was admitted twice"
        lost = set(self.listed) - set(self.admitted)
        assert lost <= self.jumped, "a listed segment was lost"
        assert self.elapsed_ms == sum(self.listed[one] for one in self.admitted) + self.missed_ms


durations_ms = st.integers(1, 6_000)
pauses_ms = st.integers(0, 30_000)
publish = st.tuples(st.just("publish"), st.lists(durations_ms, min_size=1, max_size=8))
pause = st.tuples(st.just("pause"), pauses_ms)
poll = st.just(("poll", None))
fail = st.just(("fail", None))
restart = st.tuples(st.just("restart"), st.lists(durations_ms, min_size=1, max_size=4))
stale = st.tuples(st.just("stale"), st.integers(1, STALE_BY_SEGMENTS))


def run(watch: Watch, steps: list[tuple[str, object]], *, last_poll: bool = True) -> None:
    for step, argument in steps:
        match step, argument:
            case "publish", list(durations):
                for duration_ms in durations:
                    watch.origin.publish(duration_ms)
                    watch.now_ms += duration_ms
            case "restart", list(durations):
                watch.origin.restart()
                for duration_ms in durations:
                    watch.origin.publish(duration_ms)
                    watch.now_ms += duration_ms
            case "pause", int(pause_ms):
                watch.now_ms += pause_ms
            case "poll", _:
                watch.poll()
            case "stale", int(segments):
                watch.poll(stale_by=segments)
            case "fail", _:
                watch.fail()
    if last_poll:
        watch.poll()


@settings(max_examples=max(500, settings().max_examples))
@given(st.integers(1, 8), st.lists(st.one_of(publish, publish, pause, poll, poll, fail, restart), max_size=40))
def test_an_origin_that_restarts_under_new_names(window: int, steps: list[tuple[str, object]]) -> None:
    """Some order of restarts, outages and skipped polls would lose a stretch or moderate it twice."""
    watch = Watch(Origin(window=window, names_again=False))
    watch.origin.publish(4_000)
    run(watch, steps)
    watch.check()


even = st.tuples(st.just("publish"), st.integers(1, 8).map(lambda count: [4_000] * count))


@given(st.integers(1, 8), st.lists(st.one_of(even, even, pause, poll, fail, fail), max_size=40))
def test_no_time_is_counted_twice(window: int, steps: list[tuple[str, object]]) -> None:
    """Some order of outages, stalls and returns would add more time than the clock shows, or hide an outage."""
    watch = Watch(Origin(window=window, names_again=False))
    watch.cursor = replace(watch.cursor, watched_since_ms=T0 - 4_000)
    watch.origin.publish(4_000)
    watch.poll()
    for step in steps:
        before_ms = watch.now_ms
        run(watch, [step], last_poll=False)
        assert watch.shown_ms <= watch.now_ms - T0 + 4_000
        if step[0] == "fail":
            failing = provisional_gap(watch.cursor)
            assert failing is not None
            assert failing.since_ms <= before_ms
    run(watch, [("publish", [4_000])])
    assert provisional_gap(watch.cursor) is None
    assert watch.shown_ms == watch.elapsed_ms == 4_000 * len(watch.origin.published)


@given(st.integers(6, 8), st.lists(st.one_of(publish, pause, poll, poll, fail, stale), max_size=40))
def test_an_edge_that_lags(window: int, steps: list[tuple[str, object]]) -> None:
    """A CDN with inconsistent edges would have segments lost or moderated twice."""
    watch = Watch(Origin(window=window, names_again=False))
    watch.origin.publish(4_000)
    before_poll: list[tuple[str, object]] = []
    for step in steps:
        # With a poll after every few segments no number is skipped, so that the sequence is fully known.
        before_poll += [(step[0], step[1][:2]), ("poll", None)] if step[0] == "publish" else [step]  # type: ignore[index]
    run(watch, before_poll)
    watch.check()
    assert watch.cursor.epoch == 0
    assert watch.missed_ms == 0
    assert not watch.jumped


@given(st.integers(3, 8), st.lists(st.lists(durations_ms, min_size=1, max_size=6), min_size=1, max_size=12))
def test_an_origin_that_restarts_under_its_old_names(window: int, lives: list[list[int]]) -> None:
    """A restart would be taken for an old playlist although the origin sends validators."""
    watch = Watch(Origin(window=window, names_again=True))
    for durations in lives:
        watch.origin.restart()
        watch.fail()
        for duration_ms in durations:
            watch.origin.publish(duration_ms)
            watch.now_ms += duration_ms
            watch.poll()
    watch.check()
    assert len(watch.admitted) == sum(len(durations) for durations in lives)


@given(st.integers(2, 8), st.lists(durations_ms, min_size=1, max_size=60), st.data())
def test_polling_on_schedule_misses_nothing(window: int, durations: list[int], data: st.DataObject) -> None:
    """The delay between two polls would be longer than the window of the playlist."""
    watch = Watch(Origin(window=window, names_again=False))
    watch.origin.publish(4_000)
    due_ms = watch.now_ms
    for _ in durations:
        duration_ms = data.draw(st.integers(2_000, 6_000))
        watch.now_ms += data.draw(st.sampled_from([0, 0, 0, 120_000]))
        while due_ms <= watch.now_ms + duration_ms:
            at_ms, watch.now_ms = watch.now_ms, max(watch.now_ms, due_ms)
            delay_ms = watch.poll().next_poll_in_ms
            assert delay_ms is not None
            due_ms, watch.now_ms = watch.now_ms + delay_ms, at_ms
        watch.now_ms += duration_ms
        watch.origin.publish(duration_ms)
    watch.poll()
    watch.check()
    assert watch.missed_ms == 0
    assert watch.cursor.state in {StreamState.LIVE, StreamState.STALLED}
