"""Pictures that a plan would take, and those of them that there are tokens for."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from config.profiles import SamplingProfile
from sampler.demux.packets import VideoPacket
from sampler.frames import SampleReason
from sampler.plan.budget import DecodingBound, SampleBudget
from sampler.plan.suspects import Suspect, reserve_of


class Wish(NamedTuple):
    """Pictures to take together, while there are tokens."""

    seconds: float
    strength: float
    pictures: tuple[int, ...]
    reason: SampleReason
    part: int
    suspect: Suspect | None = None

    @property
    def is_optional(self) -> bool:
        """True if nothing is left unseen where there is no token for it."""
        return self.reason is SampleReason.AUDIT or (self.suspect is not None and self.suspect.weak)


def grant(
    packets: Sequence[VideoPacket],
    profile: SamplingProfile,
    bound: DecodingBound,
    start_seconds: float,
    owed: Mapping[int, SampleReason],
    wishes: Sequence[Wish],
) -> tuple[list[Wish], list[Wish]]:
    """The wishes that there are tokens for, and those that there are none for, the strongest of a half second first."""
    samples = SampleBudget(profile.samples_per_second, start_seconds, burst_seconds=bound.burst_seconds)
    cuts = SampleBudget(profile.cuts_per_second, start_seconds, burst_seconds=bound.burst_seconds)
    debts = Counter(samples.half_second(packets[index].seconds) for index in owed)
    by_half_second: dict[int, list[Wish]] = {half_second: [] for half_second in debts}
    for wish in wishes:
        by_half_second.setdefault(samples.half_second(wish.seconds), []).append(wish)
    taken = set(owed)
    granted: list[Wish] = []
    refused: list[Wish] = []
    for half_second, several in sorted(by_half_second.items()):
        samples.spend(half_second, debts[half_second], owed=True)
        for wish in sorted(several, key=lambda wish: -wish.strength):
            new = set(wish.pictures) - taken
            affordable = not new or (
                (wish.suspect is None or cuts.spend(half_second, reserve=reserve_of(wish.suspect, packets)))
                and samples.spend(half_second, len(new))
            )
            (granted if affordable else refused).append(wish)
            taken |= new if affordable else set()
    return granted, refused
