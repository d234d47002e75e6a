"""The part of a policy that says which outcomes need a second person."""

from collections.abc import Sequence

import pytest

from config.errors import PolicyError
from config.policy.judging import Judging
from config.policy.policy import Policy, load_policy, parse_policy

RULES = """
rules:
  - {name: known, when: 'matched("known")', severity: critical}
  - {name: alone, when: 'matched("known")', severity: critical, second_person: []}
  - {name: adult, when: 'matched("known")', severity: high, second_person: [adult_tos, adult_tos]}
"""


def parsed(head: str, rules: str = RULES) -> Policy:
    return parse_policy(f"version: 1\n{head}\n{rules}".encode(), "p.yaml")


def asked(policy: Policy) -> list[Sequence[str]]:
    """By rule the outcomes that need a second person."""
    return [policy.judging(rule.second_person).second_person for rule in policy.rules]


def test_a_rule_s_own_outcomes_replace_the_policy_s() -> None:
    """A rule that needs two people would be judged by one, or one that needs none by two."""
    policy = parsed("second_person: [csea_apparent]")
    assert asked(policy) == [("csea_apparent",), (), ("adult_tos",)]
    assert policy.judging() == Judging(second_person=("csea_apparent",), interrupt_on_first=True)


def test_without_it_one_person_judges() -> None:
    """Every policy that was written before would need two people."""
    assert asked(load_policy()) == [()] * len(load_policy().rules)
    assert load_policy().judging() == Judging()


def test_an_interruption_may_wait() -> None:
    """A platform that wants two people before it interrupts could not say so."""
    assert parsed("interrupt_on_first: false").judging().interrupt_on_first is False


@pytest.mark.parametrize(
    ("head", "error"),
    [
        (
            "second_person: [csea_aparent]",
            r"line 2, column 17: second_person\[0\]: unknown outcome 'csea_aparent': did",
        ),
        ("second_person: csea_apparent", "line 2, column 1: second_person: "),
        ("interrupt_on_first: 1", "line 2, column 1: interrupt_on_first: "),
        ("second_persons: []", "second_persons"),
    ],
)
def test_mistakes_are_named_with_their_place(head: str, error: str) -> None:
    """An outcome with a typing error would never be judged by two, and nobody see why."""
    with pytest.raises(PolicyError, match=error):
        parsed(head)


def test_a_rule_s_mistake_names_the_rule() -> None:
    """An operator would search all rules for one typing error."""
    with pytest.raises(PolicyError, match=r"rules\[2\]\.second_person\[0\] \(rule 'adult'\): unknown outcome 'adult'"):
        parsed("", RULES.replace("[adult_tos, adult_tos]", "[adult]"))
