"""The near-duplicate gate, on real pictures."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import cv2
import numpy as np
import pytest
from clips import HEIGHT, WIDTH, Rgb, photo, shade

from models.pdq.pdq import hash_luma
from worker.moderation.gate import MAX_SKIP_MS, Fingerprint, GateState, view

SCENES = ("astronaut", "coffee", "chelsea", "rocket", "camera", "coins", "brick", "moon")
WINDOW_WIDTH, WINDOW_HEIGHT = round(WIDTH * 0.1**0.5), round(HEIGHT * 0.1**0.5)
"""A tenth of the picture's area."""


def fingerprint(rgb: Rgb) -> Fingerprint:
    luma = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)
    return Fingerprint.of(luma, hash_luma(luma))


def classified(pictures: Iterable[Rgb], *, every_seconds: float, flat: bool = False) -> list[float]:
    """Runs pictures through the gate at an even pace; gives the seconds at which one is passed to the classifiers."""
    state: GateState | None = None
    looked: list[float] = []
    for index, picture in enumerate(pictures):
        seconds = index * every_seconds
        seen = view(state, fingerprint(picture), capture_ms=round(seconds * 1000), flat=flat)
        if seen.repeated is None:
            state = seen.classified({"m/label": seconds})
            looked.append(seconds)
    return looked


def coded(pictures: Sequence[Rgb], quality: int) -> list[Rgb]:
    """Pictures after lossy coding, each encoded separately."""
    return [
        np.asarray(cv2.imdecode(cv2.imencode(".jpg", one, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1), np.uint8)
        for one in pictures
    ]


@pytest.mark.parametrize("scene", SCENES)
def test_a_still_scene_reaches_the_classifier_at_most_once_in_ten(scene: str) -> None:
    """Static streams, the most common kind, would cost as much as moving ones."""
    random = np.random.default_rng(7)
    still = photo(scene).astype(np.float32)
    noise = [random.standard_normal(still.shape, np.float32) * 2 for _ in range(8)]
    noisy = coded([np.clip(still + one, 0, 255).astype(np.uint8) for one in noise], 80)
    minute = [noisy[index] for index in random.integers(0, len(noisy), 30)]
    assert len(classified(minute, every_seconds=2)) <= 3


@pytest.mark.parametrize("every_seconds", [1.0, 2.0])
def test_a_cross_fade_of_a_minute_does_not_slip_through(every_seconds: float) -> None:
    """Content faded in slowly would never be classified, as with gates that compare with the previous picture."""
    start, end = photo("coffee").astype(np.float32), photo("astronaut").astype(np.float32)
    count = round(60 / every_seconds) + 1
    fade = [(start + (end - start) * index / (count - 1)).astype(np.uint8) for index in range(count)]
    looked = classified(fade, every_seconds=every_seconds)
    assert len(looked) >= 10
    assert max(after - before for before, after in zip(looked, [*looked[1:], 60.0], strict=True)) <= 6


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("same_mean", [False, True])
def test_new_content_in_a_tenth_of_a_still_scene_is_classified(scene: str, same_mean: bool) -> None:
    """A small picture-in-picture over a still background would never be classified."""
    contents = [name for name in ("coffee", "astronaut", "rocket", "coins") if name != scene]
    for left, top in ((0, 0), (WIDTH // 2 - 20, HEIGHT // 2 - 50), (WIDTH - WINDOW_WIDTH, HEIGHT - WINDOW_HEIGHT)):
        windows = [photo(name, WINDOW_WIDTH, WINDOW_HEIGHT).astype(np.float32) for name in contents]
        if same_mean:
            windows = [window - window.mean() + 110 for window in windows]
        pictures = []
        for window in windows:
            picture = photo(scene).copy()
            picture[top : top + WINDOW_HEIGHT, left : left + WINDOW_WIDTH] = np.clip(window, 0, 255)
            pictures.append(picture)
        assert len(classified(pictures, every_seconds=2)) == len(contents)


def test_no_classification_is_reused_for_more_than_30_seconds() -> None:
    """Content that fools the similarity measures would be unclassified indefinitely."""
    looked = classified([photo("chelsea")] * 70, every_seconds=1)
    assert max(after - before for before, after in pairwise(looked)) <= 31
    assert MAX_SKIP_MS == 30_000


def test_a_repeated_picture_counts_with_the_scores_of_the_one_it_repeats() -> None:
    """A rule that wants three pictures in a row would never hold on a still scene."""
    first = view(None, fingerprint(photo("coffee")), capture_ms=0, flat=False).classified({"m/label": 0.97})
    again = view(first, fingerprint(photo("coffee")), capture_ms=2_000, flat=False)
    assert again.repeated is not None
    assert again.repeated.scores == {"m/label": 0.97}


def test_a_picture_older_than_the_last_classified_is_classified() -> None:
    """When segments end out of order, one classification would be reused for 30 s in both directions."""
    later = view(None, fingerprint(photo("coffee")), capture_ms=10_000, flat=False).classified({})
    assert view(later, fingerprint(photo("coffee")), capture_ms=8_000, flat=False).repeated is None


def test_dark_pictures_that_cannot_be_hashed_are_each_classified() -> None:
    """In a dark room PDQ's bits are noise: taken as similarity, they would hide content."""
    dim = [(photo(name).astype(np.float32) / 40).astype(np.uint8) for name in ("coffee", "astronaut")]
    assert len(classified([dim[0], dim[0], dim[1], dim[1]], every_seconds=2)) == 4


def test_a_black_screen_is_classified_only_twice_a_minute() -> None:
    """A black stream would cost as much as one with content."""
    assert classified([shade(16)] * 30, every_seconds=2, flat=True) == [0, 32]


def test_a_freeze_is_reported_from_its_beginning_across_classifications() -> None:
    """A frozen stream would look like a new picture every 30 s, and no operator would notice the freeze."""
    state: GateState | None = None
    frozen = []
    for seconds in range(0, 90, 2):
        seen = view(state, fingerprint(photo("rocket")), capture_ms=seconds * 1000, flat=False)
        frozen.append(seen.frozen)
        state = seen.classified({}) if seen.repeated is None else state
    assert frozen == [seconds >= 10 for seconds in range(0, 90, 2)]
    moved = view(state, fingerprint(photo("coffee")), capture_ms=92_000, flat=False)
    assert not moved.frozen


def test_state_survives_redis() -> None:
    """The next segment, on another worker, would be compared with something else than the classified picture."""
    state = view(None, fingerprint(photo("coins")), capture_ms=123, flat=False).classified({"m/a": 0.25, "m/b": 0.75})
    assert GateState.from_json(state.to_json()) == state


def test_no_more_than_16_block_means_are_kept() -> None:
    """Pictures of people would be stored in Redis, in the clear."""
    state = view(None, fingerprint(photo("astronaut")), capture_ms=0, flat=False).classified({})
    assert len(state.fingerprint.blocks) == 16
    assert len(state.to_json()) < 400
