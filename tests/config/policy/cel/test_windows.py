"""Frames of one listed video, counted over time: what is a run, and what only looks like one."""

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import PolicyError
from config.facts import ListMatch, SampleFacts, Severity, StreamFacts, VideoFrame
from config.policy.persistence import Persistence, RuleHeld
from config.policy.policy import Policy, load_policy

LIVE = StreamFacts(stream_id="cam-1")
SAMPLE = SampleFacts(capture_ms=1000, pts_seconds=1.0, reason="keyframe", pdq_quality=90)
THREE = Persistence(video_frames=3, within_seconds=10)


def frame(entry: str, video: str = "v", listed: str = "x") -> VideoFrame:
    return VideoFrame(listed, video, entry)


def match(entry: str, distance: int = 30, video: str | None = "v", listed: str = "x") -> ListMatch:
    return ListMatch(list=listed, entry=entry, distance=distance, video=video)


def at(matches: Sequence[ListMatch]) -> SampleFacts:
    return replace(SAMPLE, matches=tuple(matches))


def policy(when: str = 'matches.exists(m, m.video != "")', **fields: object) -> Policy:
    rule = {"name": "run", "when": when, "severity": "critical", "persistence": {"video_frames": 3}} | fields
    return Policy.model_validate({"version": "1", "rules": [rule]})


class TestCounting:
    @pytest.mark.parametrize(
        ("seen", "met_at"),
        [
            ([(0, "a"), (4_000, "b"), (10_000, "c")], 10_000),
            ([(0, "a"), (4_000, "b"), (10_001, "c")], None),
            ([(10_000, "a"), (0, "c"), (4_000, "b")], 10_000),
            ([(0, "a"), (1_000, "a"), (2_000, "a"), (3_000, "a")], None),
            ([(0, "a"), (0, "b"), (0, "c"), (0, "d")], None),
            ([(0, "a"), (0, "b"), (0, "c"), (1_000, "a"), (2_000, "a")], 2_000),
            ([(0, "a"), (11_000, "b"), (12_000, "c"), (13_000, "d")], 13_000),
            ([], None),
        ],
        ids=["three", "too slow", "out of order", "one frame", "one picture", "standing still", "later", "nothing"],
    )
    def test_distinct_frames_at_distinct_instants(self, seen: list[tuple[int, str]], met_at: int | None) -> None:
        """A title shown for a minute would count as a video, or a video that is shown would not."""
        assert THREE.met_by(RuleHeld(capture_ms, [frame(entry)]) for capture_ms, entry in seen) == met_at

    def test_videos_are_counted_separately(self) -> None:
        """Coincidental matches with three videos, or with two lists, would count as a run of one."""
        frames = [frame("a", "u"), frame("b", "v"), frame("c", "v", "y"), frame("d", "v")]
        seen = [RuleHeld(at, [one]) for at, one in enumerate(frames)]
        assert THREE.met_by(seen) is None
        assert THREE.met_by([*seen, RuleHeld(4, [frame("e", "v")])]) == 4

    @given(
        seen=st.lists(st.tuples(st.integers(0, 30_000), st.sampled_from("abcd"), st.sampled_from("uv")), max_size=12),
        seed=st.integers(0, 2**32),
    )
    def test_agrees_with_trying_every_window(self, seen: list[tuple[int, str, str]], seed: int) -> None:
        """The order in which segments end would hide or invent a run."""
        mixed = list(seen)
        random.Random(seed).shuffle(mixed)
        found = THREE.met_by(RuleHeld(capture_ms, [frame(entry, video)]) for capture_ms, entry, video in mixed)
        expected = []
        for end, _, _ in seen:
            for wanted in "uv":
                window = [one for one in seen if end - 10_000 <= one[0] <= end and one[2] == wanted]
                if min(len({one[0] for one in window}), len({one[1] for one in window})) >= 3:
                    expected.append(end)
        assert found == min(expected, default=None)


class TestHits:
    def test_only_the_nearest_frame_of_a_picture_counts(self) -> None:
        """One picture that resembles many frames of a video would be a run."""
        (hit,) = policy().evaluate(LIVE, at([match("a", 28), match("b", 29), match("c", 30)])).hits
        assert hit.frames == (frame("a"),)

    def test_equally_near_frames_all_count(self) -> None:
        """A still video, with the same hash for each second, would never be a run."""
        (hit,) = policy().evaluate(LIVE, at([match("a", 28), match("b", 28)])).hits
        assert set(hit.frames) == {frame("a"), frame("b")}

    def test_each_video_is_tested_separately(self) -> None:
        """Weak matches would count for a rule because another list's match fulfilled it."""
        rule = policy('matches.exists(m, m.list == "y" && m.video != "")')
        (hit,) = rule.evaluate(LIVE, at([match("a"), match("b", listed="y")])).hits
        assert hit.frames == (frame("b", listed="y"),)

    def test_pictures_do_not_count_as_frames(self) -> None:
        """Matches of single pictures would count as frames of a video."""
        assert policy("matches.size() > 0").evaluate(LIVE, at([match("a", video=None)])).hits == ()

    def test_a_condition_sees_video_variant_and_tags(self) -> None:
        """A rule could not use documented fields."""
        rule = policy('matches.exists(m, m.video == "v" && m.variant == "mirror" && "series" in m.tags)')
        seen = replace(match("a"), variant="mirror", tags=("series", "\ud800"))
        assert len(rule.evaluate(LIVE, at([seen])).hits) == 1
        assert rule.evaluate(LIVE, at([match("a")])).hits == ()


class TestGrounds:
    def test_a_match_that_is_enough_alone(self) -> None:
        """A hash that floods would be taken for the ground of a hit that has another one."""
        rule = policy('matched("x") || score("m/a") > 0.5', persistence={"hits": 1})
        found = at([match("a"), match("b"), match("c", listed="y")])
        (hit,) = rule.evaluate(LIVE, found).hits
        assert [ground.entry for ground in hit.grounds] == ["a", "b"]

    def test_none_where_the_rule_holds_anyway(self) -> None:
        """A classifier's finding would be silenced because the picture also matches a quarantined hash."""
        rule = policy('matched("x") || score("m/a") > 0.5', persistence={"hits": 1})
        (hit,) = rule.evaluate(LIVE, replace(at([match("a")]), scores={"m/a": 0.9})).hits
        assert hit.grounds == ()

    def test_none_where_several_are_needed_together(self) -> None:
        """A hit would count as groundless, and be dropped."""
        (hit,) = (
            policy("matches.size() >= 2", persistence={"hits": 1}).evaluate(LIVE, at([match("a"), match("b")])).hits
        )
        assert hit.grounds == ()


class TestDefault:
    def test_one_weak_frame_ranks_below_a_run(self) -> None:
        """A match on known material would call nobody, or one frame of a wall would come before everything else."""
        hits = load_policy(None).evaluate(LIVE, at([match("a", 30)])).hits
        assert [(hit.rule, hit.severity) for hit in hits if not hit.frames] == [("known-video-frame", Severity.HIGH)]
        assert [(hit.rule, hit.severity) for hit in hits if hit.frames] == [("known-video", Severity.CRITICAL)]

    @pytest.mark.parametrize("found", [match("a", 24), match("a", 31, video=None)])
    def test_near_frames_and_pictures_are_critical_immediately(self, found: ListMatch) -> None:
        """Known material would wait for further matches."""
        (hit,) = load_policy(None).evaluate(LIVE, at([found])).hits
        assert (hit.rule, hit.severity) == ("known-material", Severity.CRITICAL)


@pytest.mark.parametrize(
    ("persistence", "told"),
    [
        ("{hits: 2, video_frames: 3}", "hits or video_frames: a rule counts one or the other"),
        (
            "{video_frames: 1}",
            "rules[0].persistence.video_frames (rule 'a'): Input should be greater than or equal to 2",
        ),
        ("{video_frame: 3}", "unknown field 'video_frame': did you mean 'video_frames'? known are hits, of_samples"),
    ],
)
def test_an_invalid_window_is_refused(tmp_path: Path, persistence: str, told: str) -> None:
    """An operator would not find the mistake in the rule."""
    path = tmp_path / "policy.yaml"
    path.write_text(f"version: '1'\nrules: [{{name: a, severity: high, when: 'true', persistence: {persistence}}}]\n")
    with pytest.raises(PolicyError) as caught:
        load_policy(path)
    assert told in str(caught.value)
