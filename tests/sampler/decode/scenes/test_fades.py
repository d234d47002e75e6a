"""Changes that build up over several pictures, seen in the pictures' cells."""

import numpy as np

from sampler.decode.scenes.cells import COLUMNS, ROWS, Cells, luma_change
from sampler.decode.scenes.fades import FadeWatch

PICTURES_A_SECOND = 30


def settled_at(length: int, *, first: int = 45, count: int = 90) -> list[int]:
    """Pictures that are called clear, where blocks of another scene come in over a restless ground."""
    random = np.random.default_rng(1)
    ground, other = random.uniform(40, 200, (2, ROWS, COLUMNS))
    order = np.kron(random.permutation(72).reshape(9, 8) / 72, np.ones((ROWS // 9, COLUMNS // 8)))
    watch, before, found = FadeWatch(), None, []
    for number in range(count):
        share = np.clip((number - first) / length, 0.0, 1.0)
        shake = 0.7
        luma = np.where(order < share, other, ground) + random.normal(0, shake, ground.shape)
        cells = Cells(np.stack([luma.astype(np.float32)] * 4, axis=-1))
        seconds = number / PICTURES_A_SECOND
        if before is not None and watch.has_settled(cells, luma_change(before, cells), seconds, is_cut=False):
            found.append(number)
        before = cells
    return found


def test_a_restless_camera_hides_no_change_that_builds_up_over_half_a_second() -> None:
    """A scene that comes in by blocks would be sampled half gone in, or by nobody."""
    length = 15

    assert any(45 + length <= number <= 45 + length + 3 for number in settled_at(length))


def test_a_change_that_lasts_is_waited_for() -> None:
    """The wait was counted from where the change was noticed, and ended before it did."""
    length = 20

    assert any(45 + length <= number <= 45 + length + 3 for number in settled_at(length))
