"""The near-duplicate gate, on real pictures."""

import hmac
import json
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import cv2
import numpy as np
import pytest
from clips import HEIGHT, WIDTH, Rgb, photo, shade

from models.pdq.pdq import hash_luma
from sampler.picture import Picture
from worker.moderation.gate import GateState
from worker.moderation.gate_key import CHROMA_COLUMNS, CHROMA_ROWS, MAX_REUSE_MS, MIN_REUSE_MS, GateKey
from worker.moderation.segment_gate import GateView, SegmentGate

SCENES = ("astronaut", "coffee", "chelsea", "rocket", "camera", "coins", "brick", "moon")
KEY = GateKey(b"secret of the tests")
WINDOW_WIDTH, WINDOW_HEIGHT = round(WIDTH * 0.1**0.5), round(HEIGHT * 0.1**0.5)
"""A tenth of the picture's area."""


def view(
    state: GateState | None, rgb: Rgb, *, capture_ms: int, flat: bool = False, key: GateKey = KEY
) -> tuple[GateView, GateState]:
    """The gate's answer on the only picture of a segment, and the state after it; its score is its second."""
    gate = SegmentGate(key, None if state is None else GateState.from_json(state.to_json()))
    picture = Picture(planes=(rgb,), full_range=True, matrix="bt601")
    luma, chroma = picture.luma(), picture.chroma(CHROMA_COLUMNS, CHROMA_ROWS)
    seen = gate.view(luma, chroma, hash_luma(luma), capture_ms=capture_ms, flat=flat)
    if seen.repeated is None:
        gate.classified(seen, {"m/label": capture_ms / 1000})
    else:
        gate.taken_over(seen)
    assert gate.state is not None
    return seen, gate.state


def classified(pictures: Iterable[Rgb], *, every_seconds: float, flat: bool = False, key: GateKey = KEY) -> list[float]:
    """Seconds at which pictures are passed to the classifiers, each from a segment of its own, at an even pace."""
    state: GateState | None = None
    passed: list[float] = []
    for index, picture in enumerate(pictures):
        seconds = index * every_seconds
        seen, state = view(state, picture, capture_ms=round(seconds * 1000), flat=flat, key=key)
        if seen.repeated is None:
            passed.append(seconds)
    return passed


def drawn(*, every_seconds: float, count: int) -> list[float]:
    """Seconds at which pictures that never change are classified: when the time drawn for the last one is over."""
    times = [0.0]
    for seconds in (index * every_seconds for index in range(1, count)):
        if seconds - times[-1] > KEY.reuse_ms(round(times[-1] * 1000)) / 1000:
            times.append(seconds)
    return times


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
    minutes = [noisy[index] for index in random.integers(0, len(noisy), 300)]
    passed = classified(minutes, every_seconds=2)
    assert passed == drawn(every_seconds=2, count=300), "noise alone has a picture classified"
    assert len(passed) <= 30


@pytest.mark.parametrize("every_seconds", [1.0, 2.0])
def test_a_cross_fade_of_a_minute_does_not_slip_through(every_seconds: float) -> None:
    """Content faded in slowly would never be classified, as with gates that compare with the previous picture."""
    start, end = photo("coffee").astype(np.float32), photo("astronaut").astype(np.float32)
    count = round(60 / every_seconds) + 1
    fade = [(start + (end - start) * index / (count - 1)).astype(np.uint8) for index in range(count)]
    passed = classified(fade, every_seconds=every_seconds)
    assert len(passed) >= 10
    assert max(after - before for before, after in zip(passed, [*passed[1:], 60.0], strict=True)) <= 6


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
    reused = [after - before for before, after in pairwise(classified([photo("chelsea")] * 1200, every_seconds=1))]
    assert 5 <= min(reused) <= 15
    assert 29 <= max(reused) <= 31
    assert len(set(reused)) >= 10
    assert (MIN_REUSE_MS, MAX_REUSE_MS) == (5_000, 30_000)


def test_a_broadcaster_cannot_know_when_a_still_scene_is_classified_again() -> None:
    """Other content could be shown between two classifications, at instants worked out from this code."""
    keys = [GateKey(f"stream {number}".encode()) for number in range(6)]
    assert len({tuple(classified([photo("coffee")] * 90, every_seconds=1, key=key)) for key in keys}) == len(keys)
    # The same on another worker, which has the same secret.
    assert [GateKey(b"one").reuse_ms(at) for at in range(99)] == [GateKey(b"one").reuse_ms(at) for at in range(99)]


def test_a_window_that_keeps_the_block_means_is_classified() -> None:
    """A picture-in-picture could be hidden by who has read which 16 numbers are compared."""
    passed = []
    for scene in SCENES:
        for name in ("coffee", "astronaut", "rocket", "coins", "page"):
            if name == scene:
                continue
            window = photo(name, WIDTH // 3, HEIGHT // 3).astype(np.float32)
            pictures = [photo(scene), restored(photo(scene), window, left=len(passed) * 37 % (WIDTH * 2 // 3), top=100)]
            passed.append(len(classified(pictures, every_seconds=2)) == 2)
    assert sum(passed) >= 0.95 * len(passed)


def restored(scene: Rgb, window: np.ndarray, *, left: int, top: int) -> Rgb:
    """The scene with a window over it, and with the means of its 4 × 4 blocks."""
    picture, (height, width) = scene.astype(np.float32), window.shape[:2]
    picture[top : top + height, left : left + width] = window
    for _ in range(4):
        for row in range(4):
            for column in range(4):
                y, x = (
                    slice(row * HEIGHT // 4, (row + 1) * HEIGHT // 4),
                    slice(column * WIDTH // 4, (column + 1) * WIDTH // 4),
                )
                over = picture[
                    max(y.start, top) : min(y.stop, top + height), max(x.start, left) : min(x.stop, left + width)
                ]
                if over.size:
                    missing = scene[y, x].astype(np.float32).sum() - picture[y, x].sum()
                    over[...] = np.clip(over + missing / over.size, 0, 255)
    return np.rint(picture).astype(np.uint8)


def test_a_window_that_keeps_the_means_of_32_by_18_blocks_is_classified() -> None:
    """A window could be drawn that keeps every block of a grid that all keys share."""
    passed = []
    for scene, name in (("coffee", "page"), ("rocket", "coins"), ("moon", "camera"), ("chelsea", "brick")):
        under, other = photo(scene).astype(np.float32), photo(name).astype(np.float32)
        part = (slice(120, 240), slice(200, 420))
        picture = under.copy()
        picture[part] = np.clip(blocks_of(under) + (other - blocks_of(other)) / 2, 0, 255)[part]
        passed += [
            len(classified([photo(scene), picture.astype(np.uint8)], every_seconds=2, key=GateKey(bytes([number]))))
            == 2
            for number in range(8)
        ]
    assert sum(passed) >= 0.95 * len(passed)


def blocks_of(picture: np.ndarray) -> np.ndarray:
    """The picture as the means of 32 × 18 blocks."""
    means = cv2.resize(picture, (32, 18), interpolation=cv2.INTER_AREA)
    return cv2.resize(means, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)


@pytest.mark.parametrize("area", [9, 16])
def test_a_window_at_any_place_of_a_still_scene_is_classified(area: int) -> None:
    """A place could be found at which a small picture-in-picture is never classified."""
    random = np.random.default_rng(area)
    width, height = round(WIDTH / area**0.5), round(HEIGHT / area**0.5)
    for name in ("astronaut", "page", "coins"):
        scene, state = photo("chelsea"), None
        for step in range(40):
            window = scene.copy()
            left, top = int(random.integers(WIDTH - width + 1)), int(random.integers(HEIGHT - height + 1))
            window[top : top + height, left : left + width] = photo(name, width, height)
            _, state = view(state, scene, capture_ms=200_000 * step)
            assert view(state, window, capture_ms=200_000 * step + 1000)[0].repeated is None, (name, left, top)


def with_luma_of(rgb: Rgb, other: Rgb) -> Rgb:
    """The colours of one picture with the brightness of another."""
    mixed, luma = cv2.cvtColor(rgb, cv2.COLOR_RGB2YCrCb), cv2.cvtColor(other, cv2.COLOR_RGB2GRAY)
    mixed[..., 0] = luma
    return np.asarray(cv2.cvtColor(mixed, cv2.COLOR_YCrCb2RGB), np.uint8)


def with_means_of(rgb: Rgb, other: Rgb) -> Rgb:
    """The details of one picture over the means of 64 × 36 parts of another."""
    small, means = (cv2.resize(one, (64, 36), interpolation=cv2.INTER_AREA).astype(np.float32) for one in (rgb, other))
    moved = cv2.resize(means - small, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)
    return np.clip(rgb + moved, 0, 255).astype(np.uint8)


PAIRS = [("astronaut", "coffee"), ("coffee", "rocket"), ("rocket", "chelsea"), ("chelsea", "astronaut")]


@pytest.mark.parametrize("make", [with_luma_of, with_means_of], ids=["colours", "details"])
@pytest.mark.parametrize(("scene", "other"), PAIRS)
def test_another_picture_by_its_details_or_colours_alone_is_classified(
    make: Callable[[Rgb, Rgb], Rgb], scene: str, other: str
) -> None:
    """What everybody recognises would never be classified, over parts that are as bright as before."""
    shown = make(photo(other), photo(scene))
    keys = [GateKey(bytes([number])) for number in range(8)]
    states = [view(None, photo(scene), capture_ms=0, key=key)[1] for key in keys]
    repeated = [
        view(state, shown, capture_ms=1000, key=key)[0].repeated for key, state in zip(keys, states, strict=True)
    ]
    assert repeated == [None] * len(keys)


def test_content_that_appears_slowly_is_classified() -> None:
    """Change under the threshold from one picture to the next would never add up."""
    scene, other = photo("camera").astype(np.float32), photo("coins").astype(np.float32)
    pictures = [(scene + (other - scene) * part / 100).astype(np.uint8) for part in range(30)]
    passed = classified(pictures, every_seconds=0.1)
    assert len(passed) >= 5


def test_a_repeated_picture_counts_with_the_scores_of_the_one_it_repeats() -> None:
    """A rule that wants three pictures in a row would never hold on a still scene."""
    _, first = view(None, photo("coffee"), capture_ms=970)
    again, _ = view(first, photo("coffee"), capture_ms=2_000)
    assert again.repeated is not None
    assert again.repeated.scores == {"m/label": 0.97}


def test_a_picture_older_than_the_last_classified_is_classified() -> None:
    """When segments end out of order, one classification would be reused for 30 s in both directions."""
    _, later = view(None, photo("coffee"), capture_ms=10_000)
    late, kept = view(later, photo("coffee"), capture_ms=8_000)
    assert late.repeated is None
    assert kept == later


def test_what_another_key_measured_counts_as_nothing() -> None:
    """After a change of the secret pictures would take over the scores of any other."""
    for rgb, flat in ((photo("coffee"), False), (shade(0), True)):
        _, state = view(None, rgb, capture_ms=0, flat=flat)
        assert view(state, rgb, capture_ms=1_000, flat=flat)[0].repeated is not None
        assert view(state, rgb, capture_ms=1_000, flat=flat, key=GateKey(b"another"))[0].repeated is None


def test_the_sums_of_the_version_before_count_as_nothing() -> None:
    """Sums over luma alone would be compared with others, and a picture might take over another one's scores."""
    _, state = view(None, photo("coffee"), capture_ms=0)
    before = {**json.loads(state.to_json()), "key": hmac.digest(KEY.secret, b"mark", "sha256")[:4].hex()}
    read = GateState.read(json.dumps(before))
    assert read is not None
    seen, kept = view(read, photo("coffee"), capture_ms=1_000)
    assert seen.repeated is None
    assert view(kept, photo("coffee"), capture_ms=2_000)[0].repeated is not None


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_damaged_state_counts_as_nothing(number: float) -> None:
    """Every picture would take over its scores."""
    _, state = view(None, photo("coffee"), capture_ms=0)
    damaged = json.loads(state.to_json())
    damaged["projections"][3] = number
    read = GateState.read(json.dumps(damaged))
    assert read is not None
    assert view(read, photo("astronaut"), capture_ms=1_000)[0].repeated is None


def test_dark_pictures_that_cannot_be_hashed_are_each_classified() -> None:
    """In a dark room PDQ's bits are noise: taken as similarity, they would hide content."""
    dim = [(photo(name).astype(np.float32) / 40).astype(np.uint8) for name in ("coffee", "astronaut")]
    assert len(classified([dim[0], dim[0], dim[1], dim[1]], every_seconds=2)) == 4


def test_a_black_screen_is_classified_once_in_ten() -> None:
    """A black stream would cost as much as one with content."""
    passed = classified([shade(16)] * 300, every_seconds=2, flat=True)
    assert passed == drawn(every_seconds=2, count=300)
    assert len(passed) <= 30


def test_another_shade_is_classified() -> None:
    """A screen that grows light, or a picture in the dark after black, would take over the scores of black."""
    assert classified([shade(16), shade(20), shade(200)], every_seconds=2, flat=True) == [0, 2, 4]
    _, black = view(None, shade(0), capture_ms=0, flat=True)
    assert view(black, (photo("coffee") // 40).astype(np.uint8), capture_ms=1_000)[0].repeated is None


def test_a_freeze_is_reported_from_its_beginning_across_classifications() -> None:
    """A frozen stream would look like a new picture every 30 s, and no operator would notice the freeze."""
    state: GateState | None = None
    frozen = []
    for seconds in range(0, 90, 2):
        seen, state = view(state, photo("rocket"), capture_ms=seconds * 1000)
        frozen.append(seen.frozen)
    assert frozen == [seconds >= 10 for seconds in range(0, 90, 2)]
    moved, _ = view(state, photo("coffee"), capture_ms=92_000)
    assert not moved.frozen


def test_state_survives_redis() -> None:
    """The next segment, on another worker, would be compared with something else than the classified picture."""
    _, state = view(None, photo("coins"), capture_ms=123)
    assert GateState.from_json(state.to_json()) == state


def test_no_more_than_16_numbers_are_kept() -> None:
    """Pictures of people would be stored in Redis, in the clear."""
    _, state = view(None, photo("astronaut"), capture_ms=0)
    assert len(state.fingerprint.projections) == 16
    kept = json.loads(state.to_json())
    assert set(kept) == {
        "key", "pdq", "quality", "projections", "capture_ms", "classified_ms", "unchanged_since_ms", "scores"
    }  # fmt: skip
    assert all(number == round(number, 2) for number in kept["projections"])
    assert len(json.dumps(kept["projections"], separators=(",", ":"))) <= 16 * len("-9999.99,") + 1


def test_what_is_kept_does_not_show_where_a_picture_is_bright() -> None:
    """Who reads Redis, and not the secret, would see the scene in 16 tiles."""
    halves = [np.zeros((HEIGHT, WIDTH, 3), np.uint8) for _ in range(2)]
    halves[0][:, : WIDTH // 2] = halves[1][:, WIDTH // 2 :] = 255
    sides = []
    for key in (GateKey(bytes([number])) for number in range(40)):
        first, second = (view(None, half, capture_ms=0, key=key)[1].fingerprint.projections for half in halves)
        sides += [one > other for one, other in zip(first, second, strict=True)]
    assert 0.42 <= sum(sides) / len(sides) <= 0.58


@pytest.mark.parametrize(("contrast", "flat"), [(0.2, False), (0.1, False), (0.05, True)])
def test_a_dim_picture_after_another_one_is_classified(contrast: float, flat: bool) -> None:
    """Other content in a dark room would take over the scores of what was there before, blank as it may seem."""
    names = ("astronaut", "coffee", "chelsea", "rocket", "camera", "coins")
    scenes = [40 + contrast * (photo(name).astype(np.float32) - 110) for name in names]
    dim = [np.clip(scene, 0, 255).astype(np.uint8) for scene in scenes]
    assert len(classified(dim, every_seconds=1, flat=flat)) == len(names)
