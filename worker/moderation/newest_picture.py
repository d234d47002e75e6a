"""The last picture of a segment, as a person asked for it: decoded in the confined child, matched, and sealed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from config.facts import SELFTEST
from config.profiles import SamplingProfile
from models.pdq.pdq import PdqHash
from models.pdq.variants import hash_with_variants
from sampler.child.decoder import Decoder
from sampler.frames import SampledFrame
from sampler.picture import Picture
from worker.bank.lists_in_force import ListsInForce
from worker.evidence.item import EvidenceKind, ItemHead, SealedItem, digest_of, new_ref
from worker.evidence.picture import MAX_SIDE_PIXELS, size_of, to_jpeg
from worker.evidence.record import EvidenceRecord
from worker.evidence.sealing import Recipients, seal
from worker.moderation.list_matching import list_matches

LAST_PICTURE: Final = SamplingProfile(
    name="look",
    max_gap_seconds=0.5,
    keyframe_spacing_seconds=60,
    cut_doublings=16,
    cuts_per_second=0,
    audits_per_minute=0,
    exact_pictures=True,
)
"""The last sample is within half a second of the segment's end, at little more than the cost of decoding it once."""

MAX_MATCHES: Final = 20


@dataclass(frozen=True, kw_only=True)
class PictureRequest:
    """The incident and the stream of a look."""

    incident_id: str
    stream_id: str
    purpose: str
    capture_ms: int
    """Time when the segment's first picture was live, in milliseconds of Redis's clock."""
    sealed_ms: int
    versions: Mapping[str, Any]
    """{policy, models}, as events have them; versions of lists are added."""


class _Last:
    """Keeps a copy of the last picture: the decoder's memory is lent until the next one."""

    def __init__(self) -> None:
        self.frame: SampledFrame | None = None

    def offer(self, frame: SampledFrame) -> None:
        """Replaces an earlier picture; one with made-up parts only replaces another such."""
        before = self.frame
        if before is not None and (frame.concealed, -frame.pts_seconds) > (before.concealed, -before.pts_seconds):
            return
        picture = replace(frame.picture, planes=tuple(plane.copy() for plane in frame.picture.planes))
        self.frame = replace(frame, picture=picture)


def newest_picture(
    decoder: Decoder,
    data: bytes,
    *,
    init: bytes,
    seed: bytes,
    lists: ListsInForce,
    recipients: Recipients,
    request: PictureRequest,
) -> tuple[SealedItem, EvidenceRecord] | None:
    """Returns the last picture of a segment, sealed as context, and its record; None: it has no picture.

    It is matched with the hash lists before it is sealed: a reviewer is warned by its head.

    Raises:
        sampler.errors.SamplerError: nothing could be decoded.
        EvidenceError: it cannot be sealed.
    """
    last = _Last()
    decoder.sample(data, init=init, profile=LAST_PICTURE, seed=seed, consume=last.offer)
    if last.frame is None:
        return None
    frame, picture = last.frame, last.frame.picture
    pdq, variants = hash_with_variants(picture.luma(), lists.variants)
    found = list_matches(lists.bank, pdq, variants)
    # The test card is nothing to a live stream.
    drill = request.purpose in ("drill", "canary")
    matches = sorted((one for one in found if drill or one.list != SELFTEST), key=lambda one: one.order)[:MAX_MATCHES]
    jpeg = _jpeg(picture)
    width, height = size_of(jpeg)
    head = ItemHead(
        ref=new_ref(),
        kind=EvidenceKind.CONTEXT,
        stream_id=request.stream_id,
        segment="",
        pts_seconds=frame.pts_seconds,
        capture_ms=request.capture_ms + round((frame.late_seconds + frame.pts_seconds) * 1000),
        reason="look",
        picture_sha256=digest_of(jpeg),
        width=width,
        height=height,
        incident=request.incident_id,
        matches=tuple({"list": one.list, "entry": one.entry, "distance": one.distance} for one in matches),
        versions={**request.versions, "lists": dict(lists.versions)},
    )
    item = seal(head, jpeg, recipients)
    return item, _record(item, pdq, request)


def _jpeg(picture: Picture) -> bytes:
    scale = min(1.0, MAX_SIDE_PIXELS / max(picture.width, picture.height))
    pixels = round(picture.width * scale) * round(picture.height * scale)
    return to_jpeg(picture.rgb(None if scale == 1.0 else pixels))


def _record(item: SealedItem, pdq: PdqHash, request: PictureRequest) -> EvidenceRecord:
    # Named: a person asked for it, so that none that is sampled takes its place.
    return EvidenceRecord.of(
        item,
        pdq=pdq.hex if pdq.hashable else "",
        pdq_quality=pdq.quality,
        purpose=request.purpose,
        sealed_ms=request.sealed_ms,
        named=True,
    )
