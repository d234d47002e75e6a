"""Reporting a case: what a report lacks, the answers, drafts, and the record that it was reported."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from desk.accounts.accounts import SignedIn
from desk.answers.answer_store import KEPT_DAYS
from desk.errors import AnswersChangedError, AnswersRefusedError
from desk.pages.addresses import SEE_OTHER, case_path
from desk.reports.answer_fields import ADDRESSES, SECTIONS, FieldKind, fields_of_row
from desk.reports.answers_form import answers_of, form_of, open_rows
from desk.reports.case_reports import TYPES, draft_state, draft_text, file_name, kept_report
from desk.texts.catalogue import Texts
from desk.web.access import judges
from desk.web.rendering import render
from desk.web.services import services_of
from worker.drafts.case_report import CaseReport
from worker.drafts.forms import ReportForm
from worker.errors import RetentionError
from worker.events.cloudevent import rfc3339

router = APIRouter()
Judge = Annotated[SignedIn, Depends(judges)]

AUTHORITIES: Final = ("NCMEC", "NCA")
"""Names that the form offers; others may be typed."""
CONFLICT, UNPROCESSABLE = 409, 422


@router.get("/cases/{case_id}/report")
def report_page(request: Request, _signed_in: Judge, case_id: str, saved: str = "", recorded: str = "") -> Response:
    """Shows what a report of the case lacks first, then answers, drafts and what was reported."""
    said = {"1": "report.saved"}.get(saved) or {"1": "report.recorded", "2": "report.recorded_before"}.get(recorded)
    return _page(request, services_of(request).reports.gather(case_id), said=said)


@router.post("/cases/{case_id}/report/answers")
def save_answers(request: Request, signed_in: Judge, case_id: str) -> Response:
    """Saves the answers in the desk's database; nothing is sent."""
    services, form = services_of(request), request.state.form
    case = services.reports.gather(case_id)
    version = form.get("version", "")
    try:
        services.answers.save(
            case.case_id,
            answers_of(form),
            by=signed_in.actor.name,
            version=int(version) if version.isascii() and version.isdecimal() and len(version) < 10 else -1,
        )
    except AnswersRefusedError as error:
        return _page(request, case, UNPROCESSABLE, form=form, wrong=error.fields, refusal="report.wrong")
    except AnswersChangedError as error:
        return _page(request, case, CONFLICT, form=form, refusal="report.changed_by", by=error.by)
    return RedirectResponse(f"{case_path(case.case_id)}/report?saved=1", SEE_OTHER)


@router.get("/cases/{case_id}/report/drafts/{form}")
def draft(request: Request, _signed_in: Judge, case_id: str, form: ReportForm, download: str = "") -> Response:
    """Shows a draft, or hands it out as a file. It is one whatever it lacks: it says so, and nothing is sent."""
    services = services_of(request)
    case = services.reports.gather(case_id)
    kept = services.answers.of(case.case_id)
    state = draft_state(form, case, kept.answers)
    if state.refused:
        return render(request, "draft.html", CONFLICT, case=case, state=state, text="")
    text = draft_text(state, case, kept.answers)
    if download != "1":
        return render(request, "draft.html", case=case, state=state, text=text)
    name = file_name(case.case_id, f"{form}-draft.{TYPES[form]}")
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(text, media_type=f"application/{TYPES[form]}", headers=headers)


@router.post("/cases/{case_id}/report/record")
def record(request: Request, signed_in: Judge, case_id: str) -> Response:
    """Records that the case was reported, which starts the terms of that authority."""
    services, form = services_of(request), request.state.form
    given = {name: form.get(name, "") for name in ("authority", "report_id")}
    try:
        outcome = services.reports.record(case_id, signed_in.actor, **given)
    except RetentionError:
        case = services.reports.gather(case_id)
        return _page(request, case, UNPROCESSABLE, refusal="report.record_wrong", record_form=given)
    said = "2" if outcome.again else "1"
    return RedirectResponse(f"{case_path(outcome.report.case_id)}/report?recorded={said}", SEE_OTHER)


def _page(
    request: Request,
    case: CaseReport,
    status: int = 200,
    *,
    form: dict[str, str] | None = None,
    wrong: frozenset[str] = frozenset(),
    said: str | None = None,
    refusal: str | None = None,
    by: str = "",
    record_form: dict[str, str] | None = None,
) -> Response:
    """The page; `form`: answers as a person typed them, which are not saved."""
    services = services_of(request)
    kept = services.answers.of(case.case_id)
    retention = services.reports.retention()
    shown: dict[str, str] = form_of(kept.answers) if form is None else form
    values: dict[str, Any] = {
        "case": case,
        "states": [draft_state(one, case, kept.answers) for one in ReportForm],
        "kept": kept,
        "kept_days": KEPT_DAYS,
        "changed": rfc3339(kept.changed_ms)[:16].replace("T", " ") if kept.changed_ms else "",
        "sections": SECTIONS,
        "kinds": FieldKind,
        "rows": [fields_of_row(number) for number in range(open_rows(shown))],
        "form": shown,
        "wrong": wrong,
        "said": said,
        "refusal": refusal,
        "by": by,
        "record_form": record_form or {"authority": "", "report_id": ""},
        "authorities": [(name, *retention.report_days(name)) for name in AUTHORITIES],
        "reports": [kept_report(one, retention) for one in case.reports],
        "expected": lambda name: _expected(name, services.texts),
        "day": lambda ms: rfc3339(ms)[:10],
    }
    return render(request, "report.html", status, **values)


def _expected(name: str, texts: Texts) -> str:
    """The text that says what a field expects."""
    last = name.rpartition(".")[2] if name.startswith(f"{ADDRESSES}.") else name
    return texts("expected." + (last if "expected." + last in texts.by_key else "other"))
