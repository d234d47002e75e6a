"""The page of a link that signs a person in once; only desks that were started with `--link-for` have it."""

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from desk.accounts.entry_link import EntryLink
from desk.errors import SignInError
from desk.pages.addresses import SEE_OTHER
from desk.pages.sign_in import refusal
from desk.web.rendering import render
from desk.web.services import services_of


def entry_router(link: EntryLink) -> APIRouter:
    """The two routes of a link."""
    router = APIRouter()

    @router.get("/enter/{secret}")
    def entry_page(request: Request, secret: str) -> Response:
        """Shows a button: reading a page, as previews of links do, must not use it up."""
        return render(request, "entry.html", name=link.name, secret=secret) if link.is_good(secret) else _used(request)

    @router.post("/enter/{secret}")
    def enter(request: Request, secret: str) -> Response:
        """Signs the person in."""
        services = services_of(request)
        try:
            token = link.enter(secret, services.accounts, address=services.address(request))
        except SignInError as error:
            return render(request, "refused.html", 403, text=refusal(request, error))
        if token is None:
            return _used(request)
        request.state.token = token
        return RedirectResponse("/", SEE_OTHER)

    return router


def _used(request: Request) -> Response:
    return render(request, "refused.html", 404, text=services_of(request).texts("entry.used"))
