"""The gate over the pictures of one segment, and over segments that end in any order."""

import json
import random
from collections.abc import Sequence
from itertools import permutations

import cv2
import numpy as np
import pytest
from clips import HEIGHT, WIDTH, Rgb, clip, held, photo, shade
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis

from config.facts import StreamFacts
from models.pdq.pdq import PdqHash, hash_luma
from worker.moderation.gate import GateState
from worker.moderation.gate_key import GateKey
from worker.moderation.moderation_context import ModerationContext
from worker.moderation.pipeline import Pipeline
from worker.moderation.segment_gate import REMEMBERED, SegmentGate
from worker.store.redis_client import run_script

KEY = GateKey(b"secret of the tests")
NAMES = ("astronaut", "coffee", "chelsea", "rocket", "camera", "coins", "brick", "moon", "page", "retina")
STREAM = StreamFacts(stream_id="s")

Luma = np.ndarray
"""uint8, (H, W)."""


def luma_of(rgb: Rgb) -> Luma:
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)


def scores_of(
    gate: SegmentGate, pictures: Sequence[Luma], *, from_ms: int = 0, every_ms: int = 500, flat: bool = False
) -> list[tuple[bool, float]]:
    """For each picture, whether it is classified, and the second of the picture whose scores it has."""
    found = []
    for index, luma in enumerate(pictures):
        at_ms = from_ms + index * every_ms
        seen = gate.view(luma, None, hash_luma(luma), capture_ms=at_ms, flat=flat)
        if seen.repeated is None:
            gate.classified(seen, {"m/at": at_ms / 1000})
        else:
            gate.taken_over(seen)
        scores = {"m/at": at_ms / 1000} if seen.repeated is None else seen.repeated.scores
        found.append((seen.repeated is None, scores["m/at"]))
    return found


def noisy(rgb: Rgb, seed: int) -> Luma:
    noise = np.random.default_rng(seed).normal(0, 3, (HEIGHT, WIDTH))
    return np.clip(luma_of(rgb) + noise, 0, 255).astype(np.uint8)


def test_a_cut_and_back_is_two_pictures_to_classify() -> None:
    """Two cameras, or slides shown in turn, would cost a classifier run for each cut."""
    first, second = photo("coffee"), photo("astronaut")
    turns = [noisy(first if index % 2 == 0 else second, index) for index in range(8)]
    found = scores_of(SegmentGate(KEY), turns)
    assert [classified for classified, _ in found] == [True, True] + [False] * 6
    assert [score for _, score in found] == [0, 0.5] * 4


def test_a_segment_that_ends_on_a_picture_from_before_goes_on_with_it() -> None:
    """The next segment would classify what the last one ended with."""
    gate = SegmentGate(KEY)
    scores_of(gate, [noisy(photo(name), 1) for name in ("coffee", "astronaut", "coffee")])
    assert gate.state is not None
    state = GateState.from_json(gate.state.to_json())
    assert scores_of(SegmentGate(KEY, state), [noisy(photo("coffee"), 2)], from_ms=2_000) == [(False, 0)]


def test_a_cut_back_to_what_an_earlier_segment_showed_is_not_classified() -> None:
    """In each segment of a still scene the first cut away and back would cost a classifier run too many."""
    before = SegmentGate(KEY)
    scores_of(before, [noisy(photo("coffee"), 1)])
    turns = [noisy(photo(name), 2) for name in ("coffee", "astronaut", "coffee", "astronaut", "coffee", "coffee")]
    found = scores_of(SegmentGate(KEY, before.state), turns, from_ms=500)
    assert [score for _, score in found] == [0, 1, 0, 1, 0, 0]


def test_of_many_pictures_only_the_last_eight_are_compared() -> None:
    """A strobe would fill the memory of a worker."""
    names = NAMES[: REMEMBERED + 1]
    pictures = [luma_of(photo(name)) for name in names]
    gate = SegmentGate(KEY)
    found = scores_of(gate, [*pictures, *pictures[:0:-1], pictures[0]], every_ms=100)
    assert [classified for classified, _ in found] == [True] * 9 + [False] * 8 + [True]


def test_what_came_back_last_stays_compared() -> None:
    """A studio that other pictures interrupt again and again would be classified each time."""
    studio = luma_of(photo("coffee"))
    inserts = [luma_of(photo(name)) for name in NAMES if name != "coffee"]
    turns = [picture for insert in inserts for picture in (studio, insert)]
    found = scores_of(SegmentGate(KEY), turns, every_ms=100)
    assert sum(classified for classified, _ in found[::2]) == 1
    assert all(classified for classified, _ in found[1::2])


def test_a_picture_that_came_back_is_classified_again_in_time() -> None:
    """In a file, which is one segment, a picture would be classified once in hours."""
    turns = [luma_of(photo(("coffee", "astronaut")[index % 2])) for index in range(120)]
    found = scores_of(SegmentGate(KEY), turns, every_ms=1_000)
    assert max(index - score for index, (_, score) in enumerate(found)) <= 30
    assert 8 <= sum(classified for classified, _ in found) <= 24


@pytest.mark.parametrize("area", [9, 16])
@pytest.mark.parametrize("same_means", [False, True])
def test_a_window_over_a_picture_from_before_is_classified(area: int, same_means: bool) -> None:
    """A picture-in-picture would be hidden by a cut away and back."""
    drawn = np.random.default_rng(area)
    width, height = round(WIDTH / area**0.5), round(HEIGHT / area**0.5)
    other, noticed = luma_of(photo("brick")), []
    for name in ("chelsea", "coffee", "rocket"):
        scene = luma_of(photo(name))
        for shown in ("astronaut", "page", "coins", "camera"):
            left, top = int(drawn.integers(WIDTH - width + 1)), int(drawn.integers(HEIGHT - height + 1))
            window, under = luma_of(photo(shown, width, height)), scene.copy()
            place = under[top : top + height, left : left + width]
            mean = place.mean() - window.mean() if same_means else 0
            place[...] = np.clip(window + mean, 0, 255).astype(np.uint8)
            noticed.append(scores_of(SegmentGate(KEY), [scene, other, under])[2][0])
    assert all(noticed)


def test_change_that_adds_up_between_cuts_is_classified() -> None:
    """Content could be faded in behind cuts away and back."""
    scene, content = (luma_of(photo(name)).astype(np.float32) for name in ("camera", "coins"))
    away = luma_of(photo("brick"))
    turns = [
        picture for step in range(20) for picture in ((scene + (content - scene) * step / 60).astype(np.uint8), away)
    ]
    found = scores_of(SegmentGate(KEY), turns, every_ms=100)
    assert sum(classified for classified, _ in found[::2]) >= 3


def test_flat_pictures_are_told_apart() -> None:
    """Black, then a white screen, then black: one of them would have the other's scores."""
    turns = [luma_of(shade(level)) for level in (0, 255, 0, 255, 128, 0)]
    found = scores_of(SegmentGate(KEY), turns, flat=True)
    assert [score for _, score in found] == [0, 0.5, 0, 0.5, 2, 0]


def test_a_picture_without_a_hash_repeats_nothing_in_its_segment() -> None:
    """In a dark room thumbnails are too alike: content would be hidden."""
    dim = [(luma_of(photo(name)) // 40).astype(np.uint8) for name in ("coffee", "astronaut")]
    assert all(classified for classified, _ in scores_of(SegmentGate(KEY), [*dim, *dim]))


def test_another_picture_that_keeps_all_cells_of_the_thumbnail_is_classified() -> None:
    """Who has read this code would draw a window that 32 × 18 means do not show."""
    noticed = []
    for scene, content in (("chelsea", "page"), ("coffee", "astronaut"), ("rocket", "coins"), ("moon", "camera")):
        under, window = luma_of(photo(scene)).astype(np.float32), luma_of(photo(content)).astype(np.float32)
        part = (slice(120, 240), slice(200, 420))
        coarse = [cv2.resize(cv2.resize(one, (32, 18), interpolation=cv2.INTER_AREA), (WIDTH, HEIGHT), interpolation=0)
                  for one in (under, window)]  # fmt: skip
        kept = under.copy()
        kept[part] = np.clip(coarse[0] + window - coarse[1], 0, 255)[part]
        pictures = [under.astype(np.uint8), luma_of(photo("brick")), kept.astype(np.uint8)]
        noticed.append(scores_of(SegmentGate(KEY), pictures)[2][0])
    assert all(noticed)


PLACES = st.lists(st.integers(0, len(NAMES) - 1), min_size=1, max_size=4)


def test_redis_keeps_the_same_state_in_any_order(redis: Redis) -> None:
    """A slow worker, or one of the version before, would bring back what the stream no longer shows."""
    states = []
    for number, names in enumerate([["coffee"], ["coffee", "astronaut", "coffee"], ["rocket"]]):
        gate = SegmentGate(KEY)
        scores_of(gate, [luma_of(photo(name)) for name in names], from_ms=4_000 * number)
        assert gate.state is not None
        states.append((gate.state.capture_ms, gate.state.to_json()))
    older = [(capture_ms, json.dumps({"blocks": [0] * 16, "capture_ms": capture_ms})) for capture_ms in (1_000, 6_000)]
    for number, order in enumerate(permutations([*states, *older])):
        for capture_ms, text in order:
            run_script(redis, "keep_gate", keys=["lw:gate:s"], args=[f"1.{number}", capture_ms, text, 300])
        assert redis.hget("lw:gate:s", f"1.{number}") == states[-1][1]


@settings(max_examples=40, deadline=None)
@given(segments=st.lists(PLACES, min_size=1, max_size=5), order=st.randoms(use_true_random=False))
def test_states_of_segments_merge_to_the_same_in_any_order(segments: list[list[int]], order: random.Random) -> None:
    """A later segment would repeat what the stream no longer shows, depending on which worker is quick."""
    states = []
    for number, shown in enumerate(segments):
        gate = SegmentGate(KEY)
        scores_of(gate, [LUMAS[name] for name in shown], from_ms=4_000 * number, every_ms=900)
        assert gate.state is not None
        states.append(gate.state)
    last = states[-1]
    order.shuffle(states)
    assert max(states, key=lambda state: state.capture_ms) == last
    # A late segment sees the later one's state, keeps it, and takes no scores from it.
    late = SegmentGate(KEY, last)
    found = scores_of(late, [LUMAS[name] for name in segments[0]], from_ms=-10_000)
    assert found[0] == (True, -10)
    assert late.state == last


LUMAS = [luma_of(photo(name, 320, 180)) for name in NAMES]


def test_a_clip_that_cuts_back_and_forth_is_classified_twice(pipeline: Pipeline) -> None:
    """Sampled and decoded pictures would never be near enough, and nothing would be saved."""
    shots = [held(photo(name), 1) for name in ("coffee", "astronaut") * 4]
    context = ModerationContext(stream=STREAM, capture_ms=1_000_000)
    verdict = pipeline.moderate(clip([one for shot in shots for one in shot]), context=context, seed=b"tests")
    assert len(verdict.samples) >= 6
    assert [sample.deduplicated for sample in verdict.samples].count(False) == 2
    assert all(sample.classified for sample in verdict.samples)
    for sample in verdict.samples:
        twin = next(one for one in verdict.samples if PdqHash(bits=bytes.fromhex(one.pdq or ""), quality=99).distance(
            PdqHash(bits=bytes.fromhex(sample.pdq or ""), quality=99)) <= 16)  # fmt: skip
        assert sample.scores == twin.scores
    assert verdict.gate is not None
    assert set(json.loads(verdict.gate.to_json())) == {
        "key", "pdq", "quality", "projections", "capture_ms", "classified_ms", "unchanged_since_ms", "scores"
    }  # fmt: skip
