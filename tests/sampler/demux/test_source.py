"""Bytes of an input that are read, which the bound of macroblocks counts."""

import os
from collections.abc import Iterator

import pytest

from sampler.demux.source import InputFile

SIZE_BYTES = 10_000_000
READ_BYTES = 256 << 10


@pytest.fixture
def source() -> Iterator[InputFile]:
    descriptor = os.memfd_create("input")
    os.ftruncate(descriptor, SIZE_BYTES)
    yield InputFile(descriptor, SIZE_BYTES)
    os.close(descriptor)


def test_bytes_count_once_wherever_they_are_read_first(source: InputFile) -> None:
    """An index at the end, which is read first, would have all that is before it read for nothing."""
    source.seek(SIZE_BYTES - 100_001)
    while source.read(READ_BYTES):
        pass
    source.seek(0)
    while source.read(READ_BYTES):
        pass
    assert source.read_bytes == pytest.approx(SIZE_BYTES, rel=0.02)


def test_what_is_read_again_counts_for_its_copying(source: InputFile) -> None:
    """A file that has FFmpeg go back for each packet would be copied for nothing, or count as if demuxed anew."""
    while source.read(READ_BYTES):
        pass
    once = source.read_bytes
    assert once == pytest.approx(SIZE_BYTES)
    for number in range(400):
        source.seek(number * 7_919)
        source.read(READ_BYTES)
    assert (source.read_bytes - once) / (400 * READ_BYTES) == pytest.approx(1 / 40)
