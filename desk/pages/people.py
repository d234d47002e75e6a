"""The people of the roster, without figures of what they did."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from desk.accounts.accounts import SignedIn
from desk.web.access import overseers
from desk.web.rendering import render
from desk.web.services import services_of
from worker.errors import StoreError
from worker.people.actor import folded
from worker.people.roster import Person, read_roster

router = APIRouter()


@router.get("/people")
def people_page(request: Request, _signed_in: Annotated[SignedIn, Depends(overseers)]) -> Response:
    """Lists who is on the roster, in which role, and whether they can sign in."""
    services = services_of(request)
    with_account = services.accounts.names()
    people = [
        (name, _role(name, text), folded(name) in with_account)
        for name, text in sorted(read_roster(services.redis).items(), key=lambda one: folded(one[0]))
    ]
    return render(request, "people.html", people=people)


def _role(name: str, text: str) -> str | None:
    """The role of a record; None: it is damaged."""
    try:
        return Person.from_json(name, text).role
    except StoreError:
        return None
