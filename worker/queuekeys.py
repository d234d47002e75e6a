"""Names in Redis of incidents and the queue.

lw:incidents:{stream}             hash: version (counts changes), rule:{rule} -> JSON state
lw:incident:{id}                  hash: what is known of an incident, who holds it, what was decided
lw:incident:{id}:entries          list of "stream-key entry-id": its entries in the queue
lw:open:{severity}                sorted set: undecided incidents by the millisecond they were raised
lw:escalations:{severity}         stream, one field `event`; consumer group `moderators`
lw:decisions, lw:operations       streams, one field `event`
"""

from typing import Final

from config.facts import Severity

DECISIONS: Final = "lw:decisions"
OPERATIONS: Final = "lw:operations"
GROUP: Final = "moderators"
"""The consumer group of the desk and of `livewarden queue` alike."""


def incidents_key(stream_id: str) -> str:
    """State of all rules on one stream."""
    return f"lw:incidents:{stream_id}"


def incident_key(incident_id: str) -> str:
    """One incident."""
    return f"lw:incident:{incident_id}"


def entries_key(incident_id: str) -> str:
    """The entries of one incident."""
    return f"lw:incident:{incident_id}:entries"


def open_key(severity: Severity) -> str:
    """Undecided incidents of that severity."""
    return f"lw:open:{severity}"


def escalations_key(severity: Severity) -> str:
    """The queue's stream of that severity."""
    return f"lw:escalations:{severity}"


OPEN_KEYS: Final = tuple(open_key(severity) for severity in Severity)
"""The most urgent first."""
ESCALATION_KEYS: Final = tuple(escalations_key(severity) for severity in Severity)
"""The most urgent first."""
