"""Welfare on the page of settings: what a person saw today, for them alone, and the test card as pictures open."""

from dataclasses import asdict
from functools import cache
from typing import Annotated, Any

import cv2
import numpy as np
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from desk.accounts.accounts import SignedIn
from desk.pictures.reduction import Reduction, reduced
from desk.preferences.preferences import Preferences
from desk.texts.durations import duration
from desk.web.access import anybody, judges
from desk.web.services import services_of
from models.testcard import testcard
from worker.evidence.picture import Pixels, as_png

router = APIRouter()


@router.get("/settings/sample")
def sample_picture(request: Request, _signed_in: Annotated[SignedIn, Depends(anybody)]) -> Response:
    """The test card, reduced as the query says; no other picture."""
    chosen = Preferences.from_form(dict(request.query_params))
    return Response(as_png(reduced(_card(), reduction_of(chosen))), media_type="image/png")


def reduction_of(preferences: Preferences) -> Reduction:
    """The reduction that a person has set."""
    return Reduction(
        detail=preferences.detail, strength=preferences.strength, grey=preferences.grey, size=preferences.size
    )


def welfare_part(request: Request) -> dict[str, Any]:
    """Values of the page of settings about the person who asks, and nobody else; none of one who judges no case."""
    services, signed_in = services_of(request), request.state.signed_in
    if signed_in.actor.role not in judges.roles:
        return {"judges_cases": False}
    seen = services.exposure.today(signed_in.actor.name)
    words = {
        "clear_time": duration(seen.clear_seconds, services.texts),
        "at_desk": duration(seen.desk_seconds, services.texts),
    }
    return {"judges_cases": True, "today": asdict(seen) | words}


@cache
def _card() -> Pixels:
    """uint8, (540, 960, 3), BGR."""
    return np.asarray(cv2.cvtColor(testcard(960, 540), cv2.COLOR_RGB2BGR), np.uint8)
