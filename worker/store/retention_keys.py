"""The keys of retention, legal holds, reports to authorities, erasure, and pictures that a person asks for."""

from worker.store.key_pattern import DAY, MINUTE, Key, lease, led, moderated

EVIDENCE_HOLD = moderated(
    "lw:evidence:hold:{incident}", "hash", "legal holds on an incident: by whom, when, why", "20, until released"
)
REPORTS = moderated(
    "lw:reports:{case}",
    "hash",
    "reports of a case to authorities: authority, reference, by whom, when",
    "50 reports",
    seconds=20 * 366 * DAY,
    life="after the last report: the policy's `reference_days`",
)
PACKAGE_AGREEMENTS = led(
    "lw:package:{case}",
    "hash",
    "agreements that a case is packaged for a recipient: by whom, when, to what",
    "20 people",
    seconds=DAY,
)
EVIDENCE_DUE = moderated(
    "lw:evidence:due", "zset", "incidents with evidence, by the time of their next check", "incidents with evidence"
)
EVIDENCE_UNREPORTED = moderated(
    "lw:evidence:unreported",
    "zset",
    "incidents that may have to be reported and were not, by decision",
    "such incidents",
)
EVIDENCE_PURGING = moderated(
    "lw:purging", "hash", "pictures that are being deleted, by incident", "incidents, until it is done"
)
PURGE_STATE = Key("lw:purge", "hash", "the last run of the purge, and what the store refused", "six fields")
PURGE_LEASE = lease("lw:purge:lease", "purging evidence, and erasing streams")
FORGETTING = moderated(
    "lw:forgetting", "hash", "streams whose data is being erased: by whom, how far", "streams, until it is done"
)
LOOK = moderated(
    "lw:look:{look}", "hash", "a picture that a person asked for: incident, state", "one", seconds=10 * MINUTE
)
LOOKS = moderated("lw:looks", "list", "pictures that people asked for and no worker has taken", "50")
LOOKS_SENT = Key("lw:looks:sent", "list", "those that a worker has taken, until they have ended", "looks of 20 s")
LOOKING = moderated("lw:looking:{stream}", "string", "the look at the stream that is under way", "one", seconds=MINUTE)
