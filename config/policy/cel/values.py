"""Facts as the values of variables in a condition."""

from typing import Any

from config.facts import ListMatch, SampleFacts, StreamFacts
from config.policy.cel.types import MAX_NAME_CHARACTERS

MAX_TAGS = 50
"""Tags of a match that conditions see, each cut at MAX_NAME_CHARACTERS: a list's source may give any number."""


def stream_value(stream: StreamFacts, *, with_metadata: bool) -> dict[str, Any]:
    """The value of `stream`."""
    return {
        "id": stream.stream_id,
        "purpose": stream.purpose,
        "audience": stream.audience,
        "risk": float(stream.risk),
        "risk_prior": float(stream.risk_prior),
        "drill": stream.drill,
        **({"metadata": dict(stream.metadata)} if with_metadata else {}),
    }


def sample_value(sample: SampleFacts) -> dict[str, Any]:
    """The value of `sample`."""
    return {
        "capture_ms": sample.capture_ms,
        "pts_seconds": float(sample.pts_seconds),
        "reason": str(sample.reason),
        "quality": sample.pdq_quality,
    }


def match_value(match: ListMatch) -> dict[str, Any]:
    """The value of one of `matches`."""
    return {
        "list": match.list,
        "entry": _text(match.entry),
        "distance": match.distance,
        "video": _text(match.video or ""),
        "variant": match.variant or "",
        "tags": [_text(tag[:MAX_NAME_CHARACTERS]) for tag in match.tags[:MAX_TAGS]],
    }


def _text(text: str) -> str:
    """The text as CEL can hold it: without the lone surrogates that a list made from JSON may have."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="replace").decode()
    return text
