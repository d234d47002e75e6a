"""The keys of the hash bank, look-back and the verdict log."""

from worker.store.key_pattern import MINUTE, Key, lease, led, mark

# The hash bank
BANK_ID = led("lw:bank:id", "string", "identifies the bank in a shared folder", "one")
BANK_CHANGES = led(
    "lw:bank:changes", "stream", "hashes added and withdrawn since the snapshot", "until the next snapshot but one"
)
BANK_SNAPSHOT = led("lw:bank:snapshot", "hash", "the active snapshot", "one")
BANK_WRITER = lease("lw:bank:writer", "writing a snapshot")
BANK_RESTORER = lease("lw:bank:restorer", "restoring the bank")
BANK_REFRESHED = led("lw:bank:refreshed", "hash", "when each list's source was last read", "one a list")
BANK_FOLLOWERS = Key("lw:bank:followers", "hash", "how far each process follows", "processes of the last hour")
BANK_PROPOSED = led("lw:bank:proposed", "hash", "pictures proposed for `confirmed`", "7 days each")
BANK_QUARANTINE = led("lw:bank:quarantine", "hash", "hashes whose matches raise no incident", "72 hours each")
BANK_HISTORY = Key("lw:bank:history", "stream", "acts of people on the bank, without hashes", "the newest 100,000 acts")
BANK_FILES_RECORDED = Key(
    "lw:bank:files-recorded",
    "zset",
    "versions of lists of files that the audit log has as in force",
    "lists of files; 10 minutes after a worker last saw them",
)

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
