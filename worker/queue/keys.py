"""Names in Redis of incidents and the queue.

lw:incidents:{stream}             hash: version (counts changes), rule:{purpose}:{rule} -> JSON state
lw:incident:{id}                  hash: what is known of an incident, who holds it, what was decided
lw:incident:{id}:entries          list of "stream-key entry-id": its entries in the queue
lw:incident:{id}:streams          sorted set: streams of a group's incident by when they joined it
lw:incidents:flood {purpose}      hash: as of a stream, rule:{group} -> the groups of streams that one hash made
lw:windows:{stream}               hash: watch generation and epoch -> what rules that are judged in order remember
lw:flood:{purpose}:{list}/{entry} sorted set: streams by when that hash last matched on them
lw:floods:due                     sorted set: groups by when they are to tell which streams have joined
lw:open:{severity}                sorted set: undecided incidents by the millisecond they were raised
lw:escalations:{severity}         stream, one field `event`; consumer group `moderators`
lw:decisions, lw:operations       streams, one field `event`
"""

from typing import Final

from config.facts import ListedHash, Severity
from worker import rediskeys

DECISIONS: Final = rediskeys.DECISIONS.name
FLOODS_DUE: Final = rediskeys.FLOODS_DUE.name
GROUP: Final = "moderators"
"""The consumer group of the desk and of `livewarden queue` alike."""


def incidents_key(owner: str) -> str:
    """State of all rules on one stream, or of what `groups_owner` names."""
    return rediskeys.INCIDENTS.of(owner)


def windows_key(stream_id: str) -> str:
    """What the rules that are judged in order remember of a stream."""
    return rediskeys.WINDOWS.of(stream_id)


def groups_owner(purpose: str) -> str:
    """Whose incidents the groups of streams are. No stream's ID has a space in it."""
    return f"flood {purpose}"


def named_key(incident_id: str) -> str:
    """The streams of a group's incident."""
    return rediskeys.INCIDENT_STREAMS.of(incident_id)


def flood_key(purpose: str, listed: ListedHash) -> str:
    """The streams on which a hash matched lately."""
    return rediskeys.FLOOD.of(purpose, f"{listed.list}/{listed.entry}")


def incident_key(incident_id: str) -> str:
    """One incident."""
    return rediskeys.INCIDENT.of(incident_id)


def entries_key(incident_id: str) -> str:
    """The entries of one incident."""
    return rediskeys.INCIDENT_ENTRIES.of(incident_id)


def open_key(severity: Severity) -> str:
    """Undecided incidents of that severity."""
    return rediskeys.OPEN.of(severity)


def escalations_key(severity: Severity) -> str:
    """The queue's stream of that severity."""
    return rediskeys.ESCALATIONS.of(severity)


OPEN_KEYS: Final = tuple(open_key(severity) for severity in Severity)
"""The most urgent first."""
ESCALATION_KEYS: Final = tuple(escalations_key(severity) for severity in Severity)
"""The most urgent first."""
