"""What goes with which outcome."""

import pytest

from config.policy.outcome_names import OUTCOMES
from worker.errors import QueueError
from worker.queue.outcomes import Category, Outcome, PlatformAct, check_acts, check_category


def test_policies_name_the_same_outcomes() -> None:
    """A policy could ask for a second person for an outcome that nobody can choose, or not for one that they can."""
    assert set(OUTCOMES) == set(Outcome)


def test_a_child_at_risk_is_not_punished() -> None:
    """A platform would close the account of a child who needs help."""
    with pytest.raises(QueueError, match="a child at risk is safeguarded, not punished"):
        check_acts(["suspend", "safeguard"], Outcome.CHILD_AT_RISK)
    assert check_acts(["safeguard", "safeguard"], Outcome.CHILD_AT_RISK) == (PlatformAct.SAFEGUARD,)


@pytest.mark.parametrize("outcome", [Outcome.HARMLESS, Outcome.CANNOT_JUDGE])
def test_nothing_is_asked_for_what_is_harmless(outcome: Outcome) -> None:
    """A harmless broadcaster would lose the account by a slip."""
    with pytest.raises(QueueError, match=f"{outcome} asks nothing of the platform"):
        check_acts(["suspend"], outcome)
    assert check_acts([], outcome) == ()


def test_unknown_acts_and_categories_are_refused() -> None:
    """A typing error would be published, and nobody act on it."""
    with pytest.raises(QueueError, match="--ask: expected one of suspend, safeguard"):
        check_acts(["Suspend"], Outcome.CSEA_APPARENT)
    with pytest.raises(QueueError, match=r"--category 'A3': expected one of A1, A2, B1, B2, unseen"):
        check_category("A3", Outcome.CSEA_APPARENT)


@pytest.mark.parametrize("outcome", Outcome)
def test_only_csea_has_a_category(outcome: Outcome) -> None:
    """A report would classify what is no abuse."""
    assert check_category(None, outcome) is None
    if outcome in (Outcome.CSEA_APPARENT, Outcome.CSEA_SUSPECTED):
        assert check_category("unseen", outcome) is Category.UNSEEN
    else:
        with pytest.raises(QueueError, match=f"--category A1: {outcome} has none"):
            check_category("A1", outcome)
