"""Addresses to which pages lead, and the status of an answer that leads there."""

from typing import Final
from urllib.parse import quote

SEE_OTHER: Final = 303
"""After a form: a reload of the page that follows sends nothing again."""


def case_path(case_id: str) -> str:
    """The address of a case's page."""
    return f"/cases/{quote(case_id, safe='')}"
