"""Look now: a picture of what a case's stream shows at this moment, closed like the others."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from desk.accounts.accounts import SignedIn
from desk.cases.case_view import CaseView, read_case
from desk.errors import UnknownCaseError
from desk.pages.addresses import SEE_OTHER, case_path
from desk.pages.picture_section import look_offer, looked_at, pictures_part
from desk.pictures.section import LookOffer, look_refusal
from desk.web.access import judges
from desk.web.rendering import render
from desk.web.services import services_of
from worker.errors import LookError, QueueError
from worker.evidence.item import is_ref
from worker.queue.looks import ask, read_look

router = APIRouter()
REFUSED: Final = 409


@router.post("/cases/{case_id}/look")
def look_now(request: Request, signed_in: Annotated[SignedIn, Depends(judges)], case_id: str) -> Response:
    """Asks a worker for a picture of this moment; the tile that waits asks for it again."""
    services = services_of(request)
    view = read_case(services.redis, case_id)
    look = LookOffer(offered=True)
    try:
        incident_id = looked_at(view, signed_in)
        if incident_id is None:
            raise LookError("nothing undecided", reason="lead" if view.undecided else "decided")
        look = LookOffer(waiting=ask(services.redis, incident_id, signed_in.actor))
    except LookError as error:
        look = LookOffer(offered=looked_at(view, signed_in) is not None, refused=look_refusal(error, services.texts))
    except QueueError as error:  # its retention ended a moment ago
        raise UnknownCaseError(case_id) from error
    if "hx-request" in request.headers:
        return _look_tile(request, signed_in, view, look)
    if look.waiting:
        return RedirectResponse(f"{case_path(view.case_id)}?look={look.waiting}#pictures", SEE_OTHER)
    return render(request, "refused.html", REFUSED, text=look.refused)


@router.get("/cases/{case_id}/look/{look_id}")
def look_state(
    request: Request, signed_in: Annotated[SignedIn, Depends(judges)], case_id: str, look_id: str
) -> Response:
    """The tile of a look: waiting, refused, or the closed picture before a new offer."""
    services = services_of(request)
    view = read_case(services.redis, case_id)
    look = look_offer(request, view, signed_in, look_id if is_ref(look_id) else "")
    ref = ""
    if not look.waiting and not look.refused and is_ref(look_id):
        done = read_look(services.redis, look_id)
        ref = "" if done is None else done.ref
    return _look_tile(request, signed_in, view, look, ref=ref)


def _look_tile(request: Request, signed_in: SignedIn, view: CaseView, look: LookOffer, *, ref: str = "") -> Response:
    part = pictures_part(request, signed_in, view)
    new = next((one for one in part["pictures"].tiles if one.ref == ref), None)
    return render(request, "case/look.html", look=look, new=new, **part)
