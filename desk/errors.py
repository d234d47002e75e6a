"""The errors of this package.

LivewardenError
└── DeskError
    ├── DeskDatabaseError   the desk's database is away, or of a newer version
    ├── SignInError         a name, password, token or link that is refused
    ├── RequestRefusedError a request that is malformed, too large, too slow, or comes from another site
    ├── NotSignedInError    a page that needs somebody who is signed in
    ├── RoleRefusedError    a page that another role is for
    ├── UnknownCaseError    no case has that id
    ├── AnswersRefusedError  answers for a report that cannot be read
    ├── AnswersChangedError  answers that somebody else has changed meanwhile
    ├── BusyError           heavy work of others is under way
    ├── PendingReportError  a report on a period that is not made yet
    ├── JudgementRefusedError   a judgement, or an act after it, that is refused as a whole
    ├── KeyRefusedError     a key that an action cannot have
    └── PictureRefusedError a picture that cannot be shown, or not to this person
"""

from collections.abc import Iterable

from config.errors import LivewardenError


class DeskError(LivewardenError):
    """The root of this package's tree."""


class DeskDatabaseError(DeskError):
    """The desk's database is away, or a newer version of the desk has written it."""


class SignInError(DeskError):
    """A sign-in that is refused: `key` names the reason in the catalogue of texts, without saying what was wrong."""

    def __init__(self, key: str, *, wait_seconds: int = 0) -> None:
        super().__init__(key)
        self.key = key
        self.wait_seconds = wait_seconds
        """Until the next try is read; 0: at once."""


class RequestRefusedError(DeskError):
    """A request that is refused before any page reads it."""

    def __init__(self, status: int, key: str) -> None:
        super().__init__(key)
        self.status = status
        self.key = key
        """Names the reason in the catalogue of texts."""


class NotSignedInError(DeskError):
    """Nobody is signed in, or not any more."""


class RoleRefusedError(DeskError):
    """A person is signed in, whose role this page is not for."""


class UnknownCaseError(DeskError):
    """No case has that id: it never was, or its retention ended."""


class PictureRefusedError(DeskError):
    """A picture cannot be shown, or not to this person; `reason` names it in the catalogue, below `picture_refused`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        """`identity`, `not-for-you`, `altered`, `missing`, `waiting`, `dropped`, `store`, `slow`, `busy`, `lead`,
        `known`, `none-at-all`, `reason`, `place` or `late`."""


class AnswersRefusedError(DeskError):
    """Answers for a report that cannot be read: `fields` names each."""

    def __init__(self, fields: Iterable[str]) -> None:
        self.fields = frozenset(fields)
        super().__init__(*sorted(self.fields))


class AnswersChangedError(DeskError):
    """Answers for a report that somebody else, `by`, has changed since they were shown; empty: they are gone."""

    def __init__(self, *, by: str) -> None:
        super().__init__(by)
        self.by = by


class BusyError(DeskError):
    """Heavy work of others is under way, such as packaging: try again."""


class PendingReportError(DeskError):
    """A report on a period that takes longer than a page waits: it goes on being made."""


class JudgementRefusedError(DeskError):
    """A judgement, or an act after it, that is refused as a whole: nothing was written."""

    def __init__(self, key: str, **values: str | int) -> None:
        super().__init__(key)
        self.key = key
        """Names the reason in the catalogue of texts."""
        self.values = values
        """Fills in its names."""


class KeyRefusedError(DeskError):
    """A key that an action cannot have: `key` names the reason in the catalogue of texts."""

    def __init__(self, key: str, pressed: str, action: str, other: str | None = None) -> None:
        super().__init__(key)
        self.key = key
        self.pressed = pressed
        self.action = action
        self.other = other
        """The action that has the key already; None: no action can have it."""
