"""Breaks that the team sets. They are shown, and lock nobody out. Pure; times in milliseconds of the host's clock."""

from dataclasses import dataclass
from typing import Final

AWAY_MS: Final = 5 * 60_000
"""Without any request, from which (>) a person counts as away: an open case asks for more each few minutes."""


@dataclass(frozen=True, kw_only=True)
class BreakRule:
    """The team's rule: a rest of so long after so much work. It is local policy, not a limit known to be safe."""

    after_minutes: int
    """0: the team has set none."""
    rest_minutes: int

    @property
    def is_set(self) -> bool:
        """The team has set one."""
        return self.after_minutes > 0


@dataclass(frozen=True, kw_only=True)
class WorkSpan:
    """Work without a rest."""

    began_ms: int
    seen_ms: int
    """Time of the last request."""

    def going_on(self, now_ms: int, rest_ms: int) -> "WorkSpan":
        """The span with a request at `now_ms`: the same one, or another after a rest of at least `rest_ms`."""
        # A clock that went back ends a span, too.
        rested = now_ms < self.seen_ms or now_ms - self.seen_ms >= max(rest_ms, AWAY_MS)
        return WorkSpan(began_ms=now_ms if rested else self.began_ms, seen_ms=now_ms)

    def worked_ms(self, now_ms: int) -> int:
        """Time at the desk since the last request, 0 where the person was away meanwhile."""
        return now_ms - self.seen_ms if 0 <= now_ms - self.seen_ms <= AWAY_MS else 0


@dataclass(frozen=True, kw_only=True)
class NextBreak:
    """The next break, as the bar shows it."""

    left_ms: int
    """0: it is due."""
    after_minutes: int
    rest_minutes: int

    @property
    def is_due(self) -> bool:
        """It should have begun."""
        return self.left_ms == 0

    @property
    def minutes(self) -> int:
        """Minutes until it, rounded up."""
        return -(-self.left_ms // 60_000)


def next_break(rule: BreakRule, span: WorkSpan, now_ms: int) -> NextBreak | None:
    """The next break; None: the team has set none."""
    if not rule.is_set:
        return None
    left_ms = max(0, span.began_ms + rule.after_minutes * 60_000 - now_ms)
    return NextBreak(left_ms=left_ms, after_minutes=rule.after_minutes, rest_minutes=rule.rest_minutes)
