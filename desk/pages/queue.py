"""The queue, in words; it keeps itself new, and gives the next case."""

import json
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from desk.accounts.accounts import SignedIn
from desk.cases.queue_filter import QueueFilter
from desk.pages.addresses import SEE_OTHER, case_path
from desk.pages.queue_events import queue_stream
from desk.pages.queue_parts import queue_parts
from desk.web.access import judges
from desk.web.event_stream import EventStream
from desk.web.rendering import render
from desk.web.services import services_of
from worker.queue.case_order import LongestWaits
from worker.queue.claims import Claim, take

router = APIRouter()


@router.get("/queue")
def queue_page(request: Request, signed_in: Annotated[SignedIn, Depends(judges)], nothing: str = "") -> Response:
    """Lists open cases, takes none, and renews no lease."""
    services, reader = services_of(request), signed_in.actor
    chosen, preferences = QueueFilter.of(request.query_params), services.preferences.of(reader.name)
    snapshot = services.feed.current()
    parts = queue_parts(services, snapshot, chosen, reader=reader, preferences=preferences)
    return render(request, "queue.html", preferences=preferences, nothing=nothing == "1", **parts)


@router.post("/queue/next")
def take_next(request: Request, signed_in: Annotated[SignedIn, Depends(judges)]) -> Response:
    """Takes the next case that the person does not hold yet; where none is free, opens one that they hold."""
    services, actor = services_of(request), signed_in.actor
    waits = LongestWaits.of(services.settings)
    claim = take(services.redis, actor, another=True, waits=waits) or take(services.redis, actor, waits=waits)
    goal = "/queue?nothing=1" if claim is None else case_path(_taken_case(claim))
    return RedirectResponse(goal, SEE_OTHER)


@router.get("/queue/events")
async def queue_events(request: Request, signed_in: Annotated[SignedIn, Depends(judges)]) -> Response:
    """Sends the parts of the page that change, as soon as they do."""
    services = services_of(request)
    events = queue_stream(services, signed_in, QueueFilter.of(request.query_params))
    return EventStream(events, counted=services.streams.opened(signed_in.actor.name))


def _taken_case(claim: Claim) -> str:
    """The case that was taken; of an incident that has none, an older version's, the incident."""
    data = json.loads(claim.event).get("data", {})
    return str(data.get("case_id") or claim.incident_id)
