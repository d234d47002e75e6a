"""The JSON Schema of the policy file, which editors use while a rule is written."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from tools.schemas import policy_schema, texts

RULE = {"name": "a", "when": 'matched("x")', "severity": "high"}
SCHEMA = Draft202012Validator(policy_schema())


def test_the_file_is_the_codes_schema() -> None:
    """An editor would refuse what workers accept, or the other way round. `python -m tools.schemas` writes it."""
    Draft202012Validator.check_schema(policy_schema())
    for path, text in texts().items():
        assert Path(path).read_text() == text


def test_shipped_policy_fits() -> None:
    """Every user's first policy would be underlined in red."""
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
def test_it_accepts_valid_files_and_refuses_invalid_ones(policy: dict[str, Any], fits: bool) -> None:
    """An editor would miss mistakes, or mark valid lines."""
    assert SCHEMA.is_valid(policy) is fits
