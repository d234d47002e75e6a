"""A browser for the desk's pages: `page_of("kim")` is a page in a window of kim's own, signed in.

A script or console error, a violation of the Content-Security-Policy, a failed request or an answer of 500 and above
fails the test, unless `@pytest.mark.expected_in_page(PATTERN)` announces it.
"""

from collections.abc import Callable, Iterator
from typing import NoReturn

import pytest
from accounts_made import begin_session
from desk_server import RunningDesk
from people_made import Roster
from playwright.sync_api import Browser, Page
from watched_browser import CHROMIUM, WIDE, PageOf, Watch, new_context, running_chromium

from desk.accounts.sessions import make_session
from worker.people.actor import Role, folded


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "expected_in_page(pattern): what a page may report, which would fail the test")


@pytest.fixture(scope="module")
def chromium(ci_or_skip: Callable[[str], NoReturn]) -> Iterator[Browser]:
    """One Chromium for a module's tests. Not for the session: Playwright's event loop would be every later test's."""
    if CHROMIUM is None:
        ci_or_skip("chromium is not installed")
    with running_chromium() as browser:
        yield browser


@pytest.fixture
def page_of(
    request: pytest.FixtureRequest, chromium: Browser, running: RunningDesk, roster: Roster
) -> Iterator[PageOf]:
    """Makes pages on the desk of the fixture `running`; a module may have one of its own."""
    watches, contexts = [], []

    def make(name: str | None, *, role: Role = Role.MODERATOR, width: int = WIDE, dark: bool = False) -> Page:
        context = new_context(chromium, running.origin, width=width, dark=dark)
        contexts.append(context)
        watches.append(Watch(context))
        if name is not None:
            context.add_cookies(
                [{"name": "lw_desk", "value": _cookie(running, roster, name, role), "url": running.origin}]
            )
        return context.new_page()

    yield make
    for context in contexts:
        context.close()
    patterns = [str(marker.args[0]) for marker in request.node.iter_markers("expected_in_page")]
    unexpected = [text for watch in watches for text in watch.unexpected(patterns)]
    if unexpected:
        pytest.fail("in the browser: " + "\n".join(unexpected), pytrace=False)


def _cookie(running: RunningDesk, roster: Roster, name: str, role: Role) -> str:
    """The cookie of a session that begins now; a person's first makes their account."""
    if name not in roster.tokens:
        roster.add(name, role)
    if folded(name) not in running.accounts.names():
        return begin_session(running.accounts, name, roster.tokens[name])
    with running.database.begin() as session:
        return make_session(session, folded(name), roster.actor(name).proof, running.clock())
