"""Validation of registrations: a stream that a platform wants watched, checked field by field."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar
from urllib.parse import quote

from config.policy.cel.types import MAX_NOTE_CHARACTERS, MAX_NOTES
from worker.errors import FetchError, RegistryError
from worker.ingest.http.urls import parse, without_query

_STREAM_ID = re.compile(r"[A-Za-z0-9._:-]{1,200}")
MAX_URL_LENGTH = 4096
MAX_METADATA_BYTES = MAX_NOTE_CHARACTERS
"""A platform's metadata of a stream travels with each event, so it must not hold pictures."""
MAX_METADATA_DEPTH = 32
"""Readers of metadata are recursive: Python's own limit, some 1,000, would strike at unforeseeable places."""


class Purpose(StrEnum):
    """Purpose for which a stream is watched. The built-in list `selftest` acts on drills and canaries only."""

    LIVE = "live"
    DRILL = "drill"
    CANARY = "canary"


class Audience(StrEnum):
    """Viewers to whom the stream is open. Private ones need a documented legal basis."""

    PUBLIC = "public"
    LIMITED = "limited"
    PRIVATE = "private"


_Choice = TypeVar("_Choice", bound=StrEnum)


@dataclass(frozen=True, kw_only=True)
class Registration:
    """A stream that a platform wants watched, validated."""

    stream_id: str
    url: str
    purpose: Purpose = Purpose.LIVE
    audience: Audience = Audience.PUBLIC
    risk_prior: float = 0.0
    """0 to 1: the platform's estimate of risk, before anything was classified."""
    metadata: Mapping[str, Any] = field(default_factory=dict)


def check_stream_id(stream_id: object) -> str:
    """Returns a well-formed stream ID.

    Raises:
        RegistryError: for anything but 1 to 200 characters of `A-Z a-z 0-9 . _ : -`.
    """
    if not isinstance(stream_id, str):
        # Such as the number 4711, whose text would be valid.
        kind = type(stream_id).__name__
        raise RegistryError(f"stream_id: {kind}: expected a text of 1 to 200 characters of A-Z a-z 0-9 . _ : -")
    if not _STREAM_ID.fullmatch(stream_id):
        raise RegistryError(f"stream_id: {stream_id[:220]!r}: expected 1 to 200 characters of A-Z a-z 0-9 . _ : -")
    return stream_id


def register(
    stream_id: object,
    url: object = None,
    *,
    metadata: object = None,
    purpose: object = "live",
    audience: object = "public",
    risk_prior: object = 0.0,
    url_template: str,
    legal_basis: str,
) -> Registration:
    """Validates a platform's registration field by field; nothing in it is trusted.

    Args:
        url: the playlist; None takes `url_template` with the percent-encoded stream ID filled in.
        url_template: the deployment's template, may be empty.
        legal_basis: the operator's documented basis for private streams; empty refuses them.

    Raises:
        RegistryError: naming the field, what came and what was expected.
    """
    checked_id = check_stream_id(stream_id)
    return Registration(
        stream_id=checked_id,
        url=_check_url(url, checked_id, url_template),
        purpose=_choice("purpose", Purpose, purpose),
        audience=_check_audience(audience, legal_basis),
        risk_prior=_check_risk_prior(risk_prior),
        metadata=_check_metadata(metadata),
    )


def _check_url(url: object, stream_id: str, url_template: str) -> str:
    if url is None:
        if not url_template:
            raise RegistryError(f"url: stream {stream_id} came without one, and LIVEWARDEN_URL_TEMPLATE is not set")
        url = url_template.replace("{stream_id}", quote(stream_id, safe=""))
    return playlist_of(url)


def playlist_of(url: object) -> str:
    """Returns a well-formed playlist URL.

    Raises:
        RegistryError: it is malformed or too long.
    """
    if not isinstance(url, str) or len(url) > MAX_URL_LENGTH or " " in url or not url.isprintable():
        shown = without_query(str(url))[:80]
        raise RegistryError(
            f"url: {shown!r}: expected an http(s) URL of at most {MAX_URL_LENGTH} characters, with spaces and control "
            "characters percent-encoded"
        )
    try:
        parse(url)
    except FetchError:
        shown = without_query(url)[:80]
        raise RegistryError(f"url: {shown!r}: expected http://host/… or https://host/…, without a user") from None
    return url


def _choice(name: str, kind: type[_Choice], value: object) -> _Choice:
    try:
        return kind(str(value))
    except ValueError:
        raise RegistryError(f"{name}: {str(value)[:80]!r}: expected one of {', '.join(kind)}") from None


def _check_audience(value: object, legal_basis: str) -> Audience:
    audience = _choice("audience", Audience, value)
    if audience is Audience.PRIVATE and not legal_basis:
        raise RegistryError(
            "audience: private streams are watched only where LIVEWARDEN_LEGAL_BASIS documents the legal basis"
        )
    return audience


def _check_risk_prior(value: object) -> float:
    # NaN fails both comparisons; the range check precedes float(), which huge integers overflow.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise RegistryError(f"risk_prior: {str(value)[:80]!r}: expected a number from 0 to 1")
    return float(value)


def _check_metadata(value: object) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise RegistryError(f"metadata: expected a JSON object, got {type(value).__name__}")
    try:
        size_bytes = len(json.dumps(value, allow_nan=False).encode())
        json.dumps(value, ensure_ascii=False).encode()  # fails on lone surrogates
    except (TypeError, ValueError, RecursionError) as error:
        raise RegistryError(f"metadata: expected a JSON object: {error}") from error
    if size_bytes > MAX_METADATA_BYTES:
        raise RegistryError(f"metadata: {size_bytes} bytes of JSON: expected at most {MAX_METADATA_BYTES}")
    if nesting(value) > MAX_METADATA_DEPTH:
        raise RegistryError(f"metadata: expected at most {MAX_METADATA_DEPTH} nested objects and arrays")
    values = _count(value)
    if values > MAX_NOTES:
        raise RegistryError(f"metadata: {values} values, keys among them: expected at most {MAX_NOTES}")
    return value


def nesting(value: object) -> int:
    """Depth of nested objects and arrays; 0 for a value that is neither."""
    level: list[Any] = [[value]]
    depth = -1
    while level:
        depth += 1
        inside = (part.values() if isinstance(part, dict) else part for part in level)
        level = [one for part in inside for one in part if isinstance(one, dict | list | tuple)]
    return depth


def _count(value: dict[str, Any]) -> int:
    """Number of keys and values at all depths."""
    left = [*value.values()]
    count = 2 * len(left)
    while left:
        part = left.pop()
        inside = [*part.values()] if isinstance(part, dict) else part if isinstance(part, list | tuple) else []
        count += len(inside) * (2 if isinstance(part, dict) else 1)
        left += inside
    return count
