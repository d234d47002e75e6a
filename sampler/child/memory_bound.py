"""Memory that a decoder has taken, of what it may have, as the kernel counts it."""

import re
from pathlib import Path
from typing import Final

NEARLY_ALL: Final = 0.75
"""Share (>=) from which on a refusal is put down to the bound: a single buffer may have hundreds of MiB."""
_PEAK: Final = re.compile(r"^VmPeak:\s+(\d+) kB$", re.MULTILINE)
_BOUND: Final = re.compile(r"^Max address space\s+(\d+) ", re.MULTILINE)


def is_at_bound(pid: int | None, memory_bytes: int) -> bool:
    """True if a process has mapped nearly all of the `memory_bytes` that it may map; False also where that is not
    known. One that is refused memory before that is on a machine that has no more to promise."""
    try:
        peak = _PEAK.search(Path(f"/proc/{pid}/status").read_text())
        bound = _BOUND.search(Path(f"/proc/{pid}/limits").read_text())
    except OSError:
        return False
    if peak is None or bound is None:
        return False
    return int(bound[1]) - (int(peak[1]) << 10) <= (1 - NEARLY_ALL) * memory_bytes
