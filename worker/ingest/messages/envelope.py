"""Parses the bytes of a message into the call it requests, or refuses it with a reason. Pure.

A message has the form of kombu's Redis transport (verified with kombu 5.2, 5.3, 5.4 and 5.7): a JSON object `body`,
`content-type`, `content-encoding`, `headers`, `properties`. The body, base64, is a JSON array `[args, kwargs, embed]`
(Celery's task protocol 2, https://docs.celeryq.dev/en/stable/internals/protocol.html), or an object (protocol 1).
Fields that request more than one call, or a later one, are refused: an ETA, a chain, callbacks. Others are ignored.
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

from config.counts import counted
from worker.errors import IntakeError
from worker.ingest.registry.registration import nesting

WATCH: Final = "livewarden.watch_stream"
TASKS: Final = (WATCH, "livewarden.unwatch_stream", "livewarden.report_signals")
"""All tasks that can be called."""

MAX_MESSAGE_BYTES: Final = 64 * 1024
"""With the longest URL and 16 kB of metadata, base64, kombu writes some 30 kB."""

MAX_NESTING: Final = 48
"""Depth of nested objects and arrays: metadata has 32 at most, and is itself nested in the body."""

_MORE_WORK: Final = ("callbacks", "errbacks", "chain", "chord")


@dataclass(frozen=True, kw_only=True)
class PlatformCall:
    """A requested call. Its arguments are JSON, and not validated further."""

    task: str
    """One of `TASKS`."""
    args: Sequence[Any]
    kwargs: Mapping[str, Any]


class UnmadeCallError(IntakeError):
    """A call that is understood and not made, because of its envelope."""

    def __init__(self, error: IntakeError, call: PlatformCall) -> None:
        super().__init__(error.text, error.reason)
        self.call = call


def parse(message: bytes, *, now_ms: int) -> PlatformCall:
    """The call that a message requests.

    Args:
        now_ms: the current time for `expires`, in Unix milliseconds.

    Raises:
        UnmadeCallError: the call is in `TASKS`, and may not be made as it was sent.
        IntakeError: with the reason; the text quotes no argument of the call.
    """
    outer = _object("the message", _loads("the message", message))
    headers = _object("headers", outer.get("headers"))
    if "compression" in headers:
        raise IntakeError("compression: expected none: send without `compression`", "compressed")
    if outer.get("content-type") != "application/json" or outer.get("content-encoding") != "utf-8":
        raise IntakeError(
            "content-type, content-encoding: expected application/json, utf-8: send with serializer='json'",
            "content_type",
        )
    body = _loads("body", _body_bytes(outer))
    # Protocol 1 has all fields in the body.
    fields = headers if "task" in headers or not isinstance(body, dict) else body
    args, kwargs, more = _parts(body)
    task = fields.get("task")
    if task not in TASKS:
        raise IntakeError(f"task: expected one of {', '.join(TASKS)}", "unknown_task")
    call = PlatformCall(task=task, args=args, kwargs=kwargs)
    try:
        _check_envelope(fields, more, now_ms)
    except IntakeError as error:
        raise UnmadeCallError(error, call) from None
    return call


def _check_envelope(fields: Mapping[str, Any], more: Mapping[str, Any], now_ms: int) -> None:
    if fields.get("eta") is not None:
        raise IntakeError("eta: expected none: send without `eta` and `countdown`", "delayed")
    if any(more.get(name) for name in _MORE_WORK):
        raise IntakeError(f"{', '.join(_MORE_WORK)}: expected none: send each call separately", "workflow")
    _check_expiry(fields.get("expires"), now_ms)


def _loads(name: str, data: bytes) -> Any:
    try:
        value = json.loads(data.decode(), object_pairs_hook=_unambiguous, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        # Without the cause: its text may quote the message, and it holds all of it.
        raise IntakeError(f"{name}: expected JSON in UTF-8: {_problem_of(error)}", "malformed") from None
    if nesting(value) > MAX_NESTING:
        raise IntakeError(f"{name}: expected at most {MAX_NESTING} nested objects and arrays", "malformed")
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise IntakeError(f"{name}: expected Unicode strings, got a lone surrogate", "malformed") from None
    return value


def _problem_of(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at character {error.pos}"
    return (
        "not UTF-8"
        if isinstance(error, UnicodeDecodeError)
        else "a duplicate key, NaN or Infinity, or too deeply nested"
    )


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError
    return made


def _no_number(_: str) -> NoReturn:
    raise ValueError


def _object(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise IntakeError(f"{name}: expected a JSON object, got {type(value).__name__}", "malformed")
    return value


def _array(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise IntakeError(f"{name}: expected a JSON array, got {type(value).__name__}", "malformed")
    return value


def _body_bytes(outer: Mapping[str, Any]) -> bytes:
    body = outer.get("body")
    encoding = _object("properties", outer.get("properties")).get("body_encoding")
    if not isinstance(body, str):
        raise IntakeError(f"body: expected a text, got {type(body).__name__}", "malformed")
    if encoding == "utf-8":  # transport option `body_encoding`
        return body.encode()
    if encoding != "base64":
        raise IntakeError("body_encoding: expected base64 or utf-8", "malformed")
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        raise IntakeError("body: expected base64", "malformed") from None


def _parts(body: Any) -> tuple[list[Any], dict[str, Any], dict[str, Any]]:
    """Positional arguments, keyword arguments, and fields that may request more work."""
    if isinstance(body, dict):
        return _array("args", body.get("args")), _object("kwargs", body.get("kwargs")), body
    parts = _array("body", body)
    if len(parts) != 3:
        raise IntakeError(f"body: expected [args, kwargs, embed], got {counted(len(parts), 'part')}", "malformed")
    return _array("args", parts[0]), _object("kwargs", parts[1]), _object("embed", parts[2])


def _check_expiry(expires: Any, now_ms: int) -> None:
    """Refuses a call after its `expires`, which is UTC if it has no zone."""
    if expires is None:
        return
    try:
        until = datetime.fromisoformat(expires)
        until_ms = (until if until.tzinfo is not None else until.replace(tzinfo=UTC)).timestamp() * 1000
    except (ValueError, TypeError, OverflowError):
        raise IntakeError("expires: expected an ISO 8601 time", "malformed") from None
    if until_ms <= now_ms:
        raise IntakeError("expires: the message had expired when it was read", "expired")
