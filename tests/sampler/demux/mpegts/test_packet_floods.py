"""Floods of packets in an MPEG-TS, for each of which FFmpeg has a buffer of the longest."""

from pathlib import Path

import pytest
from short_packets import AAC_TYPE, PRIVATE_TYPE, with_short_packets

from config.profiles import BALANCED
from sampler.child.decoder import Decoder
from sampler.limits import MIB

MANY = 5_500
"""In buffers of 200 KiB they are 1.1 GB, under a decoder's bound."""
MOST_BYTES = 400 * MIB
"""A decoder has 200 MiB of its own libraries, shared with all others."""


def most_bytes(pid: int) -> int:
    """Memory of a process that was in use at one time, at most."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmHWM:"))
    return int(line.split()[1]) << 10


@pytest.mark.parametrize("kind", [AAC_TYPE, PRIVATE_TYPE])
def test_a_flood_of_short_packets_costs_little_memory(kind: int) -> None:
    """1 MB of them took 1.1 GB, which the kernel had to clear: 2.6 s of CPU."""
    with Decoder() as decoder:
        seen = decoder.sample(with_short_packets(MANY, kind), profile=BALANCED, seed=b"pes")
        assert decoder.child_pid is not None
        assert most_bytes(decoder.child_pid) < MOST_BYTES
    assert seen.frames
    assert seen.unmoderated == ()
