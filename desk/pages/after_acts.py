"""Acts after a decision: the state of an interruption, legal holds, and hashes of pictures that people saw."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from redis import Redis
from starlette.responses import RedirectResponse, Response

from desk.accounts.accounts import SignedIn
from desk.cases.case_view import CaseView, read_case
from desk.errors import JudgementRefusedError, UnknownCaseError
from desk.judging.after_words import interrupt_words
from desk.judging.decide_words import Sent
from desk.judging.flood_duplicates import decide_as_the_flood
from desk.judging.opened import opened_by
from desk.judging.picture_lists import allow_picture, put_forward
from desk.judging.preserving import preserve
from desk.pages.addresses import SEE_OTHER, case_path
from desk.pages.case import show_case
from desk.pages.deciding import CONFLICT
from desk.web.access import judges, leads
from desk.web.rendering import render
from desk.web.services import services_of
from worker.queue.interrupts import interrupt_state

router = APIRouter()
Judge = Annotated[SignedIn, Depends(judges)]


@router.get("/cases/{case_id}/incidents/{incident_id}/interrupt")
def interrupt(request: Request, signed_in: Judge, case_id: str, incident_id: str) -> Response:
    """The line about an interruption that was asked for, which the page asks again for every few seconds."""
    services = services_of(request)
    view = read_case(services.redis, case_id, viewer=signed_in.actor)
    _of_case(view, incident_id)
    state = interrupt_state(services.redis, incident_id, viewer=signed_in.actor.name)
    words = interrupt_words(incident_id, state, view.now_ms, services.texts)
    return render(request, "case/interrupt.html", view=view, interrupt=words)


@router.post("/cases/{case_id}/preserve")
def preserve_case(request: Request, signed_in: Judge, case_id: str) -> Response:
    """Places a legal hold on each incident of a case."""
    reason = request.state.form.get("reason", "")
    return _act(request, signed_in, case_id, lambda redis, view: preserve(redis, view, signed_in.actor, reason=reason))


@router.post("/cases/{case_id}/incidents/{incident_id}/duplicates")
def duplicates(
    request: Request, signed_in: Annotated[SignedIn, Depends(leads)], case_id: str, incident_id: str
) -> Response:
    """Decides the open duplicates of a flood as the flood was decided."""
    services, form = services_of(request), request.state.form

    def act(redis: Redis, view: CaseView) -> str:
        decided, left = decide_as_the_flood(
            redis,
            _of_case(view, incident_id),
            signed_in.actor,
            services.settings,
            note=form.get("note", "").replace("\r\n", "\n"),
            number=form.get("number", ""),
        )
        return services.texts("judging.duplicates_done", count=decided, left=left)

    return _act(request, signed_in, case_id, act)


@router.post("/cases/{case_id}/incidents/{incident_id}/confirm")
def confirm(request: Request, signed_in: Judge, case_id: str, incident_id: str) -> Response:
    """Puts the hash of a picture that the person saw clear forward for `confirmed`, or agrees with who did."""
    texts, ref = services_of(request).texts, request.state.form.get("ref", "")

    def act(redis: Redis, view: CaseView) -> str:
        _of_case(view, incident_id)
        done = put_forward(redis, incident_id, ref, signed_in.actor)
        return texts("judging.confirmed" if done.confirmed else "judging.put_forward", by=done.proposed_by)

    return _act(request, signed_in, case_id, act)


@router.post("/cases/{case_id}/incidents/{incident_id}/allow")
def allow(request: Request, signed_in: Annotated[SignedIn, Depends(leads)], case_id: str, incident_id: str) -> Response:
    """Allows a harmless picture for a time."""
    texts, form = services_of(request).texts, request.state.form
    list_name, hours = form.get("list", ""), form.get("hours", "")

    def act(redis: Redis, view: CaseView) -> str:
        record, views = _of_case(view, incident_id), opened_by(redis, view, signed_in.actor) or ()
        allow_picture(redis, record, signed_in.actor, views, ref=form.get("ref", ""), list_name=list_name, hours=hours)
        return texts("judging.allowed", list=list_name, hours=hours)

    return _act(request, signed_in, case_id, act)


def _act(request: Request, signed_in: SignedIn, case_id: str, act: Callable[[Redis, CaseView], str | None]) -> Response:
    """Does an act, and shows the case: with what the act says, or with the reason where it is refused."""
    services = services_of(request)
    view = read_case(services.redis, case_id, viewer=signed_in.actor)
    try:
        said = act(services.redis, view)
    except JudgementRefusedError as error:
        refused = Sent(refusal=services.texts(error.key, **error.values), form=request.state.form)
        return show_case(request, signed_in, case_id, CONFLICT, judged=refused)
    if said:
        return show_case(request, signed_in, case_id, judged=Sent(refusal=said))
    return RedirectResponse(case_path(case_id), SEE_OTHER)


def _of_case(view: CaseView, incident_id: str) -> Mapping[str, Any]:
    """The record of an incident of the case.

    Raises:
        UnknownCaseError: it is of another case, or of none.
    """
    for record in view.records:
        if record["incident_id"] == incident_id:
            return record
    raise UnknownCaseError(incident_id)
