"""A picture of the plan."""

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from typing import Self

from sampler.frames import SampleReason
from sampler.plan.suspects import Proof


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedPicture:
    """A picture to take."""

    index: int
    """Index of its packet, in decoding order."""
    reason: SampleReason
    proofs: tuple[Proof, ...] = ()
    """One of them must hold; (): the picture is taken anyway."""
    ends: bool = False
    """It is the last before a cut, and taken only if the latest sample shows another scene."""
    settles: bool = False
    """It is the first that shows all of what came in piece by piece."""
    until_seconds: float | None = None
    """Time up to which the latest sample has to reach where this one, a keyframe, is left out for showing nothing new.
    None: it is taken whatever it shows."""
    goes_on: bool = False
    """No cut is between the latest sample and the keyframe."""
    begins: Proof | None = None
    """Proof of the cut that is suspected to begin with the picture, where that is taken for another reason."""

    def as_found(self, refuted: Set[int]) -> Self:
        """The same as the cut's, unless the cut that is suspected to begin with it turned out to be none."""
        return self if self.begins is None or self.begins.packet in refuted else self.as_new()

    def as_new(self) -> Self:
        """The same, as that of a cut that is sure."""
        reason = self.reason if self.reason is SampleReason.KEYFRAME else SampleReason.CUT
        return replace(self, reason=reason, proofs=(), ends=False, until_seconds=None)

    def as_going_on(self) -> Self:
        """The same, of a scene that goes on."""
        return replace(self, goes_on=True)

    def is_refuted(self, refuted: Set[int]) -> bool:
        """True if all cuts that called for it turned out to be none, by their packets."""
        return bool(self.proofs) and all(proof.packet in refuted for proof in self.proofs)


def proofs_of_all(targets: Sequence[PlannedPicture]) -> list[Proof]:
    """The proofs of pictures by packet; of one packet's that one last which nothing but the pictures refutes."""
    proofs = {proof for target in targets for proof in target.proofs}
    return sorted(proofs, key=lambda proof: (proof.packet, proof.predicted_share is None))
