"""Names of the outcomes of decisions, as policies have them."""

from typing import Final

from config.documents.names import unknown

OUTCOMES: Final = (
    "csea_apparent",
    "csea_suspected",
    "child_at_risk",
    "adult_tos",
    "other_harm",
    "harmless",
    "cannot_judge",
)
"""Those of `worker.queue.outcomes.Outcome`."""


def known_outcome(name: str) -> str:
    """Returns the name of an outcome.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in OUTCOMES:
        raise ValueError(unknown("outcome", name, OUTCOMES))
    return name
