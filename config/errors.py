"""Errors in an operator's configuration.

LivewardenError                  the root of every package's tree: its text is one line that a person can act on
└── ConfigError                  something that an operator wrote
    ├── SettingsError            environment variables
    ├── PolicyError              the policy file
    └── SchemaError              an event that does not fit its JSON Schema
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from config.documents.mistakes import Mistake


class LivewardenError(Exception):
    """The root of all errors that livewarden raises on purpose.

    Its text is one line that names the file, line or field, and what was expected; the command line prints it
    as it is, without a traceback.
    """


class ConfigError(LivewardenError):
    """Something that an operator wrote is not usable."""


class SettingsError(ConfigError):
    """One or more environment variables are missing or wrong; the text lists all of them."""

    def __init__(self, *mistakes: str) -> None:
        super().__init__(*mistakes)
        self.mistakes = mistakes
        """Each names its variable or file, on a line of its own."""

    def __str__(self) -> str:
        return "; ".join(self.mistakes)


class PolicyError(ConfigError):
    """The policy file is not usable; the text names the file and the field."""

    def __init__(self, text: str, *, mistakes: "Sequence[Mistake]" = ()) -> None:
        super().__init__(text)
        self.mistakes = tuple(mistakes)
        """Each thing that is wrong, where the file could be read."""


class SchemaError(ConfigError):
    """An event does not fit its JSON Schema."""
