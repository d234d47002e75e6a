"""Pictures of a run that depend on others that were made up. Runs in the decoder child."""

from collections.abc import Sequence, Set


def made_up(own: Sequence[int], told: Set[int], wrong: Set[int], *, headless: bool) -> set[int]:
    """Packets of the pictures from one that is wrong to the next one that is right: of those between it is not known.

    Args:
        own: packets of the run's pictures, by presentation time.
        told: those of which it is known.
        wrong: those of them that depend on made-up ones.
        headless: what comes before the first one depends on those, too.
    """
    found: set[int] = set()
    is_wrong = headless
    for index in own:
        is_wrong = index in wrong if index in told else is_wrong
        if is_wrong:
            found.add(index)
    return found
