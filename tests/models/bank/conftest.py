"""Hashes that cluster as real ones do, and lists made of them."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from snapshots import write_snapshot

from models.bank.bank import Bank
from models.bank.delta import Delta
from models.bank.entries import Entry, HashKind, ListSpec
from models.bank.snapshot import make_current, open_snapshot
from models.pdq.pdq import PdqHash

Hashes = npt.NDArray[np.uint8]


@pytest.fixture
def crowded() -> Callable[[int], Hashes]:
    """Makes n hashes, of which every third is up to 40 bits from another, and some are equal."""

    def make(count: int, seed: int = 0) -> Hashes:
        random = np.random.default_rng(seed)
        hashes = random.integers(0, 256, (count, 32), np.uint8)
        for place in range(1, count, 3):
            hashes[place] = flipped(hashes[random.integers(0, place)], int(random.integers(0, 41)), random)
        return hashes

    return make


def flipped(bits: Hashes, count: int, random: np.random.Generator) -> Hashes:
    """`bits` with `count` random bits flipped."""
    flags = np.unpackbits(bits)
    flags[random.choice(256, count, replace=False)] ^= 1
    return np.packbits(flags)


@pytest.fixture
def near() -> Callable[[bytes, int], PdqHash]:
    """A picture's hash at so many bits from `value`."""

    def make(value: bytes, distance: int, quality: int = 100) -> PdqHash:
        bits = flipped(np.frombuffer(value, np.uint8), distance, np.random.default_rng(distance))
        return PdqHash(bits=bits.tobytes(), quality=quality)

    return make


@pytest.fixture
def listed() -> Callable[[Hashes], tuple[Entry, ...]]:
    """Entries `e0`, `e1` and so on."""

    def make(hashes: Hashes) -> tuple[Entry, ...]:
        return tuple(
            Entry(entry=f"e{place}", kind=HashKind.PDQ, value=bits.tobytes()) for place, bits in enumerate(hashes)
        )

    return make


@pytest.fixture
def bank_of(tmp_path: Path) -> Callable[..., Bank]:
    """Writes lists into a snapshot that becomes current, and opens it."""

    def make(*lists: tuple[ListSpec, Sequence[Entry] | Iterable[Entry]], delta: Delta | None = None) -> Bank:
        path = write_snapshot(tmp_path / "bank", lists, watermark="7-0")
        make_current(tmp_path / "bank", path)
        return Bank(snapshot=open_snapshot(path), delta=delta if delta is not None else Delta())

    return make
