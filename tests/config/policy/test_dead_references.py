"""References of rules to lists, scores and values that do not exist."""

import pytest

from config.policy.cel.expressions import parse_condition
from config.policy.cel.never_holds import UnknownNames
from config.policy.dead_references import dead_references
from config.policy.policy import parse_policy

GONE = UnknownNames(lists=frozenset(["gone", "away"]), scores=frozenset(["m/gone"]))


@pytest.mark.parametrize(
    "text",
    [
        'matched("gone")',
        'stream.risk_prior > 0.5 && (matched("gone") || matched("away"))',
        'matches.exists(m, m.list == "gone" && m.distance < 9)',
        'matches.exists(m, m.list in ["gone", "away"])',
        'score("m/gone") >= 0.5',
        '0.1 < score("m/gone")',
        'window.matched("gone", "30s") > 0',
        'window.max("m/gone", "30s") > 0.2 || window.count("m/gone", 0.2, "30s") >= 1',
        'stream.drill ? matched("gone") : matched("away")',
        'stream.purpose == "Live" && matched("there")',
        'matches.exists(m, m.variant == "mirrored")',
    ],
)
def test_a_condition_that_can_never_hold_is_found(text: str) -> None:
    """A rule for the worst material could never hold, and would look sound."""
    assert GONE.never_holds(parse_condition(text).tree)


@pytest.mark.parametrize(
    "text",
    [
        'matched("there")',
        'matched("gone") || matched("there")',
        '!matched("gone")',
        'matches.exists(m, m.list != "gone")',
        'matches.exists(m, m.list in ["gone", "there"])',
        'matches.exists(m, !(m.list in ["gone"]))',
        'matches.all(m, m.list == "gone")',
        'score("m/gone") < 0.5',
        'score("m/gone") >= 0.0',
        'score("m/there") >= 0.5',
        'window.count("m/gone", 0.0, "30s") > 1',
        'window.samples("30s") > 1',
        'stream.drill ? matched("gone") : matched("there")',
        'stream.id in ["gone"] || stream.id == "gone"',
        'stream.purpose != "Live" && "Live" != stream.purpose',
        'stream.metadata.purpose == "Live"',
        'stream.metadata.variant == "mirrored" || sample.reason == "cut"',
    ],
)
def test_a_condition_that_may_hold_is_not_reported(text: str) -> None:
    """A sound rule would be reported as dead, and be removed."""
    assert not GONE.never_holds(parse_condition(text).tree)


def test_each_name_is_reported_with_its_place_and_the_nearest_name() -> None:
    """A typo in the name of a list is easily overlooked."""
    policy = parse_policy(
        b"version: '1'\n"
        b"rules:\n"
        b'  - {name: a, severity: high, when: \'matched("ncmecc") || matched("police")\'}\n'
        b"  - {name: b, severity: high, when: 'score(\"m/nsfv\") > 0.5', mode: shadow}\n"
        b"  - {name: c, severity: critical, when: 'matched(\"police\")', action: interrupt, lists: [police, polise]}\n",
        "p.yaml",
    )
    lists = frozenset(["ncmec", "police", "selftest"])
    found = list(dead_references(policy, lists=lists, scores=frozenset(["m/nsfw"])))
    assert [(one.rule, one.mode, one.kind, one.name, one.nearest, one.never_fires) for one in found] == [
        ("a", "live", "list", "ncmecc", "ncmec", False),
        ("b", "shadow", "score", "m/nsfv", "m/nsfw", True),
        ("c", "live", "list", "polise", "police", False),
    ]
    assert [(one.place.line, one.place.column) for one in found] == [(3, 47), (4, 45), (5, 97)]
    assert found[0].place.text == (
        "no list 'ncmecc' is in this deployment: did you mean 'ncmec'? there are ncmec, police, selftest"
    )
    assert [one.name for one in dead_references(policy, lists=None, scores=frozenset(["m/nsfw"]))] == ["m/nsfv"]


@pytest.mark.parametrize(
    ("when", "name", "nearest"),
    [
        ('stream.purpose == "Live"', "Live", "live"),
        ('"publick" == stream.audience || stream.drill', "publick", "public"),
        ('sample.reason in ["cut", "keyframes"]', "keyframes", "keyframe"),
        ('matches.exists(m, m.distance < 9 && m.variant != "none")', "none", None),
    ],
)
def test_a_value_that_a_field_never_has(when: str, name: str, nearest: str | None) -> None:
    """A capital letter would turn a rule for drills into one that never holds."""
    policy = parse_policy(f"version: '1'\nrules: [{{name: a, severity: high, when: '{when}'}}]\n".encode(), "p.yaml")
    (found,) = dead_references(policy, lists=None, scores=frozenset())
    assert (found.kind, found.name, found.nearest) == ("value", name, nearest)
    assert found.place.column == 42 + when.index(f'"{name}"') + 1
