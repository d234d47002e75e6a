"""A case's page as judges use it without script: its form, with a change here and there."""

import html
import re

import httpx
from redis import Redis


def case_of(redis: Redis, incident_id: str) -> str:
    return str(redis.hget(f"lw:incident:{incident_id}", "case"))


def judging_form(client: httpx.Client, case_id: str) -> dict[str, str]:
    """The fields of the page's form that a browser would send with any outcome."""
    page = client.get(f"/cases/{case_id}").text
    return {name: html.unescape(value) for name, value in re.findall(r'name="(csrf|shown)" value="([^"]*)"', page)}


def decide(client: httpx.Client, case_id: str, outcome: str, **fields: str) -> httpx.Response:
    """Loads the page, and presses that outcome."""
    form = judging_form(client, case_id) | {"outcome": outcome, "note": ""}
    if outcome.startswith("csea"):
        form[f"category_{outcome}"] = "unseen"
    return client.post(f"/cases/{case_id}/decide", data=form | fields)


def words_of(answer: httpx.Response) -> str:
    """A page's text as a person reads it."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", answer.text)))
