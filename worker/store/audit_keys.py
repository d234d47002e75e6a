"""The keys of the audit log."""

from worker.store.key_pattern import MINUTE, Key, lease, led, mark

AUDIT_UNLINKED = led(
    "lw:audit:unlinked", "stream", "entries of the audit log that are not linked yet", "acts of some seconds"
)
AUDIT = led(
    "lw:audit",
    "stream",
    "the audit log: entries linked by their hashes",
    "the newest 1,000, and those that are not copied into the store",
)
AUDIT_HEAD = led("lw:audit:head", "hash", "the newest linked entry, and the newest one in the store", "one")
AUDIT_SEARCHED = Key(
    "lw:audit:searched", "string", "the last entry that was searched for altered pictures", "an entry's ID"
)
AUDIT_CHAINER = lease("lw:audit:chainer", "linking entries of the audit log")
AUDIT_COPIER = lease("lw:audit:copier", "copying the audit log into the store")
AUDIT_REST = mark("lw:audit:rest", "copying the audit log into the store waits after a failure", seconds=MINUTE)
