"""The keys of streams: the registry, polls, ledgers and pending segments."""

from worker.store.key_pattern import DAY, HOUR, MINUTE, Key, led, mark

# Streams: the registry, polls and ledgers
STREAM = led(
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
DUE = led("lw:due", "zset", "streams by their next poll", "`LIVEWARDEN_MAX_STREAMS`")
DUE_SLOW = led("lw:due.slow", "zset", "the same, of streams with slow playlists", "`LIVEWARDEN_MAX_STREAMS`")
DUE_NEW = led("lw:due.new", "zset", "the same, of new streams, never read", "`LIVEWARDEN_MAX_STREAMS`")
SIGNALS = led(
    "lw:signals:{stream}",
    "hash",
    "signals reported by the platform",
    "64 signals",
    seconds=7 * DAY,
    life="after the last signal",
)
DUE_DANGER = Key(
    "lw:due.danger",
    "zset",
    "reports of imminent danger that are to be raised, by time: stream, watch generation and purpose",
    "watched streams, for a second",
)
RISK = led(
    "lw:risk:{stream}",
    "hash",
    "what a stream's risk follows from beside a platform's signals: its highest scores, Livewarden's own signals, its "
    "latest decided incidents",
    "100 fields",
    seconds=90 * DAY,
)
COVERAGE = led(
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
STREAMS_MISSING = led("lw:streams:missing", "zset", "streams that cannot be read or do not go on", "watched streams")
STREAMS_BLIND = Key("lw:streams:blind", "zset", "streams whose segments fail", "watched streams")
ORIGIN_GAPS = Key(
    "lw:missing:told", "hash", "published state of each origin's gap", "origins, until an hour after they recover"
)
GAPS_COUNTED = Key("lw:coverage-gaps:counted", "string", "exists after coverage gaps were counted", "one", seconds=15)
DAY_TOTALS = led(
    "lw:day:{day}",
    "hash",
    "totals of a day, in days since 1970 (UTC): `livewarden statistics`",
    "4,000 fields",
    seconds=400 * DAY,
    life="after its first entry",
)
TICK = led("lw:tick", "string", "time of the last tick", "a number")
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
SLOW = led(
    "lw:slow:{part}:{stream}",
    "hash",
    "mark of a stream whose playlist or segments are slow",
    "one",
    seconds=15 * MINUTE,
)
RENDITION_REST = Key(
    "lw:rendition-rest:{stream}",
    "string",
    "exists while a segment is audited in another rendition, and after one that took long",
    "one",
    seconds=10 * MINUTE,
)

# Pending segments
PENDING = led(
    "lw:pending:{stream}",
    "hash",
    "segments that are admitted and not settled, with their URLs",
    "64 segments and the finds of look-back",
)
OVERDUE = led("lw:overdue", "zset", "pending segments by deadline", "pending segments")
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
    "PDQ bits and 16 keyed projections of the picture last classified",
    "one an epoch",
    seconds=5 * MINUTE,
)
PARAMETER_SETS = Key(
    "lw:parametersets:{stream}",
    "hash",
    "H.264 and HEVC parameter sets in force after a segment",
    "16 segments' at most, each of 4 kB at most",
    seconds=HOUR,
)
WINDOWS = Key(
    "lw:windows:{stream}", "hash", "state of rules that count in windows", "one series a generation", seconds=HOUR
)
