"""Filters of the queue page, as its address has them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Self
from urllib.parse import urlencode

from config.facts import Severity
from worker.people.actor import Role, folded
from worker.queue.case_order import OpenCase

SHOWS: Final = ("all", "live", "mine", "for_me", "lead", "drills", "help")
"""Parts of the queue that a person chooses between."""
DRILLS: Final = frozenset({"drill", "canary"})
"""Purposes of streams on which nothing is real."""
LONGEST_TEXT: Final = 200
"""Characters of a search, and of a rule's or list's name; ids of streams have 128 at most."""
MOST_PAGES: Final = 1_000
PAGE_CASES: Final = 50


@dataclass(frozen=True, kw_only=True)
class QueueFilter:
    """The part of the queue that a page shows."""

    show: str = "all"
    """One of SHOWS."""
    severity: str = ""
    """A severity; empty: each."""
    rule: str = ""
    listed: str = ""
    """Name of a hash list; empty: any case."""
    find: str = ""
    """A part of a stream's or case's id."""
    page: int = 1
    """From 1."""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Self:
        """Reads an address; what is none of the choices is the default."""
        page = query.get("page", "")
        return cls(
            show=query["show"] if query.get("show") in SHOWS else "all",
            severity=query["severity"] if query.get("severity") in tuple(Severity) else "",
            rule=query.get("rule", "").strip()[:LONGEST_TEXT],
            listed=query.get("listed", "").strip()[:LONGEST_TEXT],
            find=query.get("find", "").strip()[:LONGEST_TEXT],
            page=min(max(1, int(page)), MOST_PAGES) if page.isascii() and page.isdecimal() and len(page) < 9 else 1,
        )

    def query(self, **changes: Any) -> str:
        """The address's query of this filter with changes, without what is the default; begins with `?` if there is
        any. Another filter begins with its first page."""
        changed = replace(self, **{"page": 1, **changes})
        plain = QueueFilter()
        given = {name: value for name, value in vars(changed).items() if value != getattr(plain, name)}
        return f"?{urlencode(given)}" if given else ""

    @property
    def is_plain(self) -> bool:
        """It leaves nothing out."""
        return replace(self, page=1) == QueueFilter()

    def choose(self, cases: Iterable[OpenCase], reader: str) -> list[OpenCase]:
        """The cases that fit, in their order."""
        if self.is_plain:
            return list(cases)
        me, find = folded(reader), self.find.casefold()
        return [case for case in cases if self._fits(case, me, find)]

    def _fits(self, case: OpenCase, me: str, find: str) -> bool:
        if self.severity and case.severity != self.severity:
            return False
        if self.rule and case.rule != self.rule:
            return False
        if self.listed and case.ground.get("list") != self.listed:
            return False
        if find and find not in f"{case.case_id} {case.incident_id} {case.stream_id}".casefold():
            return False
        return in_part(case, self.show, me)


def in_part(case: OpenCase, show: str, me: str) -> bool:
    """Returns whether a case is in a part of the queue; `me`: the reader's folded name."""
    match show:
        case "live":
            return case.live
        case "mine":
            return case.holder is not None and folded(case.holder) == me
        case "for_me":
            return is_for(case, me)
        case "lead":
            return case.needs_role == Role.LEAD
        case "drills":
            return case.purpose in DRILLS
        case "help":
            return bool(case.help)
        case _:
            return True


def is_for(case: OpenCase, me: str) -> bool:
    """Returns whether a case was handed over to a person, by their folded name."""
    handed_to = case.handed_to
    return handed_to is not None and folded(handed_to) == me
