"""Pages: Jinja templates, escaped, with the catalogue's texts."""

import json
from functools import cache
from importlib.resources import files
from typing import Any, Final

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from desk.accounts.accounts import SignedIn
from desk.preferences.key_bindings import ACTIONS, keys_for_page, keys_in_force
from desk.preferences.preferences import Preferences
from desk.texts.catalogue import Texts
from desk.web.services import DeskServices, services_of
from desk.web.static_files import StaticFiles
from desk.welfare.breaks import NextBreak
from worker.errors import StoreError
from worker.people.actor import Role

JUDGES: Final = frozenset({Role.MODERATOR, Role.LEAD})
"""Roles of people who see how many cases are open."""
NAVIGATION: Final = (
    ("queue", "/queue", JUDGES),
    ("insight", "/insight", frozenset({Role.LEAD, Role.OPERATOR, Role.AUDITOR})),
    ("people", "/people", frozenset({Role.LEAD, Role.AUDITOR})),
    ("settings", "/settings", frozenset(Role)),
)
"""Entries of the bar: their text, their path, and who sees them. Pages check roles themselves."""


@cache
def template_environment(texts: Texts, static: StaticFiles) -> Environment:
    """Jinja as the desk uses it: everything is escaped, and a name that is missing is an error."""
    folder = str(files("desk").joinpath("templates"))
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals |= {
        "t": texts,
        "static": static.address,
        "navigation": NAVIGATION,
        "key_names": {key: texts(f"keys.name_{action}") for action, key in ACTIONS.items()},
        "keys_for_page": keys_for_page,
        "keys_in_force": keys_in_force,
    }
    # Unlike Jinja's `tojson` it is escaped as any text, so that it can stand in an attribute.
    environment.filters["json_text"] = json.dumps
    return environment


def render(request: Request, template: str, status: int = 200, /, **values: Any) -> HTMLResponse:
    """The page of a template; `signed_in` and `preferences` are added for the frame around it."""
    services = services_of(request)
    signed_in = getattr(request.state, "signed_in", None)
    if "preferences" not in values:
        values["preferences"] = Preferences() if signed_in is None else services.preferences.of(signed_in.actor.name)
    values.setdefault("next_break", _next_break(services, signed_in))
    if signed_in is not None and signed_in.actor.role in JUDGES and "open_count" not in values:
        values["open_count"] = open_count(services)
    behind_proxy = bool(services.deployment.proxy_header)
    page = services.templates.get_template(template)
    return HTMLResponse(page.render(signed_in=signed_in, behind_proxy=behind_proxy, **values), status)


def open_count(services: DeskServices) -> int | None:
    """Open cases, for the bar; None: Redis does not answer, the bar does without, and the page says what is wrong."""
    try:
        return services.feed.newest().counts.open
    except StoreError:
        return None


def _next_break(services: DeskServices, signed_in: SignedIn | None) -> NextBreak | None:
    """The next break of a person who judges; a request shows that they are at the desk."""
    if signed_in is None or signed_in.actor.role not in (Role.MODERATOR, Role.LEAD):
        return None
    return services.exposure.be_present(signed_in.actor.name)
