"""Personal settings: how pictures open, how the desk looks and sounds. They hold and release nothing."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, Self

from desk.preferences.key_bindings import read_bindings

DETAILS: Final = ("blur", "pixels", "posterise")
SIZES: Final = ("small", "medium", "large")
THEMES: Final = ("system", "light", "dark")
STRENGTHS: Final = range(1, 6)


@dataclass(frozen=True, kw_only=True)
class Preferences:
    """The settings of one person; the defaults show least."""

    no_pictures: bool = False
    detail: str = "blur"
    """One of DETAILS: how the server reduces a picture first."""
    strength: int = 3
    """One of STRENGTHS; 5 leaves least."""
    grey: bool = True
    size: str = "medium"
    """One of SIZES."""
    theme: str = "system"
    """One of THEMES."""
    sound: bool = False
    """Played when a critical case comes."""
    badge: bool = True
    """Open critical cases are counted in the page's title."""
    keys: dict[str, str] = field(default_factory=dict)
    """Own keys by action (`key_bindings`), which have a form of their own."""

    @classmethod
    def from_form(cls, form: Mapping[str, str]) -> Self:
        """Reads a complete form, where a box that is not ticked is missing; a value that is none of the choices is the
        default."""
        return cls(
            no_pictures="no_pictures" in form,
            detail=_one_of(DETAILS, form.get("detail"), "blur"),
            strength=_strength(form.get("strength")),
            grey="grey" in form,
            size=_one_of(SIZES, form.get("size"), "medium"),
            theme=_one_of(THEMES, form.get("theme"), "system"),
            sound="sound" in form,
            badge="badge" in form,
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Reads what `to_json` wrote, of any version; what is missing or damaged is the default."""
        try:
            found = json.loads(text)
        except ValueError:
            return cls()
        values: dict[str, Any] = found if isinstance(found, dict) else {}
        plain = cls()
        kept = {
            one.name: values[one.name]
            for one in fields(cls)
            if type(values.get(one.name)) is type(getattr(plain, one.name))
        }
        read = cls(**kept)
        return cls(
            **asdict(read)
            | {
                "detail": _one_of(DETAILS, read.detail, plain.detail),
                "size": _one_of(SIZES, read.size, plain.size),
                "theme": _one_of(THEMES, read.theme, plain.theme),
                "strength": read.strength if read.strength in STRENGTHS else plain.strength,
                "keys": read_bindings(read.keys),
            }
        )

    def to_json(self) -> str:
        """The settings on one line."""
        return json.dumps(asdict(self))


def _one_of(choices: tuple[str, ...], given: str | None, default: str) -> str:
    return given if given in choices else default


def _strength(given: str | None) -> int:
    return int(given) if given in {str(one) for one in STRENGTHS} else Preferences.strength
