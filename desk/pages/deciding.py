"""Deciding a case: one form, one key, and an answer for each incident of it."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from desk.accounts.accounts import SignedIn
from desk.cases.case_view import read_case
from desk.errors import JudgementRefusedError
from desk.judging.decide_words import Sent
from desk.judging.deciding import decide_case
from desk.judging.judging_form import read_judging_form
from desk.judging.opened import has_opened
from desk.pages.case import show_case
from desk.pages.sign_in import SEE_OTHER
from desk.web.access import judges
from desk.web.services import services_of

router = APIRouter()
CONFLICT = 409
"""Something was not decided: another was faster, worse came, or the form lacks something."""


@router.post("/cases/{case_id}/decide")
def decide(request: Request, signed_in: Annotated[SignedIn, Depends(judges)], case_id: str) -> Response:
    """Decides what the person holds of a case and was shown; shows the case again where anything is refused."""
    services, form = services_of(request), request.state.form
    note, second = form.get("note", ""), "second" in form
    view = read_case(services.redis, case_id)
    try:
        judging = read_judging_form(form)
        answers = decide_case(
            services.redis,
            view,
            judging,
            signed_in.actor,
            deployment=services.settings.deployment,
            opened=has_opened(services.redis, view, signed_in.actor),
        )
    except JudgementRefusedError as error:
        refusal = services.texts(error.key, **error.values)
        return show_case(request, signed_in, case_id, CONFLICT, judged=Sent(refusal=refusal, note=note, second=second))
    if any(one.refusal for one in answers):
        return show_case(request, signed_in, case_id, CONFLICT, judged=Sent(answers=answers, note=note, second=second))
    return RedirectResponse(case_path(case_id), SEE_OTHER)


def case_path(case_id: str) -> str:
    """The address of a case's page."""
    return f"/cases/{quote(case_id, safe='')}"
