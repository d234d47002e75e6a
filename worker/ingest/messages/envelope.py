"""From the bytes of a message to the call that it asks for, or the reason why it is refused. Pure.

A message is what kombu's Redis transport writes (seen of kombu 5.2, 5.3, 5.4 and 5.7): a JSON object `body`,
`content-type`, `content-encoding`, `headers`, `properties`. The body, base64, is a JSON array `[args, kwargs, embed]`
(Celery's task protocol 2, https://docs.celeryq.dev/en/stable/internals/protocol.html), or an object (protocol 1). What
would have a worker do more than one call, or another time, is refused: an ETA, a chain, callbacks. What has no effect
on that is passed over.
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
"""All that can be asked for."""

MAX_MESSAGE_BYTES: Final = 64 * 1024
"""Of one with the longest URL and notes of 16 kB, base64, kombu writes some 30 kB."""

MAX_NESTING: Final = 48
"""Objects and arrays inside one another: notes of a stream have 32 at most, and a body has them within others."""

_MORE_WORK: Final = ("callbacks", "errbacks", "chain", "chord")


@dataclass(frozen=True, kw_only=True)
class PlatformCall:
    """What a message asks for. Of its arguments nothing is checked but that they are JSON."""

    task: str
    """One of `TASKS`."""
    args: Sequence[Any]
    kwargs: Mapping[str, Any]


class UnmadeCallError(IntakeError):
    """A call that is understood and not made, for the way in which it was sent."""

    def __init__(self, error: IntakeError, call: PlatformCall) -> None:
        super().__init__(error.text, error.reason)
        self.call = call


def parse(message: bytes, *, now_ms: int) -> PlatformCall:
    """The call that a message asks for.

    Args:
        now_ms: the time by which a message may be too late, in milliseconds since 1970.

    Raises:
        UnmadeCallError: the call is one of ours, and may not be made as it was sent.
        IntakeError: with the reason; the text quotes nothing of the message but what it says of itself.
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
    # Of protocol 1 all of it is in the body.
    told = headers if "task" in headers or not isinstance(body, dict) else body
    args, kwargs, more = _parts(body)
    task = told.get("task")
    if task not in TASKS:
        raise IntakeError(f"task: expected one of {', '.join(TASKS)}", "unknown_task")
    call = PlatformCall(task=task, args=args, kwargs=kwargs)
    try:
        _check_sending(told, more, now_ms)
    except IntakeError as error:
        raise UnmadeCallError(error, call) from None
    return call


def _check_sending(told: Mapping[str, Any], more: Mapping[str, Any], now_ms: int) -> None:
    if told.get("eta") is not None:
        raise IntakeError("eta: expected none: send without `eta` and `countdown`", "delayed")
    if any(more.get(name) for name in _MORE_WORK):
        raise IntakeError(f"{', '.join(_MORE_WORK)}: expected none: send each call by itself", "workflow")
    _check_expiry(told.get("expires"), now_ms)


def _loads(name: str, data: bytes) -> Any:
    try:
        value = json.loads(data.decode(), object_pairs_hook=_unambiguous, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        # The error's text may quote, and its cause holds, what came.
        raise IntakeError(f"{name}: expected JSON in UTF-8: {_what_is_wrong(error)}", "malformed") from None
    if nesting(value) > MAX_NESTING:
        raise IntakeError(f"{name}: expected at most {MAX_NESTING} objects and arrays inside one another", "malformed")
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise IntakeError(
            f"{name}: expected JSON whose texts are Unicode: half of a surrogate pair", "malformed"
        ) from None
    return value


def _what_is_wrong(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at character {error.pos}"
    return "not UTF-8" if isinstance(error, UnicodeDecodeError) else "a key that comes twice, no number, or too deep"


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
    """Arguments, named arguments, and what else was to be done."""
    if isinstance(body, dict):
        return _array("args", body.get("args")), _object("kwargs", body.get("kwargs")), body
    parts = _array("body", body)
    if len(parts) != 3:
        raise IntakeError(f"body: expected [args, kwargs, embed], got {counted(len(parts), 'part')}", "malformed")
    return _array("args", parts[0]), _object("kwargs", parts[1]), _object("embed", parts[2])


def _check_expiry(expires: Any, now_ms: int) -> None:
    """A platform says until when a call is of use to it; then it is not made. Without a zone it is UTC."""
    if expires is None:
        return
    try:
        until = datetime.fromisoformat(expires)
        until_ms = (until if until.tzinfo is not None else until.replace(tzinfo=UTC)).timestamp() * 1000
    except (ValueError, TypeError, OverflowError):
        raise IntakeError("expires: expected a time as ISO 8601 has it", "malformed") from None
    if until_ms <= now_ms:
        raise IntakeError("expires: the message was read after it had expired", "expired")
