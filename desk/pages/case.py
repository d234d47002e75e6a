"""The case: words first, then its timeline, then closed pictures; beside them hold and decision."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from desk.accounts.accounts import SignedIn
from desk.cases.case_view import read_case
from desk.cases.case_words import case_words
from desk.judging.judging_part import judging_part
from desk.pages.picture_section import pictures_part
from desk.web.access import judges
from desk.web.rendering import render
from desk.web.services import services_of

router = APIRouter()


@router.get("/cases/{case_id}")
def case_page(request: Request, signed_in: Annotated[SignedIn, Depends(judges)], case_id: str) -> Response:
    """Shows a case; takes nothing, opens no picture."""
    return show_case(request, signed_in, case_id)


def show_case(request: Request, signed_in: SignedIn, case_id: str, status: int = 200, /, **sent: Any) -> Response:
    """The page of a case as it is now; after an act that was refused with what was sent (a part's own argument).

    Raises:
        UnknownCaseError: there is none of that id.
        StoreError: Redis failed.
    """
    services, actor = services_of(request), signed_in.actor
    view = read_case(services.redis, case_id, viewer=actor)
    return render(
        request,
        "case.html",
        status,
        view=view,
        mine=view.is_held_by(actor.name),
        **judging_part(services.redis, view, actor, services.texts, judged=sent.get("judged")),
        **case_words(
            services.redis,
            view,
            actor,
            services.texts,
            policy_file=services.settings.policy_file,
            refused=sent.get("refused", ""),
        ),
        **pictures_part(request, signed_in, view),
    )
