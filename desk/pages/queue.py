"""The queue, in words."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from desk.accounts.accounts import SignedIn
from desk.cases.open_cases import MOST_SHOWN, SHOWS, chosen, counts_of, read_cases, with_events
from desk.cases.row_words import row_of
from desk.texts.durations import duration
from desk.web.access import judges
from desk.web.rendering import render
from desk.web.services import services_of

router = APIRouter()
LONGEST_SEARCH = 200
"""Characters of a search; ids of streams have 128 at most."""


@router.get("/queue")
def queue_page(
    request: Request, signed_in: Annotated[SignedIn, Depends(judges)], show: str = "all", find: str = ""
) -> Response:
    """Lists open cases, takes none, and renews no lease."""
    services, reader = services_of(request), signed_in.actor.name
    show, find = show if show in SHOWS else "all", find.strip()[:LONGEST_SEARCH]
    cases = read_cases(services.redis)
    found = chosen(cases, show=show, find=find, reader=reader)
    rows = [row_of(case, reader, services.texts) for case in with_events(services.redis, found[:MOST_SHOWN])]
    counters = [
        (one.severity, one.cases, None if one.oldest_seconds is None else duration(one.oldest_seconds, services.texts))
        for one in counts_of(cases)
    ]
    shows = [(one, len(chosen(cases, show=one, find="", reader=reader))) for one in SHOWS]
    return render(
        request,
        "queue.html",
        rows=rows,
        open_count=len(cases),
        found_count=len(found),
        held_count=sum(bool(case.holders) for case in cases),
        counters=counters,
        shows=shows,
        show=show,
        find=find,
    )
