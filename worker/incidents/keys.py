"""Redis keys of incidents and the queue; `worker.store.redis_keys` has their contents and lives.

lw:incidents:{stream}        version (counts changes), rule:{purpose}:{rule} -> JSON state of that rule
lw:incidents:flood {purpose} likewise, rule:{group} -> the groups of streams that one hash made
lw:windows:{stream}          watch generation and epoch -> state of the rules that are evaluated in order
lw:incidents:{stream} also   case:{purpose} -> JSON of the newest case
lw:incident:{id}:entries     "stream-key entry-id" of each of its entries in the queue
"""

from typing import Final

from config.facts import ListedHash, Severity
from worker.store import redis_keys

DECISIONS: Final = redis_keys.DECISIONS.name
ENDS: Final = redis_keys.INCIDENT_ENDS.name
"""Streams with open incidents, by the time when one of them may have ended."""
FLOODS_DUE: Final = redis_keys.FLOODS_DUE.name
GROUP: Final = "moderators"
"""The consumer group of the desk and of `livewarden queue` alike."""

ALIKE: Final = 4
"""Characters of an incident's id by which those that begin alike are kept together: 1 of 65,536 of all that are kept
(`note_id` in worker/store/lua/shared/incidents.lua)."""


incidents_key: Final = redis_keys.INCIDENTS.of
"""Key of the incidents of a stream, or of the groups that `groups_owner` names."""
windows_key: Final = redis_keys.WINDOWS.of
named_key: Final = redis_keys.INCIDENT_STREAMS.of
incident_key: Final = redis_keys.INCIDENT.of
entries_key: Final = redis_keys.INCIDENT_ENTRIES.of
case_key: Final = redis_keys.CASE.of
"""Key of the incidents of a case."""
evidence_key: Final = redis_keys.EVIDENCE.of
candidates_key: Final = redis_keys.CANDIDATES.of
context_key: Final = redis_keys.CONTEXT.of
"""Key of the incidents of a stream that get context pictures."""
held_key: Final = redis_keys.HELD.of
open_key: Final = redis_keys.OPEN.of
escalations_key: Final = redis_keys.ESCALATIONS.of


def groups_owner(purpose: str) -> str:
    """Owner of the incidents of groups of streams. No stream's ID has a space in it."""
    return f"flood {purpose}"


def flood_key(purpose: str, listed: ListedHash) -> str:
    """The streams on which a hash matched lately."""
    return redis_keys.FLOOD.of(purpose, f"{listed.list}/{listed.entry}")


def ids_key(beginning: str) -> str:
    """Ids of incidents that have the same first `ALIKE` characters."""
    return redis_keys.INCIDENT_IDS.of(beginning[:ALIKE])


OPEN_KEYS: Final = tuple(open_key(severity) for severity in Severity)
"""The most urgent first."""
ESCALATION_KEYS: Final = tuple(escalations_key(severity) for severity in Severity)
"""The most urgent first."""
