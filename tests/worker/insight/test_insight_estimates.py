"""Estimates of reports, against values from the literature and by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.insight.estimates import cohens_kappa, wilson


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # R. G. Newcombe, Statistics in Medicine 17 (1998), table I, method 3
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_published_intervals(successes: int, n: int, low: float, high: float) -> None:
    """A regulator who computes the interval again would get another."""
    found = wilson(successes, n)
    assert found is not None
    assert (found.share, found.low, found.high) == (
        successes / n,
        pytest.approx(low, abs=5e-5),
        pytest.approx(high, abs=5e-5),
    )


def test_nothing_has_no_share() -> None:
    """A rule that nobody has judged would be shown as 0 % right, or as 100 %."""
    assert wilson(0, 0) is None


@given(st.integers(1, 100_000), st.data())
def test_interval_contains_its_share_and_mirrors(n: int, data: st.DataObject) -> None:
    """An interval would lie beside its share, or treat right and wrong findings unlike."""
    successes = data.draw(st.integers(0, n))
    found, mirrored = wilson(successes, n), wilson(n - successes, n)
    assert found is not None
    assert mirrored is not None
    assert 0 <= found.low <= found.share <= found.high <= 1
    assert found.low < found.high
    assert found.low == pytest.approx(1 - mirrored.high, abs=1e-9)


def test_kappa_gives_a_known_value() -> None:
    """The agreement of judges would be over- or understated."""
    # By hand: 70 % agreed, 0.5 * 0.6 + 0.5 * 0.4 = 50 % by chance.
    found = cohens_kappa({("yes", "yes"): 20, ("yes", "no"): 5, ("no", "yes"): 10, ("no", "no"): 15})
    assert (found.n, found.agreed, found.kappa) == (50, 35, pytest.approx(0.4))


def test_kappa_has_no_value_without_a_choice() -> None:
    """Two people who call everything harmless would be shown as in full agreement beyond chance."""
    assert cohens_kappa({}).kappa is None
    assert cohens_kappa({("harmless", "harmless"): 9}).kappa is None


@given(
    st.dictionaries(
        st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), st.integers(1, 1_000), min_size=1, max_size=9
    )
)
def test_kappa_is_within_its_bounds(counted: dict[tuple[str, str], int]) -> None:
    """A page would show an agreement above 1."""
    found = cohens_kappa(counted)
    swapped = cohens_kappa({(second, first): count for (first, second), count in counted.items()})
    assert found.kappa is None or -1 <= found.kappa <= 1
    assert found == swapped
    assert found.kappa is None or (found.kappa == 1) == (found.agreed == found.n)
