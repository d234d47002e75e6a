"""The keys of evidence."""

from worker.store.key_pattern import MINUTE, OPERATORS, Key, moderated

CANDIDATES = Key(
    "lw:candidates:{stream}",
    "hash",
    "sealed pictures of the stream that wait for an incident, by reference: digests, rule, score; no pixels",
    "pictures on which a rule held in 10 minutes",
    seconds=10 * MINUTE,
    read_by=OPERATORS,
)
CONTEXT = Key(
    "lw:context:{stream}",
    "hash",
    "incidents of the stream that get context pictures: capture time and rule; their slots that have one",
    "13 a rule",
    seconds=10 * MINUTE,
    read_by=OPERATORS,
)
EVIDENCE = moderated(
    "lw:evidence:{incident}",
    "hash",
    "sealed pictures of an incident, by reference: digests, rule, score; no pixels",
    "12 hits and 13 context pictures, until they are purged",
)
EVIDENCE_ITEM = moderated(
    "lw:evidence:item:{ref}",
    "string",
    "the incident that a sealed picture belongs to, and `stored` once the store has it",
    "sealed pictures, until they are purged",
)
EVIDENCE_WAITING = moderated(
    "lw:evidence:waiting", "zset", "pictures of incidents that the store does not have, by time", "pictures"
)
EVIDENCE_UNWANTED = moderated(
    "lw:evidence:unwanted", "hash", "evicted pictures that must leave the store: incident, by reference", "pictures"
)
EVIDENCE_SWEPT = moderated(
    "lw:evidence:swept", "string", "exists while candidates in the store need no search", "one", seconds=MINUTE
)
EVIDENCE_ROTATION = moderated(
    "lw:evidence:rotation", "string", "lease for sealing evidence to other recipients", "one", seconds=MINUTE
)
