"""Access: who a page is for. Every page but those of sign-in depends on a `Gate`."""

import hmac
from typing import Final

from fastapi import Request

from desk.accounts.accounts import SignedIn
from desk.errors import NotSignedInError, RequestRefusedError, RoleRefusedError
from desk.web.same_origin import SAFE
from desk.web.services import services_of
from worker.people.actor import Role
from worker.people.roster import ROSTER_ROLES

CSRF_FIELD: Final = "csrf"
CSRF_HEADER: Final = "x-csrf-token"


class Gate:
    """A dependency: finds the person, checks their role and, where something may change, the form's token."""

    def __init__(self, *roles: Role) -> None:
        self.roles = roles

    def __call__(self, request: Request) -> SignedIn:
        """Returns the person who is signed in.

        Raises:
            NotSignedInError: there is none.
            RoleRefusedError: the page is for other roles.
            RequestRefusedError: the form is not of this session.
        """
        found = services_of(request).who(request)
        if found is None:
            raise NotSignedInError
        if found.new_token is not None:
            request.state.token = found.new_token
        request.state.signed_in = found
        if found.actor.role not in self.roles:
            raise RoleRefusedError(*self.roles)
        if request.method not in SAFE:
            form: dict[str, str] = request.state.form
            sent = form.get(CSRF_FIELD) or request.headers.get(CSRF_HEADER, "")
            if not hmac.compare_digest(sent.encode(errors="surrogateescape"), found.csrf.encode()):
                raise RequestRefusedError(403, "refused.form")
        return found


anybody: Final = Gate(*ROSTER_ROLES)
"""For everybody who is signed in."""
judges: Final = Gate(Role.MODERATOR, Role.LEAD)
"""For those who take and decide cases."""
overseers: Final = Gate(Role.LEAD, Role.AUDITOR)
"""For those who see who may do what."""
readers: Final = Gate(Role.LEAD, Role.OPERATOR, Role.AUDITOR)
"""For those who report on the deployment, without figures of people."""
leads: Final = Gate(Role.LEAD)
"""For those who change the roster, and decide what moderators cannot."""
