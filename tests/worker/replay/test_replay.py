"""A policy is replayed on the verdict log, and compared with the raised incidents, in a real Valkey and a real
folder."""

import io
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from redis import Redis
from replayed import IN_ORDER, RULES, Life, sample
from rich.console import Console

from config.policy.policy import Policy
from worker.bank.keys import QUARANTINE
from worker.errors import QueueError, ReplayError
from worker.incidents.keys import incident_key
from worker.replay.comparison import IncidentChange
from worker.replay.replaying import BINS, ReplayResult, ScoreCounts
from worker.replay.report import report
from worker.replay.score_plot import cut_label, score_plot
from worker.replay.spool import PART_ROWS
from worker.replay.thresholds import Threshold


@pytest.fixture
def policy(policy_of: Callable[[str], Policy]) -> Policy:
    return policy_of(RULES + IN_ORDER)


@pytest.fixture
def life(redis: Redis, policy: Policy, tmp_path: Path) -> Life:
    return Life(redis=redis, policy=policy, folder=tmp_path / "store")


BUSY = (0.1, 0.3, 0.55, 0.95, None)
CALM = (*[0.1] * 30, 0.3, 0.9, 0.95, None)


def live(
    life: Life,
    seed: int,
    *,
    first: int = 0,
    segments: int = 60,
    scores: Sequence[float | None] = BUSY,
    late: Callable[[random.Random], float] = lambda chance: chance.uniform(0, 6),
) -> None:
    """Segments end in any order or fail, people decide meanwhile, and a hash is temporarily silent.

    `late`: by how many segments one ends later.
    """
    chance = random.Random(seed)
    streams = {first + number: f"cam-{chance.randrange(3)}" for number in range(segments)}
    keys = {number: f"1.1.sole.{number}.{seed:x}" for number in streams}
    for number, stream in streams.items():
        life.admit(stream, keys[number], number * 2000)
    for number in sorted(streams, key=lambda number: number + late(chance)):
        stream, key = streams[number], keys[number]
        if chance.random() < 0.05:
            life.quarantine("known/7", for_ms=chance.randrange(5, 60))
        if chance.random() < 0.1:
            life.fail(stream, key, number * 2000)
            continue
        found = [
            sample(
                0.5 + index,
                score=chance.choice(scores),
                lists=["known"] if chance.random() < 0.1 else [],
            )
            for index in range(chance.randrange(1, 4))
        ]
        life.settle(stream, key, number * 2000, found)
        if chance.random() < 0.3:
            life.decide(stream, chance.choice([rule.name for rule in life.policy.rules]))


def assert_raises_what_was_raised(life: Life) -> None:
    result = life.replay()
    assert {one.change for one in result.compared} == {IncidentChange.SAME, IncidentChange.SHADOW}
    same = [one for one in result.compared if one.change is IncidentChange.SAME]
    assert sorted(one.was.incident_id for one in same if one.was is not None) == life.incidents()
    for one in same:
        assert one.was is not None
        assert one.would is not None
        assert (one.was.severity, one.was.segment_key) == (one.would.severity, one.would.segment_key)
        assert one.was.raised_ms == one.would.incident.raised_ms
        assert one.was.worst == one.would.incident.finding.severity
    assert result.policies == {life.policy.version: result.rows}


@pytest.mark.parametrize("seed", range(4))
def test_the_policy_in_force_raises_the_recorded_incidents(life: Life, seed: int) -> None:
    """Nobody could trust a replay of another policy."""
    live(life, seed)
    assert len(life.incidents()) > 10
    assert_raises_what_was_raised(life)


def live_variedly(life: Life, seed: int, *, first: int = 0, segments: int = 60, revised: float = 0.0) -> None:
    """Streams change their purpose, matches get nearer and farther, and decisions silence what follows; some are
    revised."""
    chance = random.Random(seed)
    for number in range(first, first + segments):
        stream, key = f"cam-{chance.randrange(2)}", f"1.1.sole.{number}.{seed:x}"
        life.admit(stream, key, number * 2000)
        found = [
            sample(
                0.5 + index,
                score=chance.choice(BUSY),
                lists=["known"] if chance.random() < 0.5 else [],
                entry=chance.choice("789"),
                distance=chance.choice([0, 10, 20, 30]),
            )
            for index in range(2)
        ]
        life.settle(stream, key, number * 2000, found, purpose=chance.choice(["live", "live", "drill"]))
        if chance.random() < 0.6:
            life.decide(stream, chance.choice([rule.name for rule in life.policy.rules]))
        if revised and chance.random() < revised:
            with suppress(QueueError):  # it is open, or was decided so
                life.revise(chance.choice(life.incidents()), chance.choice(["harmless", "csea_apparent"]))


def live_with_ends(life: Life, seed: int, *, first: int = 0, segments: int = 60) -> None:
    """Streams fall silent, and people decide on incidents that go on and on such that have ended."""
    chance = random.Random(seed)
    for number in range(first, first + segments):
        stream, key = f"cam-{chance.randrange(2)}", f"1.1.sole.{number}.{seed:x}"
        life.admit(stream, key, number * 2000)
        found = [sample(0.5, score=chance.choice(BUSY), lists=["known"] if chance.random() < 0.5 else [])]
        life.settle(stream, key, number * 2000, found)
        if chance.random() < 0.2:
            life.fall_silent(stream)
        if chance.random() < 0.2:
            life.decide(stream, chance.choice([rule.name for rule in life.policy.rules]))


@pytest.mark.parametrize("seed", range(2))
def test_ends_without_a_decision_are_replayed(life: Life, seed: int) -> None:
    """A replay would show every incident after a pause as gone."""
    live_with_ends(life, seed)
    records = [life.redis.hgetall(incident_key(one)) for one in life.incidents()]
    assert {("ended" in record, "outcome" in record) for record in records} == {
        (True, True),
        (True, False),
        (False, True),
        (False, False),
    }
    assert_raises_what_was_raised(life)
    since_ms = life.next_ms()
    before = set(life.incidents())
    live_with_ends(life, seed + 10, first=60)
    assert_raises_what_was_raised(life)
    result = life.replay(since_ms=since_ms)
    same = [one for one in result.compared if one.change is not IncidentChange.SHADOW]
    assert {one.change for one in same} == {IncidentChange.SAME}
    assert {one.was.incident_id for one in same if one.was is not None} == set(life.incidents()) - before


LONG_SILENCE = RULES.replace("cooldown_seconds: 0.05", "cooldown_seconds: 600")


@pytest.mark.parametrize("seed", range(2))
def test_purposes_and_worse_matches_after_decisions_are_replayed(
    redis: Redis, policy_of: Callable[[str], Policy], tmp_path: Path, seed: int
) -> None:
    """A replay would show incidents that were never raised, or miss some that were."""
    life = Life(redis=redis, policy=policy_of(LONG_SILENCE + IN_ORDER), folder=tmp_path / "store")
    live_variedly(life, seed)
    assert_raises_what_was_raised(life)


def test_decisions_before_the_replayed_time_are_known_by_their_matches(
    redis: Redis, policy_of: Callable[[str], Policy], tmp_path: Path
) -> None:
    """The first days of a replay would show many incidents that people had decided on long before."""
    life = Life(redis=redis, policy=policy_of(LONG_SILENCE), folder=tmp_path / "store")
    live_variedly(life, 5)
    since_ms = life.next_ms()
    before = set(life.incidents())
    live_variedly(life, 6, first=60)
    after = sorted(set(life.incidents()) - before)
    result = life.replay(since_ms=since_ms)
    assert {one.change for one in result.compared} <= {IncidentChange.SAME, IncidentChange.SHADOW}
    assert sorted(one.was.incident_id for one in result.compared if one.was is not None) == after


@pytest.mark.parametrize("seed", range(2))
def test_revised_decisions_are_replayed(
    redis: Redis, policy_of: Callable[[str], Policy], tmp_path: Path, seed: int
) -> None:
    """After each revised decision a replay would show incidents that were never raised."""
    life = Life(redis=redis, policy=policy_of(LONG_SILENCE), folder=tmp_path / "store")
    live_variedly(life, seed, revised=0.2)
    since_ms = life.next_ms()
    before = set(life.incidents())
    live_variedly(life, seed + 10, first=60, revised=0.2)
    assert_raises_what_was_raised(life)
    result = life.replay(since_ms=since_ms)
    assert {one.change for one in result.compared} <= {IncidentChange.SAME, IncidentChange.SHADOW}
    same = [one.was for one in result.compared if one.was is not None]
    assert {one.incident_id for one in same} == set(life.incidents()) - before
    # The last outcome is reported.
    for one in same:
        assert one.outcome == redis.hget(incident_key(one.incident_id), "outcome")
    assert any(one.was.revisions for one in life.replay().compared if one.was is not None)


@pytest.mark.parametrize("seed", [22, 24])
def test_sparse_findings_and_late_segments_are_replayed(life: Life, seed: int) -> None:
    """Findings that waited for a segment without findings would seem to be raised too early, or never."""
    live(life, seed, segments=120, scores=CALM, late=lambda chance: chance.uniform(0, 90) * (chance.random() < 0.2))
    assert life.incidents()
    assert_raises_what_was_raised(life)


@pytest.mark.parametrize("seed", range(2))
def test_a_replay_may_start_at_any_moment(life: Life, seed: int) -> None:
    """A replay of the last day starts with incidents that are open, decided, or about to be raised."""
    live(life, seed, segments=30)
    since_ms = life.next_ms()
    before = life.incidents()
    live(life, seed + 100, first=30, segments=30)
    result = life.replay(since_ms=since_ms)
    same = [one for one in result.compared if one.change is not IncidentChange.SHADOW]
    assert {one.change for one in same} == {IncidentChange.SAME}
    after = sorted(set(life.incidents()) - set(before))
    assert sorted(one.was.incident_id for one in same if one.was is not None) == after
    # The run-up, which fills the memory of rules, is not counted.
    assert result.segments <= 30 < life.replay().segments


def changes(result: ReplayResult) -> list[tuple[str, str, str]]:
    """Changes of incidents: change, stream, rule."""
    return [(str(one.change), one.stream_id, one.rule) for one in result.compared]


@pytest.fixture
def simple(redis: Redis, policy_of: Callable[[str], Policy], tmp_path: Path) -> Life:
    """A deployment with few rules."""
    text = RULES.replace("  - {name: tried", "  - {name: shadowed")
    return Life(redis=redis, policy=policy_of(text), folder=tmp_path / "store")


def show(life: Life, stream: str, scores: Sequence[float], *, begin: int = 0, **more: Any) -> None:
    """Shows a picture every 2 s on a stream, each in its own segment."""
    for number, score in enumerate(scores, begin):
        life.admit(stream, f"{stream}-{number}", 2000 * number)
        life.settle(stream, f"{stream}-{number}", 2000 * number, [sample(0.5, score=score)], **more)


def test_another_policy_raises_what_it_would_have_raised(simple: Life, policy_of: Callable[[str], Policy]) -> None:
    """The effect of a changed threshold could be found out only in production."""
    show(simple, "cam-a", [0.6] * 5)
    show(simple, "cam-b", [0.92])
    show(simple, "cam-c", [0.45] * 5)
    show(simple, "cam-d", [0.1, 0.1])
    new = policy_of(
        RULES.replace("hits: 3", "hits: 2")
        .replace("> 0.5", "> 0.4")
        .replace("likely", "likelier")
        .replace("> 0.9", "> 0.5")
    )
    result = simple.replay(new)
    assert sorted(changes(result)) == [
        ("gone", "cam-b", "likely"),
        ("moved", "cam-a", "nude"),
        ("new", "cam-a", "likelier"),
        ("new", "cam-b", "likelier"),
        ("new", "cam-c", "nude"),
        ("shadow", "cam-a", "tried"),
        ("shadow", "cam-b", "tried"),
        ("shadow", "cam-c", "tried"),
    ]
    tallies = {tally.rule: tally for tally in result.tallies}
    assert (tallies["nude"].was, tallies["nude"].would_be, tallies["nude"].hits) == (1, 2, 11)
    assert (tallies["likely"].was, tallies["likely"].would_be, tallies["likely"].mode) == (1, 0, "")
    assert list(tallies) == ["known", "nude", "likelier", "tried", "likely"]
    summary = [*result.records()][-1]
    assert (summary["was"], summary["would_be"], summary["pictures"], summary["streams"]) == (2, 4, 13, 4)


def test_the_table_fits_eighty_columns(simple: Life, policy_of: Callable[[str], Policy]) -> None:
    """Policy authors would see ellipses in place of numbers."""
    show(simple, "cam-a", [0.6] * 5)
    show(simple, "cam-b", [0.92])
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(report(simple.replay(policy_of(RULES.replace("hits: 3", "hits: 2").replace("likely", "likelier")))))
    text = console.export_text()
    assert "…" not in text
    rows = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.strip()}
    assert rows["nude"] == ["1", "1", "0", "1", "0", "0", "1→1", "6"]
    assert rows["tried"] == ["(shadow)", "0", "2", "0", "0", "0", "0", "0→2", "6"]
    assert rows["likely"] == ["(removed)", "1", "0", "0", "0", "0", "1", "1→0", "0"]
    assert rows["cam-b"] == ["0", "1", "1"]


def test_the_plot_counts_the_pictures_beyond_each_threshold(simple: Life, policy_of: Callable[[str], Policy]) -> None:
    """An author of a threshold would have to count bars on a logarithmic scale; a score equal to it must be on the
    rule's side."""
    show(simple, "cam-a", [0.25, 0.5, 0.5, 0.75, 1.0])
    show(simple, "cam-b", [0.92, None])
    rules = {"over": "> 0.5", "from": ">= 0.5", "below": "< 0.5", "not-over": "<= 0.5", "over-half": "> 0.93"}
    text = "".join(
        f"  - {{name: {name}, when: 'score(\"m/nsfw\") {condition}', severity: review}}\n"
        for name, condition in rules.items()
    )
    text += '  - {name: lasting, when: \'window.count("m/nsfw", 0.92, "30s") >= 3\', severity: review}\n'
    text += "  - {name: swapped, when: '0.5 < score(\"m/nsfw\")', severity: review}\n"
    result = simple.replay(policy_of(f'version: "9"\nrules:\n{text}'))
    right = {one.rule: result.scores.right[one] for one in result.scores.thresholds}
    assert right == {"over": 3, "from": 5, "below": 5, "not-over": 3, "over-half": 1, "lasting": 2, "swapped": 3}
    hits = {tally.rule: tally.hits for tally in result.tallies}
    assert (hits["over"], hits["from"], hits["swapped"]) == (3, 5, 3)
    assert (hits["below"], hits["not-over"]) == (7 - 5, 7 - 3)  # a picture without a score has 0.0 to a rule
    labels = {cut_label(one, right[one.rule]) for one in result.scores.thresholds}
    assert {"over  0.5: 3 pictures right of it", "over-half  0.93: 1 picture right of it"} <= labels


def test_the_plot_has_titles_on_both_axes() -> None:
    """A forwarded plot would not say what it counts, of which score."""
    threshold = Threshold(score="m/nsfw", value=0.5, rule="nude")
    plots = []
    for right in (1, 22):
        scores = ScoreCounts(thresholds=(threshold,), counts={"m/nsfw": np.ones(BINS, np.int64)})
        scores.right[threshold] = right
        with Image.open(io.BytesIO(score_plot(scores, title="t"))) as image:
            plots.append(np.asarray(image.convert("L")).astype(int))
    one, many = plots
    floor = int(np.flatnonzero((one < 100).sum(axis=1) > 900)[-1])
    assert (one[floor + 30 : floor + 60, 500:800] < 100).any()  # below the scale: the score
    assert (one[100:floor, 5:35] < 100).any()  # beside the scale, left of its numbers: pictures
    differing = np.flatnonzero((one != many).any(axis=1))
    assert differing.size
    assert differing.max() < floor - 200  # the label, and nothing else


def test_decisions_stay_in_effect(simple: Life, policy_of: Callable[[str], Policy]) -> None:
    """A stricter policy would seem to call moderators again and again for what they have decided."""
    show(simple, "cam-a", [0.6] * 4)
    assert simple.decide("cam-a", "nude")
    show(simple, "cam-a", [0.6] * 4, begin=4)
    # A capture within the cooldown of the decision belongs to it; the second incident came later than a second.
    quiet = policy_of(RULES.replace("cooldown_seconds: 1}", "cooldown_seconds: 600}"))
    reported = {
        name: Counter(changes(simple.replay(of))) for name, of in (("in force", simple.policy), ("quiet", quiet))
    }
    assert reported["in force"]["same", "cam-a", "nude"] == 2
    assert (reported["quiet"]["same", "cam-a", "nude"], reported["quiet"]["gone", "cam-a", "nude"]) == (1, 1)


def test_incidents_without_logged_pictures_are_kept_as_recorded(
    simple: Life, policy_of: Callable[[str], Policy]
) -> None:
    """An incident whose pictures are lost would seem to be gone with the new policy, and be raised by the next hit."""
    simple.admit("cam-a", "lost", 0)
    simple.settle("cam-a", "lost", 0, [sample(0.5, score=0.95)], loses=True)
    show(simple, "cam-a", [0.95], begin=1)
    assert sorted(changes(simple.replay())) == [("given", "cam-a", "likely"), ("shadow", "cam-a", "shadowed")]
    without = policy_of(RULES.replace("name: likely", "name: other"))
    assert ("gone", "cam-a", "likely") in changes(simple.replay(without))


def test_silent_hashes_stay_silent(simple: Life) -> None:
    """A quarantined hash would seem to have been missed by everybody."""
    simple.quarantine("known/7", for_ms=60_000)
    simple.admit("cam-a", "one", 0)
    simple.settle("cam-a", "one", 0, [sample(0.5, score=0.1, lists=["known"])])
    simple.redis.delete(QUARANTINE)
    assert changes(simple.replay()) == []
    simple.admit("cam-a", "two", 2000)
    simple.settle("cam-a", "two", 2000, [sample(0.5, score=0.1, lists=["known"])])
    assert changes(simple.replay()) == [("same", "cam-a", "known")]


def test_look_back_findings_are_kept_as_recorded(simple: Life) -> None:
    """The log of that time does not know the hash: the incident would be gone, and the next hit would raise another."""
    show(simple, "cam-a", [0.1] * 3)
    simple.look_back("cam-a", "cam-a-1", 2500, ["known"])
    simple.admit("cam-a", "later", 8000)
    simple.settle("cam-a", "later", 8000, [sample(0.5, score=0.1, lists=["known"])])
    assert changes(simple.replay()) == [("given", "cam-a", "known")]


def test_a_stream_without_rows_in_the_log(simple: Life) -> None:
    """Incidents of a stream whose rows died with their worker would be in no count."""
    simple.admit("cam-a", "lost", 0)
    simple.settle("cam-a", "lost", 0, [sample(0.5, score=0.95)], loses=True)
    show(simple, "cam-b", [0.1])
    assert changes(simple.replay()) == [("given", "cam-a", "likely")]


def test_a_flood_is_kept_as_recorded(redis: Redis, policy_of: Callable[[str], Policy], tmp_path: Path) -> None:
    """Hundreds of incidents that are one would seem to have been raised, or missed."""
    text = RULES.replace("rules:", "flood: {streams: 3}\nrules:")
    life = Life(redis=redis, policy=policy_of(text), folder=tmp_path / "store")
    for number in range(5):
        life.admit(f"cam-{number}", "one", 2000 * number)
        life.settle(f"cam-{number}", "one", 2000 * number, [sample(0.5, score=0.1, lists=["known"])])
    reported = changes(life.replay())
    assert [one for one in reported if one[2] == "known"] == [("same", "cam-0", "known"), ("same", "cam-1", "known")]
    assert [(change, rule) for change, _, rule in reported if rule != "known"] == [("given", "hash-flood")]


def test_a_full_disk_is_reported(simple: Life, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A library's traceback would be the only explanation, hours into a long log."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    show(simple, "cam-a", [0.1])
    with pytest.raises(ReplayError, match="none: No such file or directory: TMPDIR may name a folder with more room"):
        simple.replay(as_of_rows=5 * PART_ROWS)


def test_a_long_log_is_replayed_in_parts(life: Life) -> None:
    """A day of a thousand streams would not fit into memory."""
    live(life, 7)
    whole, parted = life.replay(), life.replay(as_of_rows=5 * PART_ROWS)
    assert whole.compared == parted.compared
    assert whole.tallies == parted.tallies
    assert (whole.rows, whole.streams, whole.segments) == (parted.rows, parted.streams, parted.segments)
    assert all((whole.scores.counts[name] == parted.scores.counts[name]).all() for name in whole.scores.counts)


def test_an_empty_log(life: Life) -> None:
    """On the first day, without any rows, a replay would fail."""
    result = life.replay()
    assert (result.rows, result.compared) == (0, ())
