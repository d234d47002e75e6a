"""A plan as the executor reads it: the pictures to take, run by run."""

import math
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from sampler.demux.packets import PacketRun
from sampler.plan.budget import DecodingBound
from sampler.plan.planned_picture import PlannedPicture


class Doubt(NamedTuple):
    """A picture to decode in part."""

    packet: int
    """Its index, in decoding order."""
    share: float
    """Part of a slice's bytes that is left."""
    place: float
    """Which slice, from 0 to (<) 1."""


class Decoding(Enum):
    """Decoders of a run."""

    OWN = "own"
    """The stream's own, as FFmpeg chooses it."""
    SECOND = "second"
    """Another one, which other players have."""
    BOTH = "both"
    """The stream's own; and its pictures are compared with the other's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunPlan:
    """Pictures to take of one run; nothing is decoded of a run without targets that is not watched."""

    run: PacketRun
    own: tuple[int, ...]
    """All its pictures that can be taken, by presentation time."""
    targets: tuple[PlannedPicture, ...]
    """By presentation time, no picture twice."""
    over_bound: tuple[PlannedPicture, ...] = ()
    """Suspects that there are no macroblocks for: those that their packets prove are refused."""
    watched: bool = False
    """All of its pictures are decoded and compared, and the executor adds those on both sides of cuts."""
    led_to: tuple[int, ...] = ()
    """Its last pictures, where the next run's keyframe is compared with them: it need not be taken if the scene goes
    on."""
    decoding: Decoding = Decoding.OWN
    watching_macroblocks: float = 0.0
    """That watching it takes, by `DecodingBound.run_cost`."""
    sample_macroblocks: float = 0.0
    """That one picture counts for once it is decoded, by `DecodingBound.handed_over`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Pictures to take of one input, or of one window of it."""

    runs: tuple[RunPlan, ...]
    refused_seconds: tuple[float, ...] = ()
    """Times, ascending, of pictures that there is no budget for: what is shown from there to the next sample is seen by
    nobody."""
    spare_macroblocks: float = math.inf
    """That may be decoded besides, for runs that turn out otherwise than their packets say."""
    bound: DecodingBound | None = None
    """That the runs keep to; None: there is none."""
    doubts: tuple[Doubt, ...] = ()
    """Pictures that may have bytes behind them: then no packet says anything."""

    @property
    def sure_samples(self) -> int:
        """Number of pictures that are taken whatever is found. Most suspects are no cuts."""
        return sum(not target.proofs for part in self.runs for target in part.targets)
