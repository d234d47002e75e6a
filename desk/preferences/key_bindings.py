"""Keys of the desk: the action that each has, and which of them a person has changed.

Pages are written with the default keys, in `aria-keyshortcuts`; keys.js puts a person's own in their place.
"""

from collections.abc import Mapping
from typing import Final

from desk.errors import KeyRefusedError

ACTIONS: Final[Mapping[str, str]] = {
    "csea_apparent": "1",
    "csea_suspected": "2",
    "child_at_risk": "3",
    "adult_tos": "4",
    "other_harm": "5",
    "harmless": "6",
    "cannot_judge": "7",
    "note": "t",
    "look": "l",
    "reduced": "o",
    "clear": "c",
    "before": "[",
    "after": "]",
    "take": "r",
    "hold": "h",
    "hand_over": "v",
    "help": "e",
    "next": "n",
    "down": "j",
    "up": "k",
    "find": "/",
    "queue": "q",
}
"""Default keys by action; a person may change each."""
FIXED: Final = frozenset({"?"})
"""Keys of one character that nobody can take: the list of keys is opened by one. Escape and the arrows are no
characters."""
LONGEST_SHOWN: Final = 20
"""Characters of a refused key that are shown again."""


def read_bindings(values: object) -> dict[str, str]:
    """Own keys by action, of what was kept: the defaults are left out, and whatever is damaged or taken by now."""
    own: dict[str, str] = {}
    for action, default in ACTIONS.items():
        key = values.get(action) if isinstance(values, Mapping) else None
        if isinstance(key, str) and key != default and _is_key(key):
            own[action] = key
    taken = list(keys_in_force(own).values())
    return own if len(set(taken)) == len(taken) else {}


def bindings_from_form(form: Mapping[str, str]) -> dict[str, str]:
    """Own keys by action, of a form with a field `key_ACTION` each; one that is missing or empty is the default.

    Raises:
        KeyRefusedError: a key is no single character, cannot be had, or is that of two actions.
    """
    own: dict[str, str] = {}
    for action, default in ACTIONS.items():
        key = form.get(f"key_{action}", "").strip().lower() or default
        if not _is_key(key):
            raise KeyRefusedError("keys.refused", key[:LONGEST_SHOWN], action)
        if key != default:
            own[action] = key
    first: dict[str, str] = {}
    for action, key in keys_in_force(own).items():
        if key in first:
            changed, other = (action, first[key]) if action in own else (first[key], action)
            raise KeyRefusedError("keys.taken", key, changed, other)
        first[key] = action
    return own


def keys_in_force(own: Mapping[str, str]) -> dict[str, str]:
    """The key of each action."""
    return {action: own.get(action, default) for action, default in ACTIONS.items()}


def keys_for_page(own: Mapping[str, str]) -> dict[str, str]:
    """Own keys by the default keys that pages are written with."""
    return {ACTIONS[action]: key for action, key in own.items()}


def _is_key(key: str) -> bool:
    """One character that a key has: a lower-case letter of any script, a figure or a sign."""
    return len(key) == 1 and key.isprintable() and not key.isspace() and key == key.lower() and key not in FIXED
