"""The section of pictures as a request finds it: what is kept, what failed to open, and what the person may do."""

from typing import Any

from fastapi import Request

from desk.accounts.accounts import SignedIn
from desk.cases.case_view import CaseView
from desk.pages.addresses import case_path
from desk.pictures.kept_pictures import CasePictures, read_pictures
from desk.pictures.section import (
    CLEAR_REASONS,
    LookOffer,
    OpenPicture,
    PictureSection,
    look_refusal,
    neighbours,
    next_closed,
    summary_of,
)
from desk.pictures.tile_words import PictureTile, TileReader, tiles_of
from desk.texts.clock import clock
from desk.texts.durations import duration
from desk.web.services import DeskServices, services_of
from worker.errors import LookError
from worker.people.actor import Role
from worker.queue.looks import read_look


def pictures_part(
    request: Request,
    signed_in: SignedIn,
    view: CaseView,
    *,
    notice: str = "",
    opened_ref: str = "",
    ticket: str = "",
    reason: str = "",
) -> dict[str, Any]:
    """Values that the templates of pictures need. The query of the request names the picture that is open (`open`), the
    ticket of its clear view (`ticket`) and a look under way (`look`), for browsers without scripts, too.

    A picture that the case does not have is not open, which the notice says.
    """
    services, name = services_of(request), signed_in.actor.name
    query = request.query_params
    pictures = read_pictures(services.redis, view)
    tiles = _tiles(services, signed_in, pictures, view.now_ms)
    opened = None
    if ref := opened_ref or query.get("open", ""):
        opened = _opened(request, signed_in, view, tiles, ref, ticket or query.get("ticket", ""), reason)
        if pictures.find(ref) is None:
            notice = services.texts("picture_refused.forgotten")
    today, preferences = services.exposure.today(name), services.preferences.of(name)
    section = PictureSection(
        path=case_path(view.case_id),
        summary=summary_of(
            pictures, view, services.texts, is_open=opened is not None, no_pictures=preferences.no_pictures
        ),
        notice=notice,
        tiles=tiles,
        opened=opened,
        next_ref=next_closed(tiles, "" if opened is None else opened.tile.ref),
        look=look_offer(request, view, signed_in, query.get("look", "")),
        reasons=CLEAR_REASONS,
        today=services.texts(
            "clear_view.today", count=today.clear_views, time=duration(today.clear_seconds, services.texts)
        ),
    )
    return {"pictures": section}


def look_offer(request: Request, view: CaseView, signed_in: SignedIn, look_id: str = "") -> LookOffer:
    """The tile of the look: offered while a finding is undecided, waiting, or refused."""
    services = services_of(request)
    offered = looked_at(view, signed_in) is not None
    offered = offered and not services.preferences.of(signed_in.actor.name).no_pictures
    if not look_id:
        return LookOffer(offered=offered)
    try:
        done = read_look(services.redis, look_id)
    except LookError as error:
        return LookOffer(offered=offered, refused=look_refusal(error, services.texts))
    return LookOffer(offered=offered) if done is not None else LookOffer(waiting=look_id)


def looked_at(view: CaseView, signed_in: SignedIn) -> str | None:
    """The incident for which a person looks: the most urgent undecided one that they may decide; None: none is."""
    may = [one for one in view.undecided if signed_in.actor.role is Role.LEAD or one["needs_role"] != Role.LEAD]
    return str(may[0]["incident_id"]) if may else None


def _tiles(services: DeskServices, signed_in: SignedIn, pictures: CasePictures, now_ms: int) -> tuple[PictureTile, ...]:
    failures = {one.record.ref: services.failed_openings.reason(one.record.ref) for one in pictures.shown}
    if services.settings.evidence_identity is None:
        failures = dict.fromkeys(failures, "identity")
    reader = TileReader(
        is_lead=signed_in.actor.role is Role.LEAD,
        no_pictures=services.preferences.of(signed_in.actor.name).no_pictures,
    )
    return tiles_of(pictures, failures, reader, services.texts, now_ms=now_ms)


def _opened(
    request: Request,
    signed_in: SignedIn,
    view: CaseView,
    tiles: tuple[PictureTile, ...],
    ref: str,
    ticket: str,
    reason: str,
) -> OpenPicture | None:
    """The open picture; None: this person, or nobody, can open it, or its clear view is over."""
    services, name = services_of(request), signed_in.actor.name
    tile = next((one for one in tiles if one.ref == ref), None)
    if tile is None or not tile.opens or (ticket and not services.clear_grants.is_good(name, ref, ticket)):
        return None
    preferences = services.preferences.of(name)
    previous_ref, next_ref = neighbours(tiles, ref)
    return OpenPicture(
        tile=tile,
        reduced_path=f"/pictures/{ref}/reduced",
        clear_path=f"/pictures/{ref}/clear/{ticket}" if ticket else "",
        at=clock(view.now_ms),
        as_set=services.texts(
            "pictures.as_set",
            detail=services.texts(f"settings.detail_{preferences.detail}").lower(),
            strength=preferences.strength,
        ),
        reason=reason,
        size=preferences.size,
        previous_ref=previous_ref,
        next_ref=next_ref,
    )
