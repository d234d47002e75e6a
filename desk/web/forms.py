"""Forms: bounded, in UTF-8, each field once."""

from typing import Final
from urllib.parse import parse_qsl

from desk.errors import RequestRefusedError

MOST_BYTES: Final = 65_536
"""Bound of a request's body; the longest form has a note of 2,000 characters."""
MOST_FIELDS: Final = 100
CONTENT_TYPE: Final = "application/x-www-form-urlencoded"


def parse_form(body: bytes, content_type: str) -> dict[str, str]:
    """The fields of a form, by name.

    Raises:
        RequestRefusedError: it is no such form, is not UTF-8, or has a field twice.
    """
    if not body:
        return {}
    if content_type.partition(";")[0].strip().lower() != CONTENT_TYPE:
        raise RequestRefusedError(415, "refused.malformed")
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            encoding="utf-8",
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except ValueError as error:
        raise RequestRefusedError(400, "refused.malformed") from error
    form = dict(pairs)
    if len(form) != len(pairs) or any("\0" in text for pair in pairs for text in pair):
        raise RequestRefusedError(400, "refused.malformed")
    return form
