"""Pages before sign-in: sign in, make an account, begin at the first start; and sign out."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from desk.accounts.accounts import SignedIn
from desk.errors import NotSignedInError, SignInError
from desk.pages.addresses import SEE_OTHER
from desk.web.access import anybody
from desk.web.rendering import render
from desk.web.same_origin import local_path
from desk.web.services import services_of

router = APIRouter()
REFUSED = 403


@router.get("/sign-in")
def sign_in_page(request: Request, next: str = "/") -> Response:  # noqa: A002 - the query's own name
    """Shows the form; behind a proxy that signs people in there is none."""
    if services_of(request).deployment.proxy_header:
        return RedirectResponse("/join", SEE_OTHER)
    return render(request, "sign_in.html", refusal="", name="", next=local_path(next))


@router.post("/sign-in")
def sign_in(request: Request) -> Response:
    """Signs a person in."""
    services, form = services_of(request), request.state.form
    name, goal = form.get("name", ""), local_path(form.get("next", "/"))
    if services.deployment.proxy_header:
        return RedirectResponse("/join", SEE_OTHER)
    try:
        token = services.accounts.sign_in(name, form.get("password", ""), address=services.address(request))
    except SignInError as error:
        return render(request, "sign_in.html", REFUSED, refusal=refusal(request, error), name=name, next=goal)
    request.state.token = token
    return RedirectResponse(goal, SEE_OTHER)


@router.get("/join")
def join_page(request: Request) -> Response:
    """Shows the form that makes an account of a roster token."""
    return render(request, "join.html", refusal="", name="", proxied=_proxied(request))


@router.post("/join")
def join(request: Request) -> Response:
    """Makes an account, or ties the proxy's person to the roster."""
    services, form = services_of(request), request.state.form
    proxied, name = _proxied(request), form.get("name", "")
    address, token = services.address(request), form.get("token", "")
    try:
        if proxied is None:
            request.state.token = services.accounts.join(name, token, form.get("password", ""), address=address)
        else:
            services.accounts.join_behind_proxy(proxied, token, address=address)
    except SignInError as error:
        return render(request, "join.html", REFUSED, refusal=refusal(request, error), name=name, proxied=proxied)
    return RedirectResponse("/", SEE_OTHER)


@router.get("/start/{secret}")
def start_page(request: Request, secret: str) -> Response:
    """Shows the form of the first-start link; does not use it up."""
    if not services_of(request).accounts.is_link(secret):
        return _link_used(request)
    return render(request, "start.html", refusal="", name="", secret=secret)


@router.post("/start/{secret}")
def start(request: Request, secret: str) -> Response:
    """Begins the roster with its first lead, and shows that person's token once."""
    services, form = services_of(request), request.state.form
    name = form.get("name", "").strip()
    if not services.accounts.is_link(secret):
        return _link_used(request)
    try:
        made = services.accounts.start(secret, name, form.get("password", ""))
    except SignInError as error:
        return render(request, "start.html", REFUSED, refusal=refusal(request, error), name=name, secret=secret)
    request.state.token = made.session_token
    return render(
        request,
        "started.html",
        name=name,
        token=made.roster_token,
        confirmed=made.confirmed,
        joined=made.session_token is not None,
    )


@router.post("/sign-out")
def sign_out(request: Request, signed_in: Annotated[SignedIn, Depends(anybody)]) -> Response:
    """Ends the session, and removes the cookie."""
    services_of(request).accounts.sign_out(signed_in.family)
    request.state.token = ""
    return RedirectResponse("/sign-in", SEE_OTHER)


def refusal(request: Request, error: SignInError) -> str:
    """The text of a refused sign-in."""
    return services_of(request).texts(error.key, seconds=error.wait_seconds)


def _proxied(request: Request) -> str | None:
    """The person whom the proxy vouches for; None: people have passwords.

    Raises:
        NotSignedInError: there is a proxy, and it vouches for nobody.
    """
    services = services_of(request)
    if not services.deployment.proxy_header:
        return None
    name = services.proxied_name(request)
    if name is None:
        raise NotSignedInError
    return name


def _link_used(request: Request) -> Response:
    return render(request, "refused.html", 404, text=services_of(request).texts("sign_in.link_used"))
