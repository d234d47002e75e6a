"""The people of the roster, without figures of what they did; leads add, change and remove them."""

from collections.abc import Callable, Mapping
from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from desk.accounts.accounts import SignedIn
from desk.pages.addresses import SEE_OTHER
from desk.web.access import leads, overseers
from desk.web.rendering import render
from desk.web.services import services_of
from worker.errors import BankRequestError, PeopleError, QueueError, StoreError
from worker.people.actor import Role, folded
from worker.people.changes import add_person, remove_person, renew_token
from worker.people.roster import ROSTER_ROLES, Person, read_roster

router = APIRouter()
Lead = Annotated[SignedIn, Depends(leads)]

UNPROCESSABLE: Final = 422
SAID: Final[Mapping[str, str]] = {"role": "people.role_changed", "removed": "people.removed"}
"""Texts of what was done, by the query of the page that follows."""


@router.get("/people")
def people_page(
    request: Request, signed_in: Annotated[SignedIn, Depends(overseers)], done: str = "", name: str = ""
) -> Response:
    """Lists who is on the roster, in which role, and whether they can sign in."""
    said = services_of(request).texts(SAID[done], name=name[:100]) if done in SAID else ""
    return _page(request, signed_in, said=said)


@router.post("/people/add")
def add(request: Request, signed_in: Lead) -> Response:
    """Adds a person, and shows their token once."""
    services, form = services_of(request), request.state.form
    name = form.get("name", "").strip()

    def act() -> str:
        if folded(name) in {folded(one) for one in read_roster(services.redis)}:
            raise PeopleError(services.texts("people.there_already", name=name))
        token = add_person(services.redis, name, form.get("role", ""), by=signed_in.actor)
        if token is None:  # somebody else added them meanwhile
            raise PeopleError(services.texts("people.there_already", name=name))
        return token

    return _with_token(request, signed_in, name, act)


@router.post("/people/token")
def token(request: Request, signed_in: Lead) -> Response:
    """Gives a person a new token, and shows it once; the one before is refused from now on."""
    name = request.state.form.get("name", "")
    return _with_token(
        request, signed_in, name, lambda: renew_token(services_of(request).redis, name, by=signed_in.actor)
    )


@router.post("/people/role")
def role(request: Request, signed_in: Lead) -> Response:
    """Gives a person another role; their token stays."""
    services, form = services_of(request), request.state.form
    name = form.get("name", "")
    try:
        if folded(name) not in {folded(one) for one in read_roster(services.redis)}:
            raise PeopleError(services.texts("people.not_there", name=name[:100]))
        add_person(services.redis, name, form.get("role", ""), by=signed_in.actor)
    except (PeopleError, QueueError, BankRequestError) as error:
        return _page(request, signed_in, UNPROCESSABLE, refusal=str(error))
    return _done("role", name)


@router.post("/people/remove")
def remove(request: Request, signed_in: Lead) -> Response:
    """Removes a person: they can do nothing from now on, and what they hold is free. Their account goes too."""
    services, name = services_of(request), request.state.form.get("name", "")
    try:
        remove_person(services.redis, name, by=signed_in.actor)
    except (PeopleError, QueueError, BankRequestError) as error:
        return _page(request, signed_in, UNPROCESSABLE, refusal=str(error))
    services.accounts.forget(name)
    return _done("removed", name)


def _with_token(request: Request, signed_in: SignedIn, name: str, act: Callable[[], str]) -> Response:
    """Does something that makes a token, and shows it: nothing keeps it, so it is no page that can be loaded again."""
    try:
        made = act()
    except (PeopleError, QueueError, BankRequestError) as error:
        return _page(request, signed_in, UNPROCESSABLE, refusal=str(error), name=name)
    return _page(request, signed_in, made=(name, made))


def _done(what: str, name: str) -> Response:
    return RedirectResponse(f"/people?{urlencode({'done': what, 'name': name})}", SEE_OTHER)


def _page(
    request: Request,
    signed_in: SignedIn,
    status: int = 200,
    *,
    said: str = "",
    refusal: str = "",
    made: tuple[str, str] | None = None,
    name: str = "",
) -> Response:
    services = services_of(request)
    with_account = services.accounts.names()
    people = [
        (one, _role(one, text), folded(one) in with_account)
        for one, text in sorted(read_roster(services.redis).items(), key=lambda found: folded(found[0]))
    ]
    return render(
        request,
        "people.html",
        status,
        people=people,
        roles=ROSTER_ROLES,
        changes=signed_in.actor.role is Role.LEAD,
        said=said,
        refusal=refusal,
        made=made,
        name=name,
    )


def _role(name: str, text: str) -> str | None:
    """The role of a record; None: it is damaged."""
    try:
        return Person.from_json(name, text).role
    except StoreError:
        return None
