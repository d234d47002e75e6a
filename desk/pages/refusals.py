"""Answers to requests that are refused, or that cannot be served."""

import logging
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from redis.exceptions import NoPermissionError
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from config.errors import PolicyError
from desk.errors import DeskDatabaseError, NotSignedInError, RequestRefusedError, RoleRefusedError, UnknownCaseError
from desk.pages.addresses import SEE_OTHER
from desk.web.rendering import render
from desk.web.same_origin import SAFE
from desk.web.services import services_of
from worker.errors import BankRequestError, ObjectStoreError, PeopleError, StoreError
from worker.people.actor import Role

_log = logging.getLogger(__name__)


def add_refusals(app: FastAPI) -> None:
    """Registers the answers for each error that pages raise."""
    app.add_exception_handler(NotSignedInError, _not_signed_in)
    app.add_exception_handler(RoleRefusedError, _role_refused)
    app.add_exception_handler(RequestRefusedError, _request_refused)
    app.add_exception_handler(UnknownCaseError, _unknown_case)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(PeopleError, _may_not)
    app.add_exception_handler(BankRequestError, _may_not)
    app.add_exception_handler(PolicyError, _trouble)
    app.add_exception_handler(ObjectStoreError, _trouble)
    app.add_exception_handler(StoreError, _trouble)
    app.add_exception_handler(DeskDatabaseError, _trouble)


def _not_signed_in(request: Request, _error: Exception) -> Response:
    """Leads to the form; behind a proxy that vouches for nobody there is none."""
    services = services_of(request)
    if services.deployment.proxy_header:
        if services.proxied_name(request) is None:
            return _refused(request, 401, services.texts("settings.behind_proxy"))
        return RedirectResponse("/join", SEE_OTHER)
    if "hx-request" in request.headers:  # a part of a page: the whole page has to go
        return Response(status_code=401, headers={"hx-redirect": "/sign-in"})
    path = request.url.path if request.method in SAFE else "/"
    return RedirectResponse(f"/sign-in?next={quote(path)}", SEE_OTHER)


def _role_refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RoleRefusedError)
    texts, role = services_of(request).texts, request.state.signed_in.actor.role
    roles = ", ".join(texts(f"role.{Role(one)}") for one in error.args)
    return _refused(request, 403, texts("refused.role", roles=roles, role=texts(f"role.{role}")))


def _request_refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestRefusedError)
    return _refused(request, error.status, services_of(request).texts(error.key))


def _unknown_case(request: Request, _error: Exception) -> Response:
    return _refused(request, 404, services_of(request).texts("refused.unknown_case"))


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    key = {404: "refused.not_found", 405: "refused.method"}.get(error.status_code, "refused.malformed")
    return _refused(request, error.status_code, services_of(request).texts(key))


def _malformed(request: Request, _error: Exception) -> Response:
    return _refused(request, 400, services_of(request).texts("refused.malformed"))


def _may_not(request: Request, _error: Exception) -> Response:
    """The roster changed between the gate and the act, which refused."""
    return _refused(request, 403, services_of(request).texts("refused.roster"))


def _trouble(request: Request, error: Exception) -> Response:
    """Says only that there is trouble: the log has the cause. The frame of a page would need the database."""
    if isinstance(error.__cause__, NoPermissionError):  # this desk's user of Redis is another than `desk`
        return _refused(request, 403, services_of(request).texts("refused.not_permitted"))
    _log.warning("desk: %s %s: %s", request.method, request.scope["route"].path, error)
    return Response(services_of(request).texts("refused.trouble"), 503, media_type="text/plain")


def _refused(request: Request, status: int, text: str) -> Response:
    return render(request, "refused.html", status, text=text)
