"""The catalogue: every text that the desk shows, by its key; a folder a language, a YAML file a page."""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Final

import yaml

LANGUAGE: Final = "en"
"""The language that is complete; others may lack texts, which are shown in this one."""


class Texts:
    """The texts of one language; `texts("queue.empty")` is one of them, with its `{names}` filled in."""

    def __init__(self, by_key: Mapping[str, str]) -> None:
        self.by_key: Final = by_key

    def __call__(self, key: str, /, **values: str | int | float) -> str:
        """The text of a key; where a `count` is 1 that of the key with `_one` at its end, if there is one.

        Whole numbers are written with commas between their thousands.

        Raises:
            KeyError: there is no such text, or a value is missing.
        """
        if values.get("count") == 1 and f"{key}_one" in self.by_key:
            key = f"{key}_one"
        if not values:
            return self.by_key[key]
        return self.by_key[key].format_map(
            {name: f"{value:,}" if isinstance(value, int) else value for name, value in values.items()}
        )


@cache
def load_texts(language: str = LANGUAGE) -> Texts:
    """Reads the catalogue of a language that is shipped."""
    by_key: dict[str, str] = {}
    for file in files("desk.texts").joinpath(language).iterdir():
        if file.name.endswith(".yaml"):
            by_key |= _flattened("", yaml.safe_load(file.read_text("utf-8")))
    return Texts(by_key)


def _flattened(prefix: str, node: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for name, value in node.items():
        if isinstance(value, dict):
            yield from _flattened(f"{prefix}{name}.", value)
        else:
            yield f"{prefix}{name}", str(value)
