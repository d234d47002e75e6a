"""Limits of the pictures that are kept for an incident, sealed for reviewers."""

from typing import Final

from pydantic import BaseModel, ConfigDict, Field

MAX_PICTURES: Final = 12
"""Hits of one incident of which pictures are kept: a reviewer needs no more to judge, and each is a burden."""


class EvidenceLimits(BaseModel):
    """Limits of the pictures that are kept for an incident."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    pictures: int = Field(default=MAX_PICTURES, ge=1, le=MAX_PICTURES, strict=True)
    """Pictures of hits for one incident: the first, and of the others the most severe, certain and different."""
    known_material: int = Field(default=1, ge=0, le=MAX_PICTURES, strict=True)
    """The same where a rule holds by matches on hash lists alone: such a match needs no looking at. 0: none is kept."""
    context: bool = True
    """Keep pictures from around the hits too, except of known material: the last one before the first hit, and, while
    the incident is open, one each 10 seconds for two minutes."""
