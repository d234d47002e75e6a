"""The package of a case: two people agree, and the second gets it, sealed to the recipient."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from desk.accounts.accounts import SignedIn
from desk.errors import BusyError
from desk.pages.addresses import SEE_OTHER, case_path
from desk.reports.case_reports import file_name, seen_content
from desk.web.access import judges
from desk.web.rendering import render
from desk.web.services import services_of
from worker.drafts.case_report import CaseReport
from worker.drafts.packaging import recipients_of
from worker.errors import DraftError, EvidenceError
from worker.events.cloudevent import rfc3339

router = APIRouter()
Judge = Annotated[SignedIn, Depends(judges)]

LONGEST_KEY: Final = 200
"""Characters of a public key; age's have 62."""
CONFLICT, UNPROCESSABLE, BUSY = 409, 422, 503


@router.get("/cases/{case_id}/package")
def package_page(request: Request, _signed_in: Judge, case_id: str, agreed: str = "") -> Response:
    """Shows what is packaged, who agreed to what, and what has changed since."""
    case = services_of(request).reports.gather(case_id)
    return _page(request, case, said="package.agreed" if agreed == "1" else None)


@router.post("/cases/{case_id}/package")
def package(request: Request, signed_in: Judge, case_id: str) -> Response:
    """Agrees; the second person's answer is the package."""
    services, form = services_of(request), request.state.form
    recipient = form.get("recipient", "").strip()[:LONGEST_KEY]
    case = services.reports.gather(case_id)
    try:
        recipients_of(recipient)
    except EvidenceError:
        return _page(request, case, UNPROCESSABLE, refusal="package.no_key", recipient=recipient)
    # Without it a form of another page, or of none, would agree to whatever the case is now.
    seen = form.get("seen", "") or "-"
    try:
        done = services.reports.package(case.case_id, signed_in.actor, to=recipient, seen=seen)
    except BusyError:
        return _page(request, case, BUSY, refusal="package.busy", recipient=recipient)
    except EvidenceError:
        return _page(request, case, CONFLICT, refusal="package.no_identity", recipient=recipient)
    except DraftError:
        now = services.reports.gather(case_id)
        refusal = "package.changed" if now.reportable else "package.undecided"
        return _page(request, now, CONFLICT, refusal=refusal, recipient=recipient)
    if done.package is None:
        return RedirectResponse(f"{case_path(done.case_id)}/package?agreed=1", SEE_OTHER)
    headers = {"content-disposition": f'attachment; filename="{file_name(done.case_id, "package.zip.age")}"'}
    return Response(done.sealed, media_type="application/octet-stream", headers=headers)


def _page(
    request: Request,
    case: CaseReport,
    status: int = 200,
    *,
    said: str | None = None,
    refusal: str | None = None,
    recipient: str = "",
) -> Response:
    services = services_of(request)
    return render(
        request,
        "package.html",
        status,
        case=case,
        agreements=services.reports.agreements(case),
        opens_pictures=services.reports.opens_pictures,
        seen=seen_content(case),
        said=said,
        refusal=refusal,
        recipient=recipient,
        minute=lambda ms: rfc3339(ms)[:16].replace("T", " "),
    )
