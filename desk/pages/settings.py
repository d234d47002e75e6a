"""Pages of a person's own: settings and password; and the way in, by role."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from desk.accounts.accounts import SignedIn
from desk.errors import SignInError
from desk.pages.sign_in import REFUSED, SEE_OTHER, refusal
from desk.preferences.preferences import DETAILS, SIZES, STRENGTHS, THEMES, Preferences
from desk.web.access import anybody, judges, readers
from desk.web.rendering import render
from desk.web.services import services_of

router = APIRouter()
_CHOICES: Final[dict[str, Any]] = {"details": DETAILS, "sizes": SIZES, "themes": THEMES, "strengths": STRENGTHS}


@router.get("/")
def home(signed_in: Annotated[SignedIn, Depends(anybody)]) -> Response:
    """Leads to the page that the person's role begins with."""
    role = signed_in.actor.role
    first = "/queue" if role in judges.roles else "/insight" if role in readers.roles else "/settings"
    return RedirectResponse(first, SEE_OTHER)


@router.get("/settings")
def settings_page(request: Request, signed_in: Annotated[SignedIn, Depends(anybody)], saved: str = "") -> Response:
    """Shows the person's settings."""
    preferences = services_of(request).preferences.of(signed_in.actor.name)
    return render(request, "settings.html", preferences=preferences, saved=saved == "1", **_CHOICES)


@router.post("/settings")
def save_settings(request: Request, signed_in: Annotated[SignedIn, Depends(anybody)]) -> Response:
    """Saves them; touches nothing in Redis, so that no hold is lost."""
    services_of(request).preferences.save(signed_in.actor.name, Preferences.from_form(request.state.form))
    if "hx-request" in request.headers:
        return render(request, "saved.html")
    return RedirectResponse("/settings?saved=1", SEE_OTHER)


@router.get("/password")
def password_page(request: Request, _signed_in: Annotated[SignedIn, Depends(anybody)]) -> Response:
    """Shows the form that changes the password."""
    return render(request, "password.html", refusal="")


@router.post("/password")
def change_password(request: Request, signed_in: Annotated[SignedIn, Depends(anybody)]) -> Response:
    """Changes it, and signs the person out everywhere else."""
    services, form = services_of(request), request.state.form
    try:
        request.state.token = services.accounts.change_password(
            signed_in.actor,
            form.get("password", ""),
            form.get("new_password", ""),
            address=services.address(request),
        )
    except SignInError as error:
        return render(request, "password.html", REFUSED, refusal=refusal(request, error))
    return RedirectResponse("/settings?saved=1", SEE_OTHER)
