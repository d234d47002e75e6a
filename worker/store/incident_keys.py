"""The keys of incidents, their queue and the platform's messages."""

from worker.store.key_pattern import DAY, MINUTE, OPERATORS, Key, led, mark, moderated

# Incidents and the queue
INCIDENTS = moderated(
    "lw:incidents:{stream}",
    "hash",
    "states of rules on the stream: open incident, cooldown",
    "one a rule and purpose",
    seconds=30 * DAY,
    life="after the watch, once nothing is undecided",
    of_stream=True,
)
GROUP_INCIDENTS = moderated(
    "lw:incidents:flood {purpose}",
    "hash",
    "states of hash floods: groups of streams on which one hash matches",
    "forgotten after their cooldown",
)
INCIDENT = moderated(
    "lw:incident:{incident}",
    "hash",
    "an incident: newest event, holder, event shown to the holder, judgements, decision, request to interrupt",
    "one event twice, three notes of 2,000 characters",
    seconds=400 * DAY,
    life="after the decision; an undecided canary's 30 days after its last event",
)
INCIDENT_ENTRIES = moderated(
    "lw:incident:{incident}:entries", "list", "its entries in the queue", "the newest 100, until the decision"
)
INCIDENT_STREAMS = moderated(
    "lw:incident:{incident}:streams",
    "zset",
    "streams of a group's incident",
    "watched streams",
    seconds=400 * DAY,
    life="after the decision",
)
CASE = moderated(
    "lw:case:{case}",
    "zset",
    "incidents of a case, by the time they were raised",
    "100 incidents",
    seconds=400 * DAY,
    life="after an incident of it was written last",
)
TIMELINE = moderated(
    "lw:timeline:{case}",
    "hash",
    "the timeline of a case: coverage, samples, scores and hits, coarser with age",
    "64 kB",
    seconds=400 * DAY,
    life="after the last segment while an incident of the case was undecided",
)
LATELY = Key(
    "lw:lately:{stream}",
    "zset",
    "the latest segments of a stream, for the timeline of a case that is yet to be raised",
    "3 minutes, 90 segments",
    seconds=10 * MINUTE,
)
INCIDENT_ENDS = Key(
    "lw:ends",
    "zset",
    "streams with open incidents, by the time when one of them may have ended",
    "streams with open incidents",
)
INCIDENT_IDS = moderated(
    "lw:ids:{beginning}",
    "set",
    "IDs of incidents with the same beginning, to complete abbreviated ones",
    "incidents on record",
    seconds=400 * DAY,
)
HELD = moderated("lw:held:{person}", "set", "incidents that a person holds", "incidents", seconds=65 * MINUTE)
FLOOD = Key(
    "lw:flood:{purpose}:{hash}",
    "zset",
    "streams on which a hash matched recently",
    "watched streams",
    seconds=10 * MINUTE,
)
FLOODS_DUE = Key("lw:floods:due", "zset", "groups with streams to publish", "groups", read_by=OPERATORS)
OPEN = moderated(
    "lw:open:{severity}", "zset", "undecided incidents by the time they were raised", "undecided incidents"
)
QUEUE_ORDER = moderated(
    "lw:queue:order",
    "zset",
    "undecided incidents by their claim on the next person: live, severity, certainty, time",
    "undecided incidents",
)
QUEUE_TURNS = moderated("lw:queue:turns", "string", "takes from the queue, by anybody", "one number")
QUEUE_ASIDE = moderated(
    "lw:queue:aside", "list", "entries of the queue that nobody can be given: where, why, when, size", "the newest 200"
)
QUEUE_ASIDE_COUNTS = moderated(
    "lw:queue:aside:counts", "hash", "entries that were kept aside, ever", "one number a reason"
)
ESCALATIONS = moderated(
    "lw:escalations:{severity}", "stream", "the queue: CloudEvents", "30 days; less once every group has acknowledged"
)
DECISIONS = Key(
    "lw:decisions",
    "stream",
    "decisions: CloudEvents",
    "30 days; less only while Redis is full",
    read_by=("platform", "worker", "desk", "operator"),
)
DECISIONS_NOTED = Key("lw:decisions:noted", "string", "the last decision noted for its streams' risk", "an entry's ID")
STREAM_EVENTS = Key(
    "lw:streams:events",
    "stream",
    "events about streams, for their platform: CloudEvents",
    "30 days, 20,000 events",
    read_by=("platform", "worker", "operator"),
)
OPERATIONS = led(
    "lw:operations",
    "stream",
    "events for operators: CloudEvents",
    "30 days, 50,000 events; less once every group has acknowledged",
)
TOLD = mark("lw:told:{event}", "an event is not published again", seconds=30 * DAY)
DAMAGED = Key(
    "lw:damaged:{key}", "any", "foreign data that was found under one of these keys", "as it was", seconds=7 * DAY
)
AGE_CLOCK = Key("lw:clock", "hash", "the time by which old data is deleted", "three numbers")
TRIMMED = Key("lw:trimmed", "hash", "entry up to which acknowledged ones were deleted, by stream", "one a stream")

# Intake: messages from platforms
INTAKE_CLAIM = Key(
    "lw:intake:claim",
    "hash",
    "lease of the current batch: batch, token, until_ms, taken_ms, claims, tries, total",
    "one",
)
INTAKE_TAKEN = Key("lw:intake:taken", "list", "the current batch: messages as they were sent", "100 messages of 64 kB")
INTAKE_REST = mark("lw:intake:rest", "all readers rest", seconds=MINUTE)
INTAKE_COUNTS = Key("lw:intake:counts", "hash", "messages read and refused, ever", "one number a reason")
INTAKE_REFUSED = Key("lw:intake:refused", "list", "refused messages, without URL and metadata", "the newest 1,000")
INTAKE_NEWEST = Key("lw:intake:newest", "hash", "the newest refused message, by reason", "one a reason")
INTAKE_UNPUBLISHED = Key(
    "lw:intake:unpublished", "hash", "messages refused since the last event", "one number a reason"
)
INTAKE_PUBLISHED = mark("lw:intake:published:{reason}", "no further event is published", seconds=MINUTE)
