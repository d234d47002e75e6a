"""The guard: the first to see a request. It checks host, origin, size and time, reads the form, and sets headers."""

import asyncio
from contextlib import suppress
from typing import Any, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from desk.deployment import DeskDeployment
from desk.errors import RequestRefusedError
from desk.texts.catalogue import Texts
from desk.web.cookies import cookie_header, cookie_name
from desk.web.fair_share import FairShare
from desk.web.forms import MOST_BYTES, parse_form
from desk.web.same_origin import SAFE, is_same_origin
from desk.web.security_headers import security_headers

BODY_SECONDS: Final = 10.0
"""Within which a form arrives: a slow sender holds a connection no longer."""
LINGER_SECONDS: Final = 2.0
"""Within which the rest of a refused request arrives: a connection that closes before is reset, and the client may
lose the answer."""
HEADER_BYTES: Final = 16_384
"""Bound of a request's line and headers; a cookie and a path have some hundred."""
STATIC: Final = "/static/"


class Guard:
    """ASGI middleware; pages find the form in `request.state.form`, and set a cookie by `request.state.token`."""

    def __init__(self, app: ASGIApp, *, deployment: DeskDeployment, texts: Texts) -> None:
        self._app = app
        self._deployment = deployment
        self._texts = texts
        self._shares = FairShare()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":  # no websockets; uvicorn's lifespan goes through
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        state: dict[str, Any] = scope.setdefault("state", {})
        state |= {"form": {}, "token": None}
        sending = self._sending(scope, send, state)
        receiving = _Receiving(receive)
        try:
            self._check(scope)
            body = b"" if scope["method"] in SAFE else await self._body(scope, receiving)
            state["form"] = parse_form(body, Headers(scope=scope).get("content-type", ""))
            state["end_turn"] = await self._shares.turn(self._browser(scope))
        except RequestRefusedError as error:
            await _refuse(PlainTextResponse(self._texts(error.key), error.status), receiving, sending)
            return
        try:
            await self._app(scope, _replayed(receive), sending)
        except Exception:  # a bug; the framework's own answer would lack the headers
            if not state.get("started"):
                await PlainTextResponse(self._texts("refused.trouble"), 500)(scope, receive, sending)
            raise
        finally:
            state["end_turn"]()

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        # The server bounds only what has not arrived completely yet.
        length = len(scope["raw_path"]) + len(scope["query_string"])
        if length + sum(len(name) + len(value) for name, value in headers.raw) > HEADER_BYTES:
            raise RequestRefusedError(431, "refused.large_head")
        # Two lengths of one body: a proxy that reads the other one would take a part of it for somebody's next request.
        if "transfer-encoding" in headers and "content-length" in headers:
            raise RequestRefusedError(400, "refused.malformed")
        # Another name for this address (DNS rebinding) would make its pages same-origin with the desk's.
        if [host.lower() for host in headers.getlist("host")] != [self._deployment.host]:
            raise RequestRefusedError(421, "refused.host")
        if not is_same_origin(scope["method"], headers, self._deployment.origin):
            raise RequestRefusedError(403, "refused.origin")

    def _browser(self, scope: Scope) -> str:
        """A text that tells one browser from another, before anybody knows whose it is; empty: nothing does."""
        headers, deployment = Headers(scope=scope), self._deployment
        if scope["path"].startswith(STATIC):
            return ""
        if deployment.proxy_header:
            peer, _ = scope.get("client") or ("", 0)
            return headers.get(deployment.proxy_header, "") if deployment.is_proxy(peer) else ""
        return cookie_parser(headers.get("cookie", "")).get(cookie_name(secure=deployment.secure), "")

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                if _announced(Headers(scope=scope)) > MOST_BYTES:
                    raise RequestRefusedError(413, "refused.large")
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise RequestRefusedError(400, "refused.malformed")
                    body += message.get("body", b"")
                    if len(body) > MOST_BYTES:
                        raise RequestRefusedError(413, "refused.large")
                    if not message.get("more_body"):
                        return bytes(body)
        except TimeoutError:
            raise RequestRefusedError(408, "refused.slow") from None

    def _sending(self, scope: Scope, send: Send, state: dict[str, Any]) -> Send:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                state["started"] = True
                # A stream of events that has begun occupies nothing more: it has a bound of its own.
                state.get("end_turn", _nothing)()
                headers = MutableHeaders(scope=message)
                cached = scope["path"].startswith(STATIC) and message["status"] == 200
                for name, value in security_headers(secure=self._deployment.secure, cached=cached).items():
                    headers[name] = value
                if state["token"] is not None:
                    headers.append("set-cookie", cookie_header(state["token"], secure=self._deployment.secure))
            await send(message)

        return sending


class _Receiving:
    """Receives a request's body, and knows whether all of it has arrived."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.complete = False

    async def __call__(self) -> Message:
        message = await self._receive()
        self.complete = not message.get("more_body")
        return message


async def _refuse(answer: Response, receiving: _Receiving, send: Send) -> None:
    """Answers, and closes the connection once the client has sent everything, or for too long."""
    headers = [*answer.raw_headers, (b"connection", b"close")]
    await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": True})
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while not receiving.complete:
                await receiving()
    await send({"type": "http.response.body"})


def _nothing() -> None:
    return


def _announced(headers: Headers) -> int:
    """The length that the request announces; 0: none, or not a number, which the server has refused already."""
    text = headers.get("content-length", "0")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else 0


def _replayed(receive: Receive) -> Receive:
    """An empty body, then what comes after it: the guard has read the form."""
    done = False

    async def replayed() -> Message:
        nonlocal done
        if not done:
            done = True
            return {"type": "http.request", "body": b"", "more_body": False}
        return await receive()

    return replayed
