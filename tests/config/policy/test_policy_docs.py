"""docs/policy.md: its examples work as written."""

import re
from pathlib import Path

import pytest
import yaml

from config.errors import PolicyError
from config.policy.cel.types import FIELDS, OF_NAMES, Sizes, names
from config.policy.cel.windows import SIGNATURES
from config.policy.policy import parse_policy

TEXT = (Path(__file__).parents[3] / "docs" / "policy.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", TEXT, flags=re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=[f"example {number}" for number in range(1, len(EXAMPLES) + 1)])
def test_examples_are_policies(example: str) -> None:
    """A user who copies an example would start with a refused policy."""
    if isinstance(yaml.safe_load(example), list):
        example = "version: '1'\nrules:\n" + example
    parse_policy(example.encode(), "docs/policy.md", known_scores={"open-nsfw/nsfw", "open-nsfw/sfw"})


def test_all_names_are_documented() -> None:
    """Users would not learn about all names that a rule can use."""
    assert len(EXAMPLES) >= 5
    fields = {field for owner in FIELDS.values() for field in owner}
    of_match = names(Sizes(matches=1, tags=1))["matches"].element.fields
    assert of_match is not None
    for name in {*FIELDS, *OF_NAMES, *of_match, *fields, *(f"window.{function}" for function in SIGNATURES)}:
        assert re.search(rf"`[^`]*\b{re.escape(name)}\b[^`]*`", TEXT), name


def test_the_message_is_as_documented() -> None:
    """The text of a refusal would differ from the documented one."""
    broken = EXAMPLES[0].replace("matched", "matchd")
    with pytest.raises(PolicyError) as caught:
        parse_policy(broken.encode(), "policy.yaml")
    (shown,) = re.findall(r"^    (policy\.yaml: .*?) …$", TEXT, flags=re.MULTILINE)
    assert str(caught.value).startswith(shown)
