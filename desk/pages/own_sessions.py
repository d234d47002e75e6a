"""A person's own sessions, and the way to end all of them."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from desk.accounts.accounts import SignedIn
from desk.pages.addresses import SEE_OTHER
from desk.web.access import anybody
from desk.web.rendering import render
from desk.web.services import services_of
from worker.events.cloudevent import rfc3339

router = APIRouter()


@router.get("/sessions")
def sessions_page(request: Request, signed_in: Annotated[SignedIn, Depends(anybody)]) -> Response:
    """Lists where the person is signed in; behind a proxy that signs people in there is no session."""
    return render(
        request,
        "sessions.html",
        sessions=services_of(request).accounts.sessions_of(signed_in.actor),
        family=signed_in.family,
        minute=lambda ms: rfc3339(ms)[:16].replace("T", " "),
    )


@router.post("/sessions/end")
def end_sessions(request: Request, signed_in: Annotated[SignedIn, Depends(anybody)]) -> Response:
    """Signs the person out everywhere, here too; what they hold they go on holding."""
    services_of(request).accounts.sign_out_everywhere(signed_in.actor)
    request.state.token = ""
    return RedirectResponse("/sign-in", SEE_OTHER)
