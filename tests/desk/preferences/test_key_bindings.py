"""A person's own keys: which are kept, and which are refused."""

import pytest

from desk.errors import KeyRefusedError
from desk.preferences.key_bindings import ACTIONS, bindings_from_form, keys_for_page, read_bindings
from desk.preferences.preferences import Preferences


def test_no_two_actions_have_one_key() -> None:
    """A key would decide in the place of opening a picture."""
    assert len(set(ACTIONS.values())) == len(ACTIONS)


def test_two_actions_can_change_places() -> None:
    """A person would need a third key in between."""
    own = bindings_from_form({"key_hold": "E", "key_help": "h", "key_note": "t", "key_next": ""})
    assert own == {"hold": "e", "help": "h"}
    assert keys_for_page(own) == {"h": "e", "e": "h"}


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"key_note": "n"}, ("keys.taken", "n", "note", "next")),
        ({"key_next": "1"}, ("keys.taken", "1", "next", "csea_apparent")),
        ({"key_note": "y", "key_look": "Y"}, ("keys.taken", "y", "look", "note")),
        ({"key_note": "?"}, ("keys.refused", "?", "note", None)),
        ({"key_note": "Escape"}, ("keys.refused", "escape", "note", None)),
        ({"key_note": "\u202e"}, ("keys.refused", "\u202e", "note", None)),
    ],
)
def test_a_key_that_is_taken_is_refused(form: dict[str, str], said: tuple[str, str, str, str | None]) -> None:
    """One key would decide where a person means to write a note."""
    with pytest.raises(KeyRefusedError) as refused:
        bindings_from_form(form)
    error = refused.value
    assert (error.key, error.pressed, error.action, error.other) == said


@pytest.mark.parametrize(
    "kept", [None, [], {"note": 5}, {"note": "?"}, {"note": "n"}, {"later": "y"}, {"note": "t"}, {"note": "abc"}]
)
def test_damaged_and_outdated_keys_are_the_defaults(kept: object) -> None:
    """After an upgrade, a new action's key would be that of another."""
    assert read_bindings(kept) == {}


def test_keys_are_kept_with_the_settings() -> None:
    """Keys would be forgotten at the next page."""
    chosen = Preferences(keys={"note": "ü"})
    assert Preferences.from_json(chosen.to_json()) == chosen
