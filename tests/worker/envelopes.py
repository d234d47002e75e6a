"""Messages of `intake`: as Celery's producers write them, and as a hostile writer might."""

import base64
import bz2
import gzip
import json
import pickle
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

TASK = "livewarden.watch_stream"
EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
URL = "https://cdn.example/a.m3u8"


def body_of(args: object = ("s", URL), kwargs: object = None, embed: object = None) -> str:
    """The body of task protocol 2, base64."""
    content = [args, {} if kwargs is None else kwargs, EMBED if embed is None else embed]
    return base64.b64encode(json.dumps(content).encode()).decode()


def envelope(
    args: Sequence[object] = ("s", URL),
    kwargs: Mapping[str, object] | None = None,
    *,
    task: object = TASK,
    **changes: Any,
) -> dict[str, Any]:
    """The message that kombu 5.7's Redis transport writes for a task by name, with `changes`: `headers` and
    `properties` are added to, others replaced."""
    headers = {
        "lang": "py",
        "task": task,
        "id": "0b5c8a04-60a8-4d8c-93c5-a7e0fd7b1c1d",
        "shadow": None,
        "eta": None,
        "expires": None,
        "group": None,
        "group_index": None,
        "retries": 0,
        "timelimit": [None, None],
        "root_id": "0b5c8a04-60a8-4d8c-93c5-a7e0fd7b1c1d",
        "parent_id": None,
        "argsrepr": repr(args)[:1000],
        "kwargsrepr": "{}",
        "origin": "gen7@platform",
        "ignore_result": False,
        "replaced_task_nesting": 0,
        "stamped_headers": None,
        "stamps": {},
    }
    properties = {
        "correlation_id": headers["id"],
        "reply_to": "7a6b",
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": "intake"},
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": "4f3e",
    }
    message: dict[str, Any] = {
        "body": body_of(args, kwargs),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": headers | changes.pop("headers", {}),
        "properties": properties | changes.pop("properties", {}),
    }
    return message | changes


def message(*args: Any, **changes: Any) -> bytes:
    """The bytes of `envelope`."""
    return json.dumps(envelope(*args, **changes)).encode()


def without(*names: str) -> bytes:
    """An honest message without a part: `headers`, or `properties.delivery_tag`."""
    whole = envelope()
    for name in names:
        place: Any = whole
        *path, last = name.split(".")
        for part in path:
            place = place[part]
        del place[last]
    return json.dumps(whole).encode()


def with_body(body: object, **changes: Any) -> bytes:
    """An honest message with that body, given as bytes of JSON or as the final value."""
    inside = base64.b64encode(body).decode() if isinstance(body, bytes) else body
    return json.dumps(envelope() | {"body": inside} | changes).encode()


def compressed(kind: str, data: bytes) -> bytes:
    return with_body(data, headers=envelope()["headers"] | {"compression": kind})


_NESTED = b"[" * 20_000 + b"]" * 20_000
_BOMB = json.dumps([["s", URL], {"metadata": {"x": "A" * 4_000_000}}, EMBED]).encode()
_INSIDE = json.dumps([["s", URL], {}, EMBED]).encode()
_SIGNATURE = {"task": "livewarden.tick", "args": [], "kwargs": {}, "options": {}, "subtask_type": None}

ODD: dict[str, tuple[str, bytes]] = {
    "empty": ("malformed", b""),
    "not JSON": ("malformed", b"hello?token=SECRETTOKEN"),
    "not UTF-8": ("malformed", b"\xff\xfe\x00\x80"),
    "control characters": ("malformed", b"\x1b[2J\x07\xc2\x9b31m"),
    "half a message": ("malformed", message()[:300]),
    "a number": ("malformed", b"7"),
    "null": ("malformed", b"null"),
    "an array": ("malformed", b"[]"),
    "an empty object": ("malformed", b"{}"),
    "nested arrays": ("malformed", _NESTED),
    "a huge number": ("malformed", b"1" * 50_000),
    "the same key twice": ("malformed", message()[:-1] + b', "content-encoding": "utf-8"}'),
    "no headers": ("malformed", without("headers")),
    "headers are a list": ("malformed", json.dumps(envelope() | {"headers": []}).encode()),
    "no properties": ("malformed", without("properties")),
    "properties are null": ("malformed", json.dumps(envelope() | {"properties": None}).encode()),
    "no body": ("malformed", without("body")),
    "body is a number": ("malformed", with_body(7)),
    "body is no base64": ("malformed", with_body("not base64!")),
    "body is not UTF-8": ("malformed", with_body(b"\xff\xff")),
    "body is no JSON": ("malformed", with_body(b"hello")),
    "body is nested": ("malformed", with_body(_NESTED)),
    "body has NaN": ("malformed", with_body(b'[["s"], {"risk_prior": NaN}, {}]')),
    "body has a surrogate": ("malformed", with_body(b'[["s", "https://cdn.example/\\ud800"], {}, {}]')),
    "body is null": ("malformed", with_body(b"null")),
    "body has two parts": ("malformed", with_body(b"[[], {}]")),
    "args are an object": ("malformed", with_body(b'[{"a": 1}, {}, {}]')),
    "args are a text": ("malformed", with_body(b'["sURL", {}, {}]')),
    "kwargs are a list": ("malformed", with_body(b"[[], [1], {}]")),
    "embed is a list": ("malformed", with_body(b"[[], {}, [1]]")),
    "compressed by gzip": ("compressed", compressed("application/x-gzip", zlib.compress(_BOMB))),
    "compressed by real gzip": ("compressed", compressed("gzip", gzip.compress(_BOMB))),
    "compressed by bzip2": ("compressed", compressed("application/x-bz2", bz2.compress(_BOMB))),
    "compressed by zstd": ("compressed", compressed("application/zstd", b"\x28\xb5\x2f\xfd" + b"\0" * 9)),
    "compressed by nobody": ("compressed", compressed("rot13", _INSIDE)),
    "pickle": (
        "content_type",
        with_body(pickle.dumps([["s"], {}, {}]), **{"content-type": "application/x-python-serialize"}),
    ),
    "yaml": ("content_type", with_body(b"- [s]\n- {}\n- {}\n", **{"content-type": "application/x-yaml"})),
    "a content type that is a list": ("content_type", with_body(_INSIDE, **{"content-type": ["application/json"]})),
    "no content type": ("content_type", without("content-type")),
    "another charset": ("content_type", with_body(_INSIDE, **{"content-encoding": "utf-16"})),
    "binary": ("content_type", with_body(_INSIDE, **{"content-encoding": "binary"})),
    "another body encoding": ("malformed", message(properties={"body_encoding": "uuencode"})),
    "no body encoding": ("malformed", without("properties.body_encoding")),
    "an unknown task": ("unknown_task", message(task="os.system")),
    "a task of ours": ("unknown_task", message(["s", "k"], task="livewarden.segment")),
    "the tick": ("unknown_task", message([], task="livewarden.tick")),
    "Celery's clean-up": ("unknown_task", message([], task="celery.backend_cleanup")),
    "Celery's chord": ("unknown_task", message([[_SIGNATURE], _SIGNATURE], task="celery.chord")),
    "no task": ("unknown_task", without("headers.task")),
    "a task that is a list": ("unknown_task", message(task=["livewarden.watch_stream"])),
    "an ETA": ("delayed", message(headers={"eta": "2030-01-01T00:00:00+00:00"})),
    "an ETA that is none": ("delayed", message(headers={"eta": {"a": 1}})),
    "too late": ("expired", message(headers={"expires": "2020-01-01T00:00:00+00:00"})),
    "an expiry that is none": ("malformed", message(headers={"expires": "soon"})),
    "an expiry that is a list": ("malformed", message(headers={"expires": [1]})),
    "a chord": ("workflow", with_body(json.dumps([["s", URL], {}, EMBED | {"chord": _SIGNATURE}]).encode())),
    "callbacks": ("workflow", with_body(json.dumps([["s", URL], {}, EMBED | {"callbacks": [_SIGNATURE]}]).encode())),
    "errbacks": ("workflow", with_body(json.dumps([["s", URL], {}, EMBED | {"errbacks": [_SIGNATURE]}]).encode())),
    "a chain": ("workflow", with_body(json.dumps([["s", URL], {}, EMBED | {"chain": [_SIGNATURE]}]).encode())),
    "too few arguments": ("arguments", message([])),
    "too many arguments": ("arguments", message(["s"] * 40)),
    "an unknown argument": ("arguments", message(["s", URL], {"colour": "red"})),
    "an argument twice": ("arguments", message(["s", URL], {"stream_id": "t"})),
    "self": ("arguments", message(["s", URL], {"self": 1})),
    "a bad stream ID": ("refused", message(["no good/id", URL])),
    "a stream ID that is nested": ("refused", message([[[[["x"]]]]])),
    "a bad URL": ("refused", message(["s", "ftp://user:SECRETWORD@cdn.example/a?token=SECRETTOKEN"])),
    "a risk beyond all floats": ("refused", message(["s", URL], {"risk_prior": 10**400})),
    "a risk of infinity": ("refused", with_body(b'[["s", "https://cdn.example/a"], {"risk_prior": 1e999}, {}]')),
    "nested metadata": (
        "refused",
        with_body(b'[["s", "https://cdn.example/a"], {"metadata": {"a": ' + b"[" * 36 + b"]" * 36 + b"}}, {}]"),
    ),
    "deeply nested metadata": (
        "malformed",
        with_body(b'[["s", "https://cdn.example/a"], {"metadata": {"a": ' + b"[" * 400 + b"]" * 400 + b"}}, {}]"),
    ),
    "signals beyond all floats": (
        "refused",
        message(["s", {"reports": 10**400}], task="livewarden.report_signals"),
    ),
    "signals of nobody": ("refused", message(["nobody", {"reports": 1}], task="livewarden.report_signals")),
    "too large": ("too_large", message(["s", URL], {"metadata": {"x": "A" * 1_000_000}})),
    "large and not JSON": ("too_large", b"\x00" * 300_000),
}
"""Name to the reason for refusal, and the message. A few look honest except for one detail."""
