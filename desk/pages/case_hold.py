"""Acts on a case's hold: take, renew, release, hold, hand over, ask for help; and its state, for an open page."""

from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from desk.accounts.accounts import SignedIn
from desk.cases.case_state import read_state
from desk.cases.case_view import read_case
from desk.cases.hold_words import HOLD_MINUTES, lost_text
from desk.pages.addresses import SEE_OTHER, case_path
from desk.pages.case import show_case
from desk.texts.durations import duration
from desk.web.access import judges
from desk.web.rendering import open_count
from desk.web.services import services_of
from worker.errors import PeopleError, QueueError
from worker.queue import holds
from worker.queue.claims import let_go, renew, take_case

router = APIRouter()
Judge = Annotated[SignedIn, Depends(judges)]
LONGEST_AWAY_SECONDS: Final = 7 * 86_400
"""Bound of what a page says of its own absence, which is shown."""


@router.get("/cases/{case_id}/state")
def case_state(request: Request, signed_in: Judge, case_id: str) -> Response:
    """Says what a page has to know of its case to stay true; takes nothing and renews nothing."""
    services = services_of(request)
    state = read_state(services.redis, case_id)
    return JSONResponse(
        {
            "evidence": state.evidence,
            "hold": state.hold,
            "lease_ms": state.lease_ms_of(signed_in.actor.name),
            "mine": state.is_held_by(signed_in.actor.name),
            "queue": open_count(services),
        }
    )


@router.post("/cases/{case_id}/take")
def take(request: Request, signed_in: Judge, case_id: str) -> Response:
    """Takes what nobody else holds of a case, and counts what is known by now as shown."""
    redis = services_of(request).redis
    return _done(request, signed_in, case_id, lambda: take_case(redis, signed_in.actor, case_id))


@router.post("/cases/{case_id}/renew")
def renew_hold(request: Request, signed_in: Judge, case_id: str) -> Response:
    """Renews the hold of a page that is open; where it is lost, says who took it, and when."""
    services = services_of(request)
    try:
        lease = renew(services.redis, signed_in.actor, case_id)
    except (QueueError, PeopleError):
        away = _seconds(request.state.form.get("away", ""))
        view = read_case(services.redis, case_id)
        span = duration(away, services.texts)
        return JSONResponse({"lost": lost_text(view, away, services.texts, span=span)})
    return JSONResponse({"until_ms": lease.until_ms, "changed": bool(lease.changed or lease.free)})


@router.post("/cases/{case_id}/release")
def release(request: Request, signed_in: Judge, case_id: str) -> Response:
    """Gives a case back; where only its page was closed, soon, so that the person can open it again."""
    redis, closed = services_of(request).redis, request.state.form.get("page_closed") == "1"
    with suppress(QueueError, PeopleError):  # it is not theirs any more, which is what they want
        let_go(redis, signed_in.actor, case_id, page_closed=closed)
    return Response(status_code=204) if closed else RedirectResponse("/queue", SEE_OTHER)


@router.post("/cases/{case_id}/hold")
def hold(request: Request, signed_in: Judge, case_id: str) -> Response:
    """Keeps a case with its page closed, for a time and a reason."""
    redis, form = services_of(request).redis, request.state.form
    minutes = form.get("minutes", "")
    chosen = int(minutes) if minutes in map(str, HOLD_MINUTES) else 0

    def act() -> object:
        return holds.hold_case(redis, signed_in.actor, case_id, until_seconds=chosen * 60, why=form.get("why", ""))

    return _done(request, signed_in, case_id, act)


@router.post("/cases/{case_id}/hand-over")
def hand_over(request: Request, signed_in: Judge, case_id: str) -> Response:
    """Hands a case over to a colleague, or takes that back."""
    redis, form, actor = services_of(request).redis, request.state.form, signed_in.actor

    def act() -> object:
        if form.get("withdraw") == "1":
            return holds.withdraw(redis, actor, case_id)
        return holds.hand_over(redis, actor, case_id, to=form.get("to", ""), note=form.get("note", ""))

    return _done(request, signed_in, case_id, act)


@router.post("/cases/{case_id}/help")
def ask_help(request: Request, signed_in: Judge, case_id: str) -> Response:
    """Asks all for help with a case; without a question takes the question back."""
    redis, form = services_of(request).redis, request.state.form
    return _done(
        request,
        signed_in,
        case_id,
        lambda: holds.ask_help(redis, signed_in.actor, case_id, what=form.get("what", "")),
    )


def _done(request: Request, signed_in: SignedIn, case_id: str, act: Callable[[], object]) -> Response:
    """Acts, and leads back to the case; where it was refused, shows the case as it is, with the reason."""
    texts = services_of(request).texts
    try:
        act()
    except (QueueError, PeopleError) as error:
        refused = texts("hold.refused", reason=str(error))
        return show_case(request, signed_in, case_id, 409, refused=refused)
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse({})
    return RedirectResponse(case_path(case_id), SEE_OTHER)


def _seconds(text: str) -> float:
    return min(int(text), LONGEST_AWAY_SECONDS) if text.isascii() and text.isdecimal() and len(text) < 10 else 0
