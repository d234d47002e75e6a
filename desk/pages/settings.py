"""Pages of a person's own: settings and password; and the way in, by role."""

from dataclasses import replace
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from desk.accounts.accounts import SignedIn
from desk.errors import KeyRefusedError, SignInError
from desk.pages.addresses import SEE_OTHER
from desk.pages.sign_in import REFUSED, refusal
from desk.pages.welfare import welfare_part
from desk.preferences.key_bindings import bindings_from_form
from desk.preferences.preferences import DETAILS, SIZES, STRENGTHS, THEMES, Preferences
from desk.texts.catalogue import Texts
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
    return _settings(request, preferences, saved=saved == "1", keys_saved=saved == "keys")


@router.post("/settings")
def save_settings(request: Request, signed_in: Annotated[SignedIn, Depends(anybody)]) -> Response:
    """Saves them; touches nothing in Redis, so that no hold is lost."""
    store = services_of(request).preferences
    chosen = Preferences.from_form(request.state.form)
    store.save(signed_in.actor.name, replace(chosen, keys=store.of(signed_in.actor.name).keys))
    if "hx-request" in request.headers:
        return render(request, "saved.html")
    return RedirectResponse("/settings?saved=1", SEE_OTHER)


@router.post("/settings/keys")
def save_keys(request: Request, signed_in: Annotated[SignedIn, Depends(anybody)]) -> Response:
    """Saves the person's keys; refuses all where one is taken."""
    services, form = services_of(request), request.state.form
    preferences = services.preferences.of(signed_in.actor.name)
    part = "settings/keys.html" if "hx-request" in request.headers else "settings.html"
    try:
        keys = {} if "defaults" in form else bindings_from_form(form)
    except KeyRefusedError as error:
        return _settings(request, preferences, part=part, keys_refusal=_key_refusal(services.texts, error))
    preferences = replace(preferences, keys=keys)
    services.preferences.save(signed_in.actor.name, preferences)
    if part == "settings.html":
        return RedirectResponse("/settings?saved=keys#keys-set", SEE_OTHER)
    return _settings(request, preferences, part=part, keys_saved=True)


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


def _settings(
    request: Request, preferences: Preferences, *, part: str = "settings.html", keys_refusal: str = "", **said: bool
) -> Response:
    said = {"saved": False, "keys_saved": False} | said
    values = {**said, **_CHOICES, **welfare_part(request)}
    return render(request, part, preferences=preferences, keys_refusal=keys_refusal, **values)


def _key_refusal(texts: Texts, error: KeyRefusedError) -> str:
    other = "" if error.other is None else texts(f"keys.name_{error.other}")
    return texts(error.key, pressed=error.pressed.upper(), action=texts(f"keys.name_{error.action}"), other=other)
