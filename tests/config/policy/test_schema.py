"""The JSON Schema of the policy file: what an editor tells while a rule is being written."""

from importlib.resources import files
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from config.policy.schema import policy_schema, policy_schema_text

RULE = {"name": "a", "when": 'matched("x")', "severity": "high"}
SCHEMA = Draft202012Validator(policy_schema())


def test_file_is_the_schema_of_the_code() -> None:
    """An editor would refuse what workers take, or the other way about.

    Mend it with `python -m config.policy.schema > config/schemas/policy.v1.json`.
    """
    Draft202012Validator.check_schema(policy_schema())
    assert files("config").joinpath("schemas", "policy.v1.json").read_text() == policy_schema_text()


def test_shipped_policy_fits() -> None:
    """Everybody's first policy would be underlined in red."""
    SCHEMA.validate(yaml.safe_load(files("config").joinpath("policy.yaml").read_text()))


@pytest.mark.parametrize(
    ("policy", "fits"),
    [
        ({"version": 1, "rules": [RULE]}, True),
        ({"version": "1", "rules": [RULE], "profiles": {"mine": {"max_gap_seconds": 1}}, "sampling": "mine"}, True),
        ({"version": "1", "rules": [RULE | {"persistence": {"hits": 2, "of_samples": 5}}]}, True),
        ({"version": "1", "rules": [RULE | {"principles": [3]}]}, True),
        ({"version": "1", "rules": []}, False),
        ({"version": "1", "rules": [RULE], "samplng": "economy"}, False),
        ({"version": "1", "rules": [RULE | {"severity": "hihg"}]}, False),
        ({"version": "1", "rules": [RULE | {"principles": [12]}]}, False),
        ({"version": "1", "rules": [RULE | {"principles": []}]}, False),
    ],
)
def test_it_tells_right_from_wrong(policy: dict[str, Any], fits: bool) -> None:
    """An editor would tell nothing, or cry wolf."""
    assert SCHEMA.is_valid(policy) is fits
