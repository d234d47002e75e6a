"""The case: words first, then its timeline, then closed pictures; beside them hold and decision."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from desk.accounts.accounts import SignedIn
from desk.cases.case_view import read_case
from desk.cases.case_words import case_words
from desk.pages.picture_section import pictures_part
from desk.web.access import judges
from desk.web.rendering import render
from desk.web.services import services_of

router = APIRouter()


@router.get("/cases/{case_id}")
def case_page(request: Request, signed_in: Annotated[SignedIn, Depends(judges)], case_id: str) -> Response:
    """Shows a case; takes nothing, opens no picture."""
    services, reader = services_of(request), signed_in.actor.name
    view = read_case(services.redis, case_id)
    return render(
        request,
        "case.html",
        view=view,
        mine=view.is_held_by(reader),
        **case_words(services.redis, view, reader, services.texts, policy_file=services.settings.policy_file),
        **pictures_part(request, signed_in, view),
    )
