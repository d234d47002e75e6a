"""All key patterns in Redis: content, bound, life (TTL) and readers of each.

docs/redis-keys.md is generated from this table (`python -m tools.redis_keys`), Lua uses its names (`KEY.STREAM` in
worker/store/lua stands for the prefix), and `worker.runtime.key_retention` sets missing lives.
"""

from typing import Final

from worker.store.key_pattern import DAY, HOUR, MINUTE, OPERATORS, WORKERS, Key, lease, mark, moderated

# Streams: the registry, polls and ledgers
STREAM = Key(
    "lw:stream:{stream}",
    "hash",
    "the registry's record: URL, state, cursor, metadata",
    "16 kB of metadata",
    seconds=7 * DAY,
    life="after the watch; 10 minutes if nothing was ever read",
    of_stream=True,
)
STREAMS = Key("lw:streams", "zset", "all streams on record, by registration time", "one for each record")
GENERATIONS = Key("lw:generations", "string", "the newest watch generation", "a number")
DUE = Key("lw:due", "zset", "streams by their next poll", "`LIVEWARDEN_MAX_STREAMS`")
DUE_SLOW = Key("lw:due.slow", "zset", "the same, of streams with slow playlists", "`LIVEWARDEN_MAX_STREAMS`")
DUE_NEW = Key("lw:due.new", "zset", "the same, of new streams, never read", "`LIVEWARDEN_MAX_STREAMS`")
SIGNALS = Key(
    "lw:signals:{stream}",
    "hash",
    "signals reported by the platform",
    "64 signals",
    seconds=7 * DAY,
    life="after the last signal",
)
COVERAGE = Key(
    "lw:coverage:{stream}",
    "hash",
    "the ledger, in milliseconds",
    "Livewarden's reasons",
    seconds=7 * DAY,
    life="after the watch",
    of_stream=True,
)
STREAMS_OWING = Key(
    "lw:streams:owing", "set", "streams whose ledger lacks the time missed at their end", "added every 2 s"
)
STREAMS_MISSING = Key("lw:streams:missing", "zset", "streams that cannot be read or do not go on", "watched streams")
STREAMS_BLIND = Key("lw:streams:blind", "zset", "streams whose segments fail", "watched streams")
ORIGIN_GAPS = Key(
    "lw:missing:told", "hash", "published state of each origin's gap", "origins, until an hour after they recover"
)
GAPS_COUNTED = Key("lw:coverage-gaps:counted", "string", "exists after coverage gaps were counted", "one", seconds=15)
DAY_TOTALS = Key(
    "lw:day:{day}",
    "hash",
    "totals of a day, in days since 1970 (UTC): `livewarden statistics`",
    "4,000 fields",
    seconds=400 * DAY,
    life="after its first entry",
)
TICK = Key("lw:tick", "string", "time of the last tick", "a number")
RECONCILED = Key("lw:reconciled", "string", "time when overdue segments were last sent again", "a number")
POLL_BATCH = Key("lw:polls:{batch}", "string", "streams that a batch of polls has taken", "50 streams", seconds=MINUTE)
POLL_PLACES = Key("lw:polls:places", "string", "streams that a running batch will take", "a number", seconds=MINUTE)
VALIDATORS = Key(
    "lw:validators:{stream}",
    "hash",
    "ETag, Last-Modified and length of listed segments",
    "listed segments",
    seconds=15 * MINUTE,
    life="after its last segment",
)
SLOW = Key(
    "lw:slow:{part}:{stream}",
    "hash",
    "mark of a stream whose playlist or segments are slow",
    "one",
    seconds=15 * MINUTE,
)

# Pending segments
PENDING = Key(
    "lw:pending:{stream}",
    "hash",
    "segments that are admitted and not settled, with their URLs",
    "64 segments and the finds of look-back",
)
OVERDUE = Key("lw:overdue", "zset", "pending segments by deadline", "pending segments")
TRIES = Key(
    "lw:tries:{stream} {segment}", "hash", "tries of a segment, and its published hits", "one a segment", seconds=HOUR
)
TRIAL = Key(
    "lw:trial:{stream}", "string", "the segment whose fetch shows whether the origin is quick", "one", seconds=MINUTE
)
QUICK = mark("lw:quick:{stream}", "the origin is known to be quick", seconds=10 * MINUTE)
PARKED = Key("lw:parked:{stream}", "zset", "segments that wait for the trial's end", "pending segments", seconds=HOUR)
LANE_ORDER = Key("lw:lane:order:{lane}", "zset", "streams by start tag (fair queuing)", "watched streams")
LANE_CLOCK = Key("lw:lane:clock:{lane}", "string", "virtual time of the lane", "a number")
LANE_WAITING = Key(
    "lw:lane:waiting:{lane}:{stream}", "zset", "waiting segments of the stream", "pending segments", seconds=HOUR
)
LANE_HELD = Key(
    "lw:lane:held:{lane}:{stream}", "hash", "last time held and start tag", "two numbers", seconds=15 * MINUTE
)
GATE = Key(
    "lw:gate:{stream}",
    "hash",
    "PDQ bits and 16 block means of the picture last classified",
    "one an epoch",
    seconds=5 * MINUTE,
)
WINDOWS = Key(
    "lw:windows:{stream}", "hash", "state of rules that count in windows", "one series a generation", seconds=HOUR
)

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
    "an incident: newest event, holder, event shown to the holder, decision",
    "one event twice, a note of 2,000 characters",
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
INCIDENT_IDS = moderated(
    "lw:ids:{beginning}",
    "set",
    "IDs of incidents with the same beginning, to complete abbreviated ones",
    "incidents on record",
    seconds=400 * DAY,
)
HELD = moderated("lw:held:{person}", "set", "incidents that a person holds", "incidents", seconds=10 * MINUTE)
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
ESCALATIONS = moderated(
    "lw:escalations:{severity}", "stream", "the queue: CloudEvents", "30 days; less once every group has acknowledged"
)
DECISIONS = Key(
    "lw:decisions",
    "stream",
    "decisions: CloudEvents",
    "30 days; less only while Redis is full",
    read_by=("platform", "worker", "operator"),
)
STREAM_EVENTS = Key(
    "lw:streams:events",
    "stream",
    "events about streams, for their platform: CloudEvents",
    "30 days, 20,000 events",
    read_by=("platform", "worker", "operator"),
)
OPERATIONS = Key(
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

# The hash bank
BANK_ID = Key("lw:bank:id", "string", "identifies the bank in a shared folder", "one")
BANK_CHANGES = Key(
    "lw:bank:changes", "stream", "hashes added and withdrawn since the snapshot", "until the next snapshot but one"
)
BANK_SNAPSHOT = Key("lw:bank:snapshot", "hash", "the active snapshot", "one")
BANK_WRITER = lease("lw:bank:writer", "writing a snapshot")
BANK_RESTORER = lease("lw:bank:restorer", "restoring the bank")
BANK_REFRESHED = Key("lw:bank:refreshed", "hash", "when each list's source was last read", "one a list")
BANK_FOLLOWERS = Key("lw:bank:followers", "hash", "how far each process follows", "processes of the last hour")
BANK_PROPOSED = Key("lw:bank:proposed", "hash", "pictures proposed for `confirmed`", "7 days each")
BANK_QUARANTINE = Key("lw:bank:quarantine", "hash", "hashes whose matches raise no incident", "72 hours each")
BANK_HISTORY = Key("lw:bank:history", "stream", "acts of people on the bank, without hashes", "the newest 100,000 acts")

# Look-back
LOOKBACK_POSITION = Key("lw:lookback:position", "string", "the last change of the bank that was processed", "one")
LOOKBACK_WAITING = Key("lw:lookback:waiting", "list", "hashes that wait for a look-back", "hashes added one by one")
LOOKBACK_UNCHECKED = Key(
    "lw:lookback:unchecked", "zset", "late files of the log that must be compared", "files of a few minutes"
)
LOOKBACK_JUDGED = Key("lw:lookback:judged", "hash", "lists with which those were compared", "as above")
LOOKBACK_FILES = Key(
    "lw:lookback:files", "zset", "lists from files that look-back has covered", "`LIVEWARDEN_VERDICT_LOG_HOURS`"
)
LOOKBACK_JOBS = Key("lw:lookback:jobs", "hash", "running look-backs", "until they are done")
LOOKBACK_SOUGHT = Key(
    "lw:lookback:sought:{job}", "list", "hashes that a look-back searches for", "5,000 hashes, until it is done"
)
LOOKBACK_FOUND = Key("lw:lookback:found", "hash", "finds that are not raised yet", "until it is raised")
LOOKBACK_TOLD = Key("lw:lookback:told", "zset", "hits that were found", "`LIVEWARDEN_VERDICT_LOG_HOURS` and an hour")
LOOKBACK_LEASE = lease("lw:lookback:lease", "look-back")
LOOKBACK_REST = mark("lw:lookback:rest", "a failed look-back waits", seconds=MINUTE)
LOOKBACK_BULK_LEASE = Key("lw:lookback:bulk-lease", "string", "the same, for complete lists", "one", seconds=MINUTE)
LOOKBACK_BULK_REST = mark("lw:lookback:bulk-rest", "a failed one of these waits", seconds=MINUTE)

# The verdict log
LOG_LEASE = lease("lw:verdictlog:lease", "merging and purging the log")
LOG_KEPT = Key("lw:verdictlog:kept", "string", "time of the last run", "a number")
LOG_DAMAGED = Key(
    "lw:verdictlog:damaged",
    "hash",
    "files of the log that cannot be read, and why",
    "1,000 files, until they are purged or can be read",
)
OUTCOMES_POSITION = Key(
    "lw:outcomes:position", "hash", "entry up to which events were copied into the log", "one a stream"
)
OUTCOMES_LOGGED = Key("lw:outcomes:logged", "hash", "entry up to which events were logged", "one a stream")
OUTCOMES_RECORDED = Key("lw:outcomes:recorded", "string", "time of the last run", "a number")
OUTCOMES_LEASE = lease("lw:outcomes:lease", "copying events")

# The deployment
EPOCH = Key("lw:epoch", "hash", "epoch by which a loss of Redis's state is detected", "one", read_by=OPERATORS)
SEED = Key("lw:seed", "string", "secret for drawing the times of samples", "one", read_by=WORKERS)
SWEPT = Key("lw:swept", "string", "position of the search for keys without a life", "a number", read_by=WORKERS)
POLICIES = Key("lw:policies", "hash", "active policy of each process", "live processes")
POLICIES_UNMET = Key(
    "lw:policies:unmet:{version}",
    "set",
    "names that rules of a policy use and nothing provides, as published",
    "250 rules' names",
    seconds=30 * DAY,
)
POLICIES_REFUSING = Key("lw:policies:refusing", "hash", "policy file that each worker refuses", "live workers")
STUCK = mark("lw:stuck:{model}", "a model is skipped", seconds=5 * MINUTE)
REDIS_ROOM = Key("lw:redis:room", "hash", "published state of Redis's memory", "three fields")
PRESENT = Key("lw:present:{role}s", "zset", "processes by their newest sign of life", "processes of the last hour")
PRESENT_SIGN = Key("lw:present:{role}:{process}", "string", "a process's sign of life", "one", seconds=MINUTE)
ONCE = moderated("lw:once:{call}", "string", "the answer of a call that may be sent again", "one", seconds=2 * MINUTE)
DOCTOR_PROBE = Key("lw:doctor:{probe}", "string", "whether `doctor` can write", "one", seconds=MINUTE)

KEYS: Final = {name: value for name, value in list(globals().items()) if isinstance(value, Key)}
"""All patterns, by the name that scripts use."""


def key_of(name: str) -> Key | None:
    """The pattern of a key in Redis, the one with the fewest free parts; None: the key is foreign."""
    return min(
        (key for key in KEYS.values() if key.matches(name)),
        key=lambda key: (key.pattern.count("{"), -len(key.prefix)),
        default=None,
    )
