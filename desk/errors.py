"""The errors of this package.

LivewardenError
└── DeskError
    ├── DeskDatabaseError   the desk's database is away, or of a newer version
    ├── SignInError         a name, password, token or link that is refused
    ├── RequestRefusedError a request that is malformed, too large, too slow, or comes from another site
    ├── NotSignedInError    a page that needs somebody who is signed in
    ├── RoleRefusedError    a page that another role is for
    ├── UnknownCaseError    no case has that id
    └── KeyRefusedError     a key that an action cannot have
"""

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


class KeyRefusedError(DeskError):
    """A key that an action cannot have: `key` names the reason in the catalogue of texts."""

    def __init__(self, key: str, pressed: str, action: str, other: str | None = None) -> None:
        super().__init__(key)
        self.key = key
        self.pressed = pressed
        self.action = action
        self.other = other
        """The action that has the key already; None: no action can have it."""
