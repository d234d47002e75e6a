"""Pictures: opened reduced, shown clear by a second act, and hidden.

Every picture is on record before its first byte is sent; where it cannot be recorded, nothing is.
"""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from desk.accounts.accounts import SignedIn
from desk.cases.case_view import CaseView, read_case
from desk.errors import PictureRefusedError, UnknownCaseError
from desk.pages.addresses import SEE_OTHER, case_path
from desk.pages.picture_section import pictures_part
from desk.pages.welfare import reduction_of
from desk.pictures.kept_pictures import KeptPicture, is_matched, read_pictures
from desk.pictures.opening import OpenedPicture, clear_jpeg, reduced_png
from desk.pictures.section import CLEAR_REASONS
from desk.pictures.watermark import mark_text
from desk.web.access import judges
from desk.web.rendering import render
from desk.web.services import DeskServices, services_of
from worker.audit.entries import Act, Shown, append_entry, audit_entry
from worker.errors import QueueError, StoreError
from worker.evidence.altered import altered_entry
from worker.evidence.item import is_ref
from worker.evidence.item_states import states_of
from worker.people.actor import Role
from worker.queue.record import describe_incident
from worker.store.redis_client import now_ms, store_errors

router = APIRouter()
_log = logging.getLogger(__name__)

LONGEST_REASON: Final = 500
STATUS: Final = {
    "altered": 409,
    "store": 503,
    "slow": 503,
    "busy": 503,
    "identity": 503,
    "spool": 503,
    "lead": 403,
    "known": 403,
    "none-at-all": 403,
    "reason": 400,
    "place": 403,
    "late": 410,
}
"""Statuses of refusals by their reason; of others 404."""
_ABOUT_THE_PERSON: Final = frozenset({"lead", "known", "none-at-all", "reason", "place", "late"})
"""Refusals that say nothing about the picture itself."""


@router.get("/cases/{case_id}/pictures")
def picture_section(request: Request, signed_in: Annotated[SignedIn, Depends(judges)], case_id: str) -> Response:
    """The section of a case's pictures, with the one open that the query names; opens nothing itself."""
    view = read_case(services_of(request).redis, case_id)
    return render(request, "case/pictures.html", **pictures_part(request, signed_in, view))


@router.get("/pictures/{ref}/reduced")
async def reduced_picture(request: Request, signed_in: Annotated[SignedIn, Depends(judges)], ref: str) -> Response:
    """The picture as it opens first."""
    services = services_of(request)
    try:
        _expect_in_page(request)
        _, kept = await run_in_threadpool(_expect_kept, services, signed_in, ref)
        preferences = await run_in_threadpool(services.preferences.of, signed_in.actor.name)
        reduction = reduction_of(preferences)
        picture, png = await _opened(services, ref, lambda picture: reduced_png(picture, reduction))
    except PictureRefusedError as error:
        return await run_in_threadpool(_refused, request, signed_in, ref, error)
    await run_in_threadpool(
        _record, services, signed_in, picture, shown=Shown.BLURRED, detail=f"{reduction.detail} {reduction.strength}"
    )
    await run_in_threadpool(services.exposure.saw_reduced, signed_in.actor.name, kept.record.ref)
    return Response(png, media_type="image/png")


@router.post("/pictures/{ref}/clear")
async def ask_clear(request: Request, signed_in: Annotated[SignedIn, Depends(judges)], ref: str) -> Response:
    """Grants one clear view of 20 s, for a reason; the answer has its address."""
    services, form = services_of(request), request.state.form
    try:
        view, kept = await run_in_threadpool(_expect_kept, services, signed_in, ref)
    except PictureRefusedError as error:
        return await run_in_threadpool(_refused, request, signed_in, ref, error)
    try:
        _expect_may_clear(signed_in, kept.matched)
        reason = _reason(services, form.get("reason", ""), form.get("reason_text", ""))
        # Opened here, too: what does not open is said in words, and the head knows of matches that no rule needed.
        picture, _ = await _opened(services, ref, lambda _: b"")
        _expect_may_clear(signed_in, is_matched(picture.found.record, kept.incident, picture.head))
        ticket = await run_in_threadpool(services.clear_grants.grant, signed_in.actor.name, ref, reason)
    except PictureRefusedError as error:
        return await run_in_threadpool(_refused_in_section, request, signed_in, view, ref, error)
    if "hx-request" not in request.headers:
        return RedirectResponse(f"{case_path(view.case_id)}?open={ref}&ticket={ticket}#pictures", SEE_OTHER)
    return await run_in_threadpool(_section, request, signed_in, view, ref, ticket=ticket, reason=reason)


@router.get("/pictures/{ref}/clear/{ticket}")
async def clear_picture(
    request: Request, signed_in: Annotated[SignedIn, Depends(judges)], ref: str, ticket: str
) -> Response:
    """The clear picture with its mark: once, for the person who asked, within 20 s."""
    services, name = services_of(request), signed_in.actor.name
    try:
        _expect_in_page(request)
        _, kept = await run_in_threadpool(_expect_kept, services, signed_in, ref)
        _expect_may_clear(signed_in, kept.matched)
        reason = await run_in_threadpool(services.clear_grants.redeem, name, ref, ticket)
        if reason is None:
            raise PictureRefusedError("late")
        at = await run_in_threadpool(_time_of_mark, services)
        picture, jpeg = await _opened(services, ref, lambda picture: clear_jpeg(picture, mark_text(name, at)))
        _expect_may_clear(signed_in, is_matched(picture.found.record, kept.incident, picture.head))
    except PictureRefusedError as error:
        return await run_in_threadpool(_refused, request, signed_in, ref, error)
    await run_in_threadpool(_record, services, signed_in, picture, shown=Shown.CLEAR, reason=reason)
    await run_in_threadpool(services.exposure.saw_clear, name)
    return Response(jpeg, media_type="image/jpeg")


@router.post("/pictures/{ref}/hide")
def hide_picture(request: Request, signed_in: Annotated[SignedIn, Depends(judges)], ref: str) -> Response:
    """Closes the picture; a clear view that ends before its 20 s counts for less."""
    services = services_of(request)
    view = _case_of(services, ref)
    services.exposure.hid(signed_in.actor.name)
    if "hx-request" not in request.headers:
        return RedirectResponse(f"{case_path(view.case_id)}#pictures", SEE_OTHER)
    return render(request, "case/pictures.html", **pictures_part(request, signed_in, view))


def _expect_in_page(request: Request) -> None:
    """Refuses what browsers fetch in advance, and what is no image in a page of the desk: in a tab of its own nothing
    would hide it again. Browsers state both; what states neither is no browser."""
    headers = request.headers
    if "prefetch" in headers.get("sec-purpose", "") or "prefetch" in headers.get("purpose", ""):
        raise PictureRefusedError("place")
    if (
        headers.get("sec-fetch-dest", "image") != "image"
        or headers.get("sec-fetch-site", "same-origin") != "same-origin"
    ):
        raise PictureRefusedError("place")


def _case_of(services: DeskServices, ref: str) -> CaseView:
    """The case of a picture.

    Raises:
        UnknownCaseError: there is no such picture.
    """
    state = None
    if is_ref(ref):
        with store_errors():
            state = states_of(services.redis, [ref]).get(ref)
    if state is None:
        raise UnknownCaseError(ref)
    try:
        case_id = describe_incident(services.redis, state.incident)["case_id"]
    except QueueError as error:  # its retention ended a moment ago
        raise UnknownCaseError(ref) from error
    return read_case(services.redis, case_id or state.incident)


def _expect_kept(services: DeskServices, signed_in: SignedIn, ref: str) -> tuple[CaseView, KeptPicture]:
    """The case of a picture, and the picture in it.

    Raises:
        UnknownCaseError: there is no such picture.
        PictureRefusedError: it is not for this person, or the person has set to be shown none.
    """
    if services.preferences.of(signed_in.actor.name).no_pictures:
        raise PictureRefusedError("none-at-all")
    view = _case_of(services, ref)
    kept = read_pictures(services.redis, view).find(ref)
    if kept is None:
        raise UnknownCaseError(ref)
    if kept.needs_lead and signed_in.actor.role is not Role.LEAD:
        raise PictureRefusedError("lead")
    return view, kept


def _expect_may_clear(signed_in: SignedIn, matched: bool) -> None:
    if matched and signed_in.actor.role is not Role.LEAD:
        raise PictureRefusedError("known")


def _reason(services: DeskServices, chosen: str, written: str) -> str:
    """The reason that goes on record."""
    if chosen not in CLEAR_REASONS:
        raise PictureRefusedError("reason")
    if chosen != CLEAR_REASONS[-1]:
        return services.texts(f"clear_view.{chosen}")
    if not written.strip():
        raise PictureRefusedError("reason")
    return written.strip()[:LONGEST_REASON]


async def _opened(
    services: DeskServices, ref: str, drawn: Callable[[OpenedPicture], bytes]
) -> tuple[OpenedPicture, bytes]:
    """Opens a picture and draws it, in a thread of its own."""

    def work() -> tuple[OpenedPicture, bytes]:
        picture = services.opener.open(ref)
        return picture, drawn(picture)

    try:
        return await services.reading.run(work)
    except PictureRefusedError as error:
        if error.reason == "slow":
            services.opener.reopen()
        raise


def _record(services: DeskServices, signed_in: SignedIn, picture: OpenedPicture, **details: str) -> None:
    """Puts a view on record, before a byte of it is sent."""
    services.failed_openings.forget(picture.head.ref)
    actor = signed_in.actor
    entry = audit_entry(
        Act.VIEW,
        by=actor.name,
        verified=actor.verified,
        subject=picture.head.ref,
        incident=picture.found.incident,
        stream=picture.head.stream_id,
        **details,
    )
    append_entry(services.redis, entry)


def _noted(services: DeskServices, signed_in: SignedIn, ref: str, error: PictureRefusedError) -> str:
    """Remembers why a picture did not open, puts an altered one on record, and returns the words."""
    if error.reason not in _ABOUT_THE_PERSON and services.failed_openings.note(ref, error.reason):
        _log.warning("desk: picture %s: %s", ref, error.reason)
        if error.reason == "altered":
            actor = signed_in.actor
            try:
                append_entry(services.redis, altered_entry(ref, by=actor.name, verified=actor.verified))
            except StoreError:
                services.failed_openings.forget(ref)  # the next try puts it on record
                raise
    key = f"picture_refused.{error.reason}"
    return services.texts(key if key in services.texts.by_key else "picture_refused.missing")


def _refused(request: Request, signed_in: SignedIn, ref: str, error: PictureRefusedError) -> Response:
    """Says in text why there is no picture; the page's tile says it, too."""
    text = _noted(services_of(request), signed_in, ref, error)
    return PlainTextResponse(text, STATUS.get(error.reason, 404))


def _refused_in_section(
    request: Request, signed_in: SignedIn, view: CaseView, ref: str, error: PictureRefusedError
) -> Response:
    services, status = services_of(request), STATUS.get(error.reason, 404)
    text = _noted(services, signed_in, ref, error)
    if "hx-request" not in request.headers:
        return render(request, "refused.html", status, text=text)
    part = pictures_part(request, signed_in, view, notice=text)
    return render(request, "case/pictures.html", status, **part)


def _section(request: Request, signed_in: SignedIn, view: CaseView, ref: str, *, ticket: str, reason: str) -> Response:
    part = pictures_part(request, signed_in, view, opened_ref=ref, ticket=ticket, reason=reason)
    return render(request, "case/pictures.html", **part)


def _time_of_mark(services: DeskServices) -> str:
    with store_errors():
        at = datetime.fromtimestamp(now_ms(services.redis) / 1000, UTC)
    return f"{at:%d %b %Y %H:%M:%S} UTC"
