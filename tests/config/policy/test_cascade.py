"""The cascade of a policy: sensitive and expensive classifiers run only where an earlier one gave cause."""

from pathlib import Path

import pytest

from config.errors import PolicyError
from config.facts import ListMatch, SampleFacts, StreamFacts
from config.policy.policy import Policy, load_policy

LIVE = StreamFacts(stream_id="s")
RULES = "rules: [{name: a, when: 'matched(\"l\")', severity: high}]\n"
CASCADE = """
cascade:
  - {model: first}
  - {model: second, when: 'scores["first/a"] >= 0.15 || matched("l") || stream.risk_prior > 0.5'}
"""


def sample(**changes: object) -> SampleFacts:
    facts = {"capture_ms": 0, "pts_seconds": 0.0, "reason": "keyframe", "pdq_quality": 100}
    return SampleFacts(**{**facts, **changes})  # type: ignore[arg-type]


def policy(folder: Path, cascade: str) -> Policy:
    path = folder / "policy.yaml"
    path.write_text(f'version: "1"\n{RULES}{cascade}')
    return load_policy(path)


def test_a_stage_is_due_for_scores_matches_and_streams(tmp_path: Path) -> None:
    """An expensive classifier would run on all pictures, or not on those that need it."""
    stages = policy(tmp_path, CASCADE).cascade
    assert stages is not None
    first, second = stages
    matched = (ListMatch(list="l", entry="1", distance=0),)
    assert first.due(LIVE, sample())
    assert second.due(LIVE, sample(scores={"first/a": 0.15}))
    assert not second.due(LIVE, sample(scores={"first/a": 0.1}))
    assert second.due(LIVE, sample(scores={"first/a": 0.1}, matches=matched))
    assert second.due(StreamFacts(stream_id="s", risk_prior=0.6), sample(scores={"first/a": 0.1}))


def test_without_the_section_there_is_no_cascade() -> None:
    """Older policies would classify less than before."""
    assert load_policy(None).cascade is None


@pytest.mark.parametrize(
    ("cascade", "expected"),
    [
        ("cascade: []\n", "line 3, column 1: cascade: expected at least one model"),
        (
            "cascade:\n  - {model: a}\n  - {model: a}\n",
            r"line 5, column 13: cascade\[1\]\.model: 'a': a model may stand in one stage only",
        ),
        (
            "cascade:\n  - {model: c}\n  - {model: a, when: 'true || score(\"b/x\") > 0.5'}\n  - {model: b}\n",
            r"line 5, column 38: cascade\[1\]\.when: no stage before gives the score 'b/x': only c stands before 'a'",
        ),
        (
            "cascade: [{model: a, when: 'score(\"a/x\") > 0.5'}]\n",
            r"line 3, column 36: cascade\[0\]\.when: .* no model stands before 'a'",
        ),
        ("cascade: [{model: a, when: 'scor(\"a/x\") > 0.5'}]\n", "unknown function 'scor'"),
        ("cascade: [{model: a, wen: 'true'}]\n", "known are model, when"),
    ],
)
def test_a_cascade_with_a_mistake_is_refused(tmp_path: Path, cascade: str, expected: str) -> None:
    """A stage would never run, unnoticed."""
    with pytest.raises(PolicyError, match=expected):
        policy(tmp_path, cascade)
