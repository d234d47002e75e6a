"""Which processes are below which. `/proc/…/children` leaves some out while others end."""

from pathlib import Path


def children_of(parent: int) -> list[int]:
    """Process IDs of a process's children, those of all its threads, in no order."""
    return [pid for pid, above in _parents().items() if above == parent]


def descendants_of(pid: int) -> list[int]:
    """Process IDs of everything below a process."""
    parents = _parents()
    found = [pid]
    for one in found:
        found += [child for child, above in parents.items() if above == one]
    return found[1:]


def _parents() -> dict[int, int]:
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            found[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended meanwhile
            continue
    return found
