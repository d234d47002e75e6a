"""The table of environment variables, compared with their readers and their document."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.environment import load_settings
from config.errors import SettingsError
from config.settings import Settings, variable_of
from config.variables import KNOWN, VARIABLES, ReadBy, misspelt, one_typo, unknown
from tools import settings_docs

ROOT = Path(__file__).parents[2]
OF_PROCESSES = [one for one in VARIABLES if one.read_by not in {ReadBy.COMPOSE, ReadBy.TESTS}]
_TEXTS = st.text(alphabet="abc", max_size=6)


def one_edit(text: str) -> set[str]:
    """All texts at one edit from `text`."""
    parts = [(text[:at], text[at:]) for at in range(len(text) + 1)]
    added = {before + letter + after for before, after in parts for letter in "abc"}
    replaced = {before + letter + after[1:] for before, after in parts for letter in "abc" if after}
    left_out = {before + after[1:] for before, after in parts if after}
    swapped = {before + after[1] + after[0] + after[2:] for before, after in parts if len(after) > 1}
    return (added | replaced | left_out | swapped) - {text}


@given(_TEXTS, _TEXTS)
def test_one_typo_is_one_edit(text: str, other: str) -> None:
    """A newer version's variable would stop a rollout, or a misspelt one would go unnoticed."""
    assert one_typo(text, other) == (other in one_edit(text))


def test_every_setting_is_in_the_table_with_its_default() -> None:
    """A setting would be undocumented, or its documented default be wrong."""
    assert [one.name for one in OF_PROCESSES] == [one.name for one in VARIABLES[: len(OF_PROCESSES)]]
    assert {one.name for one in OF_PROCESSES} == {variable_of(field) for field in Settings.model_fields}
    assert load_settings({one.name: one.default for one in VARIABLES}) == load_settings({})


def test_the_document_is_up_to_date() -> None:
    """An operator would look for a variable, and not find it, or find another default of it.

    `python -m tools.settings_docs > docs/settings.md` writes it.
    """
    assert (ROOT / "docs/settings.md").read_text() == settings_docs.document()


def test_every_name_that_is_read_is_known() -> None:
    """A deployment that sets a documented variable would read that it is unknown, or not start."""
    folders = ("config", "desk", "models", "worker", "tests/compose", "tests/soak")
    named = [path for folder in folders for path in (ROOT / folder).rglob("*.*") if path.suffix in {".py", ".yml"}]
    named += [ROOT / name for name in ("docker-compose.yml", "Makefile", ".ci/run", "tests/conftest.py")]
    found = {name for path in named for name in re.findall(r"LIVEWARDEN_[A-Z_]*[A-Z]", path.read_text())}
    assert found - {"LIVEWARDEN_X"} <= KNOWN.keys()
    assert len(found) > 20


@pytest.mark.parametrize("name", ["LIVEWARDEN_REDIS_ULR", "LIVEWARDEN_MAX_STREAM", "LIVEWARDE_MAX_STREAMS"])
def test_a_misspelt_variable_is_refused_with_a_suggestion(name: str) -> None:
    """A worker would run for weeks with an unwanted default."""
    meant = "LIVEWARDEN_REDIS_URL" if "REDIS" in name else "LIVEWARDEN_MAX_STREAMS"
    with pytest.raises(SettingsError, match=f"^{name}: unknown: did you mean {meant}\\?$"):
        load_settings({name: "1"})
    assert load_settings({name: ""}) == load_settings({})


def test_a_variable_of_another_version_is_accepted() -> None:
    """During a rollout workers of the older version would not start."""
    environment = {"LIVEWARDEN_MAX_STREAMS_PER_ORIGIN": "7", "LIVEWARDEN_ZZZ": "", "PATH": "/bin"}
    assert load_settings(environment) == load_settings({})
    assert misspelt(environment) == {}
    assert unknown(environment) == {"LIVEWARDEN_MAX_STREAMS_PER_ORIGIN": "LIVEWARDEN_MAX_STREAMS"}


@pytest.mark.parametrize("name", ["LIVEWARDEN_WOMBAT", "LIVEWARDEN_LOG_LEVEL", "LIVEWARDEN_TIMEOUT"])
def test_an_unknown_name_unlike_any_other_has_no_suggestion(name: str) -> None:
    """The common prefix makes any two names similar: for LIVEWARDEN_WOMBAT the suggestion would be LOG_FORMAT."""
    assert unknown({name: "1"}) == {name: None}


def test_all_mistakes_are_reported_and_no_value_is_quoted() -> None:
    """An operator would correct one mistake a restart; or the log would show a password."""
    wrong = {
        "LIVEWARDEN_REDIS_URL": "redis://h/secret",
        "LIVEWARDEN_REDIS_PASSWORD_FILE": "/nowhere",
        "LIVEWARDEN_URL_TEMPLATE": "https://secret.example/",
        "LIVEWARDEN_VERDICT_LOG_HOURS": "0",
        "LIVEWARDEN_RENDITION_HEIGHT_PIXELS": "360p",
        "LIVEWARDEN_MAX_STREAMS": "-3",
        "LIVEWARDEN_DEPLOYMENT": "a secret",
        "LIVEWARDEN_PROVIDER": "secret",
        "LIVEWARDEN_REQUIRE_CONFINEMENT": "secret",
    }
    with pytest.raises(SettingsError) as caught:
        load_settings(wrong, checks={"max_streams": lambda _: ["is wrong by itself"]})
    assert {mistake.partition(": ")[0] for mistake in caught.value.mistakes} == wrong.keys()
    assert len(caught.value.mistakes) == len(wrong)
    text = str(caught.value)
    assert "secret" not in text
    assert "LIVEWARDEN_VERDICT_LOG_HOURS: expected at least 1;" in text
    assert "LIVEWARDEN_RENDITION_HEIGHT_PIXELS: expected a whole number;" in text
