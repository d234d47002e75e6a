"""Samples of which evidence is kept before it is known that a rule holds."""

from collections.abc import Callable
from pathlib import Path

import pytest

from config.facts import ListMatch, SampleFacts, StreamFacts
from config.policy.policy import Policy, load_policy
from config.policy.possible_hits import possible_hits

LIVE = StreamFacts(stream_id="s", risk_prior=0.6)


@pytest.fixture
def rule(tmp_path: Path) -> Callable[..., Policy]:
    """Loads a policy of one rule."""

    def load(when: str, more: str = "") -> Policy:
        path = tmp_path / "policy.yaml"
        path.write_text(f"version: '1'\nrules:\n  - {{name: r, when: '{when}', severity: high{more}}}\n")
        return load_policy(path)

    return load


def sample(score: float = 0.0, *lists: str) -> SampleFacts:
    return SampleFacts(
        capture_ms=1_000,
        pts_seconds=0.5,
        reason="keyframe",
        pdq_quality=90,
        matches=tuple(ListMatch(list=name, entry="1", distance=3) for name in lists),
        scores={"m/nsfw": score},
    )


def possible(policy: Policy, facts: SampleFacts) -> bool:
    return bool(possible_hits(policy, LIVE, facts))


def test_a_sample_on_which_the_rule_holds_for_certain_is_one(rule: Callable[..., Policy]) -> None:
    """An incident by N of M samples would have no pictures."""
    policy = rule('score("m/nsfw") > 0.5', ", persistence: {hits: 3, of_samples: 5}")
    assert possible(policy, sample(0.7))
    assert not possible(policy, sample(0.3))


def test_a_sample_that_a_window_counts_is_one(rule: Callable[..., Policy]) -> None:
    """An incident that a window raises would have no pictures of what the window counted."""
    policy = rule('window.count("m/nsfw", 0.6, "30s") >= 3')
    assert possible(policy, sample(0.6))
    assert not possible(policy, sample(0.59))
    assert possible(rule('window.matched("known", "30s") > 1'), sample(0.0, "known"))


def test_a_sample_that_holds_beside_a_window_is_one(rule: Callable[..., Policy]) -> None:
    """A score that counts only a minute after a match would raise an incident without its picture."""
    policy = rule('window.matched("known", "60s") > 0 && score("m/nsfw") > 0.5')
    assert possible(policy, sample(0.7))
    assert not possible(policy, sample(0.2, "known"))


def test_a_maximum_is_tried_on_the_sample_alone(rule: Callable[..., Policy]) -> None:
    """The picture that reached a maximum would be gone when the rule is judged."""
    policy = rule('window.max("m/nsfw", "30s") >= 0.8 && window.samples("30s") >= 1')
    assert possible(policy, sample(0.8))
    assert not possible(policy, sample(0.1))


@pytest.mark.parametrize(
    "when",
    ['coverage.unhashable_seconds >= 0.0', 'stream.risk_prior > 0.5 && coverage.failed_seconds >= 0.0',
     'window.samples("30s") >= 3'],
)  # fmt: skip
def test_a_rule_about_no_picture_keeps_none(rule: Callable[..., Policy], when: str) -> None:
    """Each benign picture of each stream would be kept."""
    assert not possible(rule(when), sample(0.9, "known"))


def test_rules_in_shadow_and_rules_known_at_once_are_none(rule: Callable[..., Policy]) -> None:
    """Pictures would be kept that no incident can name, or kept twice."""
    assert not possible(rule('window.count("m/nsfw", 0.6, "30s") >= 1', ", mode: shadow"), sample(0.9))
    assert not possible(rule('score("m/nsfw") > 0.5'), sample(0.9))


def test_matches_that_make_the_rule_hold_are_its_grounds(rule: Callable[..., Policy]) -> None:
    """Known material would be shown more often than once."""
    policy = rule('matched("known")', ", persistence: {hits: 2, of_samples: 3}")
    (hit,) = possible_hits(policy, LIVE, sample(0.9, "known"))
    assert [match.list for match in hit.grounds] == ["known"]
