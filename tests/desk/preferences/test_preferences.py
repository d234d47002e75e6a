"""Personal settings: read from forms and from what is kept."""

import pytest

from desk.database.connection import DeskDatabase
from desk.preferences.preference_store import PreferenceStore
from desk.preferences.preferences import Preferences


def test_the_defaults_show_least() -> None:
    """A new moderator would be shown pictures in colour and detail before choosing."""
    plain = Preferences()
    assert (plain.detail, plain.grey, plain.sound) == ("blur", True, False)


def test_a_form_says_everything() -> None:
    """A box that was unticked would be ticked again."""
    form = {"detail": "pixels", "strength": "5", "size": "small", "theme": "dark", "no_pictures": "on"}
    assert Preferences.from_form(form) == Preferences(
        detail="pixels", strength=5, size="small", theme="dark", no_pictures=True, grey=False, badge=False
    )


def test_a_forged_form_has_defaults() -> None:
    """A value that no page offers would be kept, and be in a page's markup."""
    forged = Preferences.from_form({"detail": "none", "strength": "-1", "theme": '"><script>', "size": "huge"})
    assert (forged.detail, forged.strength, forged.theme, forged.size) == ("blur", 3, "system", "medium")


@pytest.mark.parametrize("text", ["", "[]", "null", '{"detail": 3, "grey": "no", "later": 1}', '{"strength": true}'])
def test_what_is_damaged_or_newer_is_the_default(text: str) -> None:
    """One damaged record would keep a person from every page."""
    assert Preferences.from_json(text) == Preferences()


def test_settings_are_kept_under_any_spelling_of_the_name(database: DeskDatabase) -> None:
    """A person would lose them by signing in as KIM."""
    store = PreferenceStore(database)
    chosen = Preferences(no_pictures=True, theme="dark")
    store.save("kim", chosen)
    assert (store.of(" KIM "), store.of("lea")) == (chosen, Preferences())
