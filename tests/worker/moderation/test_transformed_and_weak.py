"""Real clips against lists of transformed pictures and of videos: from the decoder's frames to the policy's hits."""

import json
from collections.abc import Callable, Sequence

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from clips import clip, held, photo
from redis import Redis
from scene import Scene

from config.facts import Hit, StreamFacts
from config.policy.policy import load_policy
from models.bank.bank import Bank
from models.bank.delta import BankChange, Delta
from models.bank.entries import Entry, HashKind, ListSpec
from models.pdq.pdq import MIN_QUALITY, PdqHash, hash_luma, hash_rgb
from models.pdq.variant_kinds import Variant
from sampler.child.decoder import Decoder
from worker.bank.lists_in_force import ListsInForce, always
from worker.moderation.list_matching import list_matches
from worker.moderation.moderation_context import ModerationContext
from worker.moderation.pipeline import Pipeline

LIVE = ModerationContext(stream=StreamFacts(stream_id="cam-1"), capture_ms=1_000_000)
PHOTOS = ("coffee", "chelsea", "astronaut", "rocket")

Rgb = npt.NDArray[np.uint8]


def pipeline(decoder: Decoder, entries: Sequence[Entry], *variants: Variant) -> Pipeline:
    """A pipeline with one foreign list that asks for `variants`."""
    spec = ListSpec(name="known", variants=variants)
    changes = [BankChange.put_list(spec, at_ms=1), *(BankChange.add("known", entry, at_ms=1) for entry in entries)]
    bank = Bank(delta=Delta().applied(*changes))
    return Pipeline(decoder=decoder, bank=always(ListsInForce(bank=bank)), classifiers=(), policy=load_policy(None))


def entry_of(picture: Rgb, name: str) -> Entry:
    return Entry(entry=name, kind=HashKind.PDQ, value=hash_rgb(picture).bits)


def hits(pipeline: Pipeline, pictures: Sequence[Rgb]) -> tuple[Hit, ...]:
    return pipeline.moderate(clip(pictures), context=LIVE, seed=b"tests").hits


def letterboxed(picture: Rgb) -> Rgb:
    height, width = picture.shape[:2]
    small = cv2.resize(picture, (width, height - 2 * (height // 8)), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.copyMakeBorder(small, height // 8, height // 8, 0, 0, cv2.BORDER_CONSTANT), np.uint8)


@pytest.mark.parametrize(
    ("turn", "variant"),
    [
        (lambda picture: picture[:, ::-1], Variant.MIRROR),
        (lambda picture: picture[::-1, ::-1], Variant.ROTATE),
        (letterboxed, Variant.CROP),
    ],
    ids=["mirrored", "upside down", "letterboxed"],
)
def test_a_transformed_picture_is_found_if_a_list_asks_for_it(
    decoder: Decoder, turn: Callable[[Rgb], Rgb], variant: Variant
) -> None:
    """Mirroring known material would hide it."""
    picture = photo("coffee")
    shown = held(np.ascontiguousarray(turn(picture)), 2)
    (first, *_) = hits(pipeline(decoder, [entry_of(picture, "1")], variant), shown)
    assert first.rule == "known-material"
    assert {match.variant for match in first.matches} == {variant.value}
    assert hits(pipeline(decoder, [entry_of(picture, "1")]), shown) == ()


def test_a_picture_that_cannot_be_hashed_for_its_bars_is_found_without_them() -> None:
    """Wide black bars push a picture below PDQ's quality bound: they would hide known material."""
    inner = hash_rgb(photo("coffee"))
    changes = [
        BankChange.put_list(ListSpec(name="known", variants=(Variant.CROP,)), at_ms=1),
        BankChange.add("known", entry_of(photo("coffee"), "1"), at_ms=1),
    ]
    bank = Bank(delta=Delta().applied(*changes))
    barred = PdqHash(bits=bytes(32), quality=MIN_QUALITY - 1)
    (match,) = list_matches(bank, barred, {Variant.CROP: (inner,)})
    assert (match.list, match.entry, match.variant) == ("known", "1", "crop")
    assert list_matches(bank, barred, {}) == ()


@pytest.fixture(scope="module")
def weak_video() -> list[Entry]:
    """A listed video of four scenes, each hash 27 bits from that of the scene."""
    entries = []
    for number, name in enumerate(PHOTOS):
        luma = cv2.cvtColor(photo(name), cv2.COLOR_RGB2GRAY)
        bits = np.unpackbits(np.frombuffer(hash_luma(np.asarray(luma, np.uint8)).bits, np.uint8))
        bits[np.random.default_rng(number).permutation(256)[:27]] ^= 1
        value = np.packbits(bits).tobytes()
        entries.append(Entry(entry=f"v/{number}", kind=HashKind.PDQ, value=value, video="v", seconds=float(number)))
    return entries


def raised(scene: Scene, found: Sequence[Hit]) -> list[tuple[str, str]]:
    scene.policy = load_policy(None)
    scene.settle("cam-1", tuple(found))
    return [
        (json.loads(fields["event"])["data"]["rule"], key.removeprefix("lw:escalations:"))
        for key in ("lw:escalations:critical", "lw:escalations:high")
        for _, fields in scene.redis.xrange(key)
    ]


def test_a_run_of_weak_frames_is_critical(
    decoder: Decoder, weak_video: list[Entry], scene: Scene, redis: Redis
) -> None:
    """A listed video would pass for a series of coincidences."""
    shown = [picture for name in PHOTOS for picture in held(photo(name), 2)]
    found = hits(pipeline(decoder, weak_video), shown)
    assert raised(scene, found) == [("known-video", "critical"), ("known-video-frame", "high")]
    event = json.loads(redis.xrange("lw:escalations:critical")[0][1]["event"])
    assert {match["video"] for match in event["data"]["matches"]} == {"v"}
    assert len({match["entry"] for match in event["data"]["matches"]}) >= 3


def test_one_weak_frame_is_not_critical(decoder: Decoder, weak_video: list[Entry], scene: Scene) -> None:
    """A picture of a wall, held for some time, would come before all other incidents."""
    found = hits(pipeline(decoder, weak_video), held(photo(PHOTOS[0]), 8))
    assert len({hit.capture_ms for hit in found}) >= 3
    assert raised(scene, found) == [("known-video-frame", "high")]
