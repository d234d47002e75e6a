"""Evidence of one segment: pictures on which live rules hold, or may hold, are sealed as they are sampled.

A rule may raise its incident when another segment ends on another worker, and pixels are gone by then. So each such
picture is sealed at once, once for each rule: what becomes of an incident's pictures is decided by its own outcome.
Nothing here stops moderation: what fails is noted (`SegmentEvidence.missing`), and the verdict stands.
"""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from config.facts import StreamFacts
from config.policy.policy import Policy
from config.policy.possible_hits import possible_hits
from sampler.picture import Picture
from worker.errors import EvidenceError
from worker.evidence.item import EvidenceKind, ItemHead, SealedItem, digest_of, new_ref
from worker.evidence.picture import size_of
from worker.evidence.record import EvidenceRecord
from worker.evidence.sealing import Recipients, seal
from worker.incidents.evidence_choice import ALIKE_BITS, difference
from worker.incidents.segment_evidence import ContextAfter, OpenContext, SegmentEvidence
from worker.logs.failure_log import FailureLog
from worker.moderation.evidence_offers import HeldHit, RuleOffer, least_needed, offer_of
from worker.moderation.picture_copy import PictureCopy
from worker.moderation.picture_encoder import PictureEncoder
from worker.moderation.verdict import SampleVerdict

MAX_RULE_PICTURES: Final = 3
"""Hits of one rule that a segment keeps: an incident has room for 12, and a segment lasts seconds."""

MAX_SEALED_PICTURES: Final = 6
"""Pictures of one segment that are turned to JPEG, whatever its rules: each takes 5 to 8 ms, and a broadcaster who
shows nothing but hits must not slow the worker down for others. The first hit of a rule is sealed beyond it, and, once
the segment is over, the most telling picture that came too late: what is shown first must not hide what follows."""

MAX_CANDIDATES: Final = 24
"""Sealed items of one segment, <=: eight rules that each keep three pictures. Some 4 MB of memory and spool."""

MAX_AFTER_A_SEGMENT: Final = 12
"""Context pictures of open incidents, <=. A stream that ends and begins leaves incidents that are noted here until the
first picture is offered to them; what is left out is taken from the next segments of the same ten seconds."""

MAX_MATCHES: Final = 20
"""Matches that a head names, the nearest first, as an event does."""

_not_sealed = FailureLog(logging.getLogger(__name__))


@dataclass(frozen=True, kw_only=True)
class CaptureRequest:
    """The circumstances in which a segment's pictures are sealed."""

    recipients: Recipients | None
    missing: str = ""
    """The reason that there are no recipients."""
    segment: str
    """Its key."""
    sealed_ms: int
    """Redis's clock."""
    versions: Mapping[str, Any] = field(default_factory=dict)
    """{policy, models}, as events have them; versions of lists are added."""
    open_contexts: Sequence[OpenContext] = ()
    """Open incidents of the stream that still need context."""


class SegmentCapture:
    """Collects the evidence of one segment, picture by picture."""

    def __init__(
        self,
        request: CaptureRequest,
        policy: Policy,
        stream: StreamFacts,
        *,
        lists: Mapping[str, str],
        encoder: PictureEncoder,
    ) -> None:
        """`lists`: versions of the hash lists in force."""
        self._encoder = encoder
        self._versions = {**request.versions, "lists": dict(lists)}
        self._request = request
        self._policy = policy
        self._stream = stream
        self._held: dict[str, list[HeldHit]] = {}
        """Hits by rule, in the order in which they came."""
        self._context: list[tuple[SealedItem, EvidenceRecord]] = []
        self._after: list[ContextAfter] = []
        self._after_items: list[SealedItem] = []
        self._slots: set[tuple[str, int]] = set()
        self._before = PictureCopy()
        self._late = PictureCopy()
        self._late_offers: list[RuleOffer] = []
        self._encoded = 0
        self._missing = ""

    def offer(self, picture: Picture, sample: SampleVerdict) -> None:
        """Seals the picture if it is evidence; keeps no part of it otherwise, but until the next one comes."""
        offers = self._offers(sample)
        if self._request.recipients is None:
            if offers:
                self._missing = self._request.missing
            return
        recipients = self._request.recipients
        self._try(lambda: self._take(picture, sample, offers, recipients))

    def go_back(self) -> None:
        """Forgets the last picture: those that come now are earlier."""
        self._before.forget()

    def _try(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # whatever it is: a verdict does not depend on its evidence
            self._missing = error.reason if isinstance(error, EvidenceError) else "picture"
            # The type alone: a text might quote what the picture holds.
            _not_sealed.met("seal", "evidence: a picture cannot be sealed: %s", type(error).__name__)

    def evidence(self) -> SegmentEvidence:
        """The evidence, once all pictures have come."""
        self._before.forget()
        if (recipients := self._request.recipients) is not None:
            self._try(lambda: self._take_late(recipients))
        held = [each for several in self._held.values() for each in several]
        return SegmentEvidence(
            items=tuple([each.item for each in held] + [item for item, _ in self._context] + self._after_items),
            candidates=tuple([each.record for each in held] + [record for _, record in self._context]),
            after=tuple(self._after),
            missing=self._missing,
        )

    def _offers(self, sample: SampleVerdict) -> list[RuleOffer]:
        live = [hit for hit in sample.hits if self._policy.rule(hit.rule).mode == "live"]
        if self._policy.in_order:
            live += possible_hits(self._policy, self._stream, sample.facts)
        offers = [offer_of(hit, self._policy) for hit in live]
        wanted = [one for one in offers if not one.known or self._policy.evidence.known_material]
        return sorted(wanted, key=lambda one: one.telling)

    def _take(self, picture: Picture, sample: SampleVerdict, offers: list[RuleOffer], recipients: Recipients) -> None:
        wanted = [one for one in offers if self._place(one) is not None]
        slots = self._due(sample, {one.hit.rule for one in wanted})
        if wanted or slots:
            jpeg = self._jpeg(picture)
            rules = tuple(sorted({one.hit.rule for one in offers}))
            for one in wanted:
                self._hold(one, jpeg, sample, recipients, rules)
            if (before := self._before.kept) is not None:
                self._seal_before(*before, [one for one in wanted if not one.known], recipients)
            for incident, slot in slots:
                self._seal_after(jpeg, sample, recipients, incident, slot)
        self._keep_late(picture, sample, [one for one in offers if one not in wanted])
        # A hit is no context of the next one.
        self._before.forget()
        if not offers and self._policy.evidence.context:
            self._before.keep(picture, sample)

    def _keep_late(self, picture: Picture, sample: SampleVerdict, offers: list[RuleOffer]) -> None:
        late = [one for one in offers if self._place(one, late=True) is not None]
        if late and (not self._late_offers or late[0].telling < self._late_offers[0].telling):
            self._late.keep(picture, sample)
            self._late_offers = late

    def _take_late(self, recipients: Recipients) -> None:
        """Seals the most telling picture that came when the segment had its share."""
        if (kept := self._late.kept) is None:
            return
        picture, sample = kept
        rules = tuple(sorted({one.hit.rule for one in self._late_offers}))
        jpeg = self._jpeg(picture)
        for one in self._late_offers:
            self._hold(one, jpeg, sample, recipients, rules)
        self._late.forget()

    def _hold(
        self,
        offer: RuleOffer,
        jpeg: bytes,
        sample: SampleVerdict,
        recipients: Recipients,
        rules: tuple[str, ...],
    ) -> None:
        # Its picture has been turned to JPEG: the share of a segment is no reason any more.
        place = self._place(offer, late=True)
        if place is None or (self._full(beside=place, rule=offer.hit.rule) and not self._make_room(offer)):
            # More rules hold than a segment has room for.
            self._missing = "too-many"
            return
        item = self._sealed(jpeg, sample, recipients, rules=rules, scores=offer.hit.scores)
        held = HeldHit(offer=offer, item=item, record=self._record(item, sample, offer))
        self._held[offer.hit.rule] = [*place, held]

    def _make_room(self, offer: RuleOffer) -> bool:
        """Takes a picture back that is needed less than the offered one; False: there is none."""
        if self._held.get(offer.hit.rule):
            return False
        if self._context:
            self._context.pop()
            return True
        least = least_needed(self._held, offer)
        if least is None:
            return False
        rule = least.offer.hit.rule
        self._held[rule] = [each for each in self._held[rule] if each is not least]
        if not self._held[rule]:
            self._missing = "too-many"
        return True

    def _full(self, *, beside: Sequence[HeldHit] = (), rule: str = "") -> bool:
        """Returns whether there is no room for one more candidate, where a rule keeps the hits `beside` it."""
        others = sum(len(held) for name, held in self._held.items() if name != rule)
        return others + len(beside) + len(self._context) >= MAX_CANDIDATES

    def _place(self, offer: RuleOffer, *, late: bool = False) -> list[HeldHit] | None:
        """The hits of its rule that stay beside it; None: it is not kept. `late`: where the segment has its share."""
        held = self._held.get(offer.hit.rule, [])
        if not held:
            return []
        if self._encoded >= MAX_SEALED_PICTURES and not late:
            return None
        most = min(MAX_RULE_PICTURES, self._policy.evidence.known_material) if offer.known else MAX_RULE_PICTURES
        if offer.known and sum(each.offer.known for each in held) >= most:
            return None
        alike = [each for each in held if difference(each.offer.hit.pdq, offer.hit.pdq) < ALIKE_BITS]
        if any(each.offer.telling <= offer.telling for each in alike):
            return None
        # The first is never replaced.
        less = [each for each in held[1:] if each.offer.telling > offer.telling]
        alike_and_less = [each for each in less if each in alike]
        if len(held) < most and not alike_and_less:
            return held
        if not less:
            return None
        least = max(alike_and_less or less, key=lambda each: each.offer.telling)
        return [each for each in held if each is not least]

    def _due(self, sample: SampleVerdict, sealed_rules: set[str]) -> list[tuple[OpenContext, int]]:
        """Open incidents that need context of this time, unless the picture is kept as a hit of theirs."""
        found: list[tuple[OpenContext, int]] = []
        for one in self._request.open_contexts:
            slot = one.slot(sample.capture_ms)
            if len(self._after) + len(found) >= MAX_AFTER_A_SEGMENT:
                break
            if slot is not None and (one.incident, slot) not in self._slots:
                self._slots.add((one.incident, slot))
                if one.rule not in sealed_rules:
                    found.append((one, slot))
        return found

    def _jpeg(self, picture: Picture) -> bytes:
        self._encoded += 1
        return self._encoder.jpeg(picture)

    def _sealed(
        self,
        jpeg: bytes,
        sample: SampleVerdict,
        recipients: Recipients,
        *,
        rules: tuple[str, ...] = (),
        scores: Mapping[str, float] | None = None,
        reason: str = "",
        incident: str = "",
    ) -> SealedItem:
        width, height = size_of(jpeg)
        nearest = sorted(sample.matches, key=lambda match: match.order)[:MAX_MATCHES] if rules else ()
        head = ItemHead(
            ref=new_ref(),
            kind=EvidenceKind.CONTEXT if reason else EvidenceKind.HIT,
            stream_id=self._stream.stream_id,
            segment=self._request.segment,
            pts_seconds=sample.pts_seconds,
            capture_ms=sample.capture_ms,
            reason=reason or str(sample.reason),
            picture_sha256=digest_of(jpeg),
            width=width,
            height=height,
            incident=incident,
            rules=rules,
            matches=tuple({"list": m.list, "entry": m.entry, "distance": m.distance} for m in nearest),
            scores={name: score for name, score in (scores or {}).items() if math.isfinite(score)},
            versions=self._versions,
        )
        return seal(head, jpeg, recipients)

    def _record(
        self, item: SealedItem, sample: SampleVerdict, offer: RuleOffer | None, rule: str = ""
    ) -> EvidenceRecord:
        return EvidenceRecord.of(
            item,
            rule=rule if offer is None else offer.hit.rule,
            severity="" if offer is None else str(offer.hit.severity),
            score=0.0 if offer is None else offer.score,
            distance=None if offer is None else offer.distance,
            known=offer is not None and offer.known,
            pdq=sample.pdq or "",
            pdq_quality=sample.pdq_quality,
            purpose=self._stream.purpose,
            sealed_ms=self._request.sealed_ms,
        )

    def _seal_before(
        self, picture: Picture, sample: SampleVerdict, offers: Sequence[RuleOffer], recipients: Recipients
    ) -> None:
        firsts = [one for one in offers if len(self._held.get(one.hit.rule, ())) == 1]
        jpeg = self._jpeg(picture) if firsts else b""
        for one in firsts:
            if not self._full():
                item = self._sealed(jpeg, sample, recipients, reason="before")
                self._context.append((item, self._record(item, sample, None, one.hit.rule)))

    def _seal_after(
        self, jpeg: bytes, sample: SampleVerdict, recipients: Recipients, one: OpenContext, slot: int
    ) -> None:
        item = self._sealed(jpeg, sample, recipients, reason="after", incident=one.incident)
        self._after_items.append(item)
        record = self._record(item, sample, None, one.rule)
        self._after.append(ContextAfter(incident=one.incident, slot=slot, record=record))
