"""Deciding a case: one form, one key, and an answer for each incident of it."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from desk.accounts.accounts import SignedIn
from desk.cases.case_view import read_case
from desk.errors import JudgementRefusedError
from desk.judging.decide_words import Sent
from desk.judging.deciding import CaseJudge, IncidentAnswer
from desk.judging.judging_form import JudgingForm, read_judging_form
from desk.judging.opened import has_opened
from desk.pages.addresses import SEE_OTHER, case_path
from desk.pages.case import show_case
from desk.web.access import judges
from desk.web.services import services_of

router = APIRouter()
CONFLICT = 409
"""Something was not decided: another was faster, worse came, or the form lacks something."""
JudgingAct = Callable[[CaseJudge, JudgingForm], tuple[IncidentAnswer, ...]]


@router.post("/cases/{case_id}/decide")
def decide(request: Request, signed_in: Annotated[SignedIn, Depends(judges)], case_id: str) -> Response:
    """Decides what the person holds of a case and was shown; shows the case again where anything is refused."""
    return _judge(request, signed_in, case_id, lambda judge, form: judge.decide(form))


@router.post("/cases/{case_id}/revise")
def revise(request: Request, signed_in: Annotated[SignedIn, Depends(judges)], case_id: str) -> Response:
    """Changes what was decided, or asks more of the platform, with a reason."""
    was = request.state.form.get("was", "")
    return _judge(request, signed_in, case_id, lambda judge, form: judge.revise(form, was=was), was=was)


def _judge(request: Request, signed_in: SignedIn, case_id: str, act: JudgingAct, *, was: str = "") -> Response:
    services, sent = services_of(request), request.state.form
    view = read_case(services.redis, case_id, viewer=signed_in.actor)
    judge = CaseJudge(
        redis=services.redis,
        settings=services.settings,
        view=view,
        actor=signed_in.actor,
        opened=has_opened(services.redis, view, signed_in.actor),
    )
    try:
        answers = act(judge, read_judging_form(sent, was=was))
    except JudgementRefusedError as error:
        refused = Sent(refusal=services.texts(error.key, **error.values), form=sent)
        return show_case(request, signed_in, case_id, CONFLICT, judged=refused)
    if any(one.refusal for one in answers):
        return show_case(request, signed_in, case_id, CONFLICT, judged=Sent(answers=answers, form=sent))
    return RedirectResponse(case_path(case_id), SEE_OTHER)
