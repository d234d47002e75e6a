"""Patterns of keys in Redis: names with parts in braces, and what is known of the keys that have them."""

import re
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Final

MINUTE: Final = 60
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

_WORD: Final = "[a-z]+"
_PARTS: Final = {
    "stream": r"[A-Za-z0-9._:-]+",
    "incident": r"[A-Za-z0-9_-]+",
    "day": r"\d+",
    **dict.fromkeys(("lane", "part", "purpose", "role", "severity"), _WORD),
}
"""Patterns of the parts in braces; other parts match anything."""

WORKERS: Final = ("worker",)
OPERATORS: Final = ("worker", "operator")
MODERATORS: Final = ("worker", "moderator", "desk", "operator")
LEADS: Final = ("worker", "desk", "operator")


@dataclass(frozen=True)
class Key:
    """A key in Redis, or a pattern of keys with parts in braces."""

    pattern: str
    type: str
    """Redis's TYPE: string, hash, list, set, zset or stream."""
    holds: str
    bound: str
    """Bound of the size of one such key, or of their number; in words."""
    seconds: int = field(default=0, kw_only=True)
    """The longest life. 0: it stays, and `bound` bounds it."""
    life: str = field(default="", kw_only=True)
    """Start of the life; empty: when it was last written."""
    of_stream: bool = field(default=False, kw_only=True)
    """It has no life while its stream is watched, and this one afterwards."""
    read_by: tuple[str, ...] = field(default=OPERATORS, kw_only=True)
    """Roles of config/redis/users.acl."""

    @property
    def name(self) -> str:
        """The name of a key without parts in braces."""
        assert "{" not in self.pattern, self.pattern
        return self.pattern

    @property
    def prefix(self) -> str:
        """The pattern before the first part in braces."""
        return self.pattern.partition("{")[0]

    def of(self, *parts: str) -> str:
        """The name with its parts filled in."""
        assert len(parts) == self.pattern.count("{"), (self.pattern, parts)
        given = iter(parts)
        return re.sub(r"{\w+}", lambda _: next(given), self.pattern)

    def names_of_stream(self, stream_id: str) -> re.Pattern[str] | None:
        """Matches the names of this pattern that belong to a stream; None: no name of it belongs to one."""
        if "{stream}" not in self.pattern:
            return None
        parts = re.split(r"{(\w+)}", self.pattern)
        return re.compile(
            "".join(
                re.escape(part if index % 2 == 0 else stream_id)
                if index % 2 == 0 or part == "stream"
                else _PARTS.get(part, ".+")
                for index, part in enumerate(parts)
            )
        )

    def matches(self, name: str) -> bool:
        """Returns whether `name` has this pattern."""
        return _expression(self.pattern).fullmatch(name) is not None


moderated: Final = partial(Key, read_by=MODERATORS)
"""A key that moderators' clients use as well."""
led: Final = partial(Key, read_by=LEADS)
"""A key that leads and auditors read on the desk, and moderators' commands do not."""


def lease(pattern: str, purpose: str) -> Key:
    """A key held by the process that alone does the work of `purpose`."""
    return Key(pattern, "string", f"lease for {purpose}", "one", seconds=MINUTE)


def mark(pattern: str, state: str, *, seconds: int) -> Key:
    """A key that says by its existence that `state` holds."""
    return Key(pattern, "string", f"exists while {state}", "one", seconds=seconds)


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"{(\w+)}", pattern)
    return re.compile(
        "".join(_PARTS.get(part, ".+") if index % 2 else re.escape(part) for index, part in enumerate(parts))
    )
