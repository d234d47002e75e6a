"""Redis keys of incidents and the queue; `worker.store.redis_keys` has their contents and lives.

lw:incidents:{stream}        version (counts changes), rule:{purpose}:{rule} -> JSON state of that rule
lw:incidents:flood {purpose} likewise, rule:{group} -> the groups of streams that one hash made
lw:windows:{stream}          watch generation and epoch -> state of the rules that are evaluated in order
lw:incident:{id}:entries     "stream-key entry-id" of each of its entries in the queue
"""

from typing import Final

from config.facts import ListedHash, Severity
from worker.store import redis_keys

DECISIONS: Final = redis_keys.DECISIONS.name
FLOODS_DUE: Final = redis_keys.FLOODS_DUE.name
GROUP: Final = "moderators"
"""The consumer group of the desk and of `livewarden queue` alike."""

ALIKE: Final = 4
"""Characters of an incident's id by which those that begin alike are kept together: 1 of 65,536 of all that are kept
(`note_id` in worker/store/lua/common.lua)."""


def incidents_key(owner: str) -> str:
    """State of all rules on one stream, or of the groups that `groups_owner` names."""
    return redis_keys.INCIDENTS.of(owner)


def windows_key(stream_id: str) -> str:
    """State of a stream's rules that are evaluated in order."""
    return redis_keys.WINDOWS.of(stream_id)


def groups_owner(purpose: str) -> str:
    """Owner of the incidents of groups of streams. No stream's ID has a space in it."""
    return f"flood {purpose}"


def named_key(incident_id: str) -> str:
    """The streams of a group's incident."""
    return redis_keys.INCIDENT_STREAMS.of(incident_id)


def flood_key(purpose: str, listed: ListedHash) -> str:
    """The streams on which a hash matched lately."""
    return redis_keys.FLOOD.of(purpose, f"{listed.list}/{listed.entry}")


def incident_key(incident_id: str) -> str:
    """One incident."""
    return redis_keys.INCIDENT.of(incident_id)


def entries_key(incident_id: str) -> str:
    """The entries of one incident."""
    return redis_keys.INCIDENT_ENTRIES.of(incident_id)


def ids_key(beginning: str) -> str:
    """Ids of incidents that have the same first `ALIKE` characters."""
    return redis_keys.INCIDENT_IDS.of(beginning[:ALIKE])


def held_key(name: str) -> str:
    """Incidents that a person holds."""
    return redis_keys.HELD.of(name)


def open_key(severity: Severity) -> str:
    """Undecided incidents of that severity."""
    return redis_keys.OPEN.of(severity)


def escalations_key(severity: Severity) -> str:
    """The queue's stream of that severity."""
    return redis_keys.ESCALATIONS.of(severity)


OPEN_KEYS: Final = tuple(open_key(severity) for severity in Severity)
"""The most urgent first."""
ESCALATION_KEYS: Final = tuple(escalations_key(severity) for severity in Severity)
"""The most urgent first."""
