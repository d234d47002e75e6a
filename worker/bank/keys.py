"""Names in Redis of the hash bank; their content and lifetime are in `worker.store.redis_keys`.

lw:bank:changes      `change` -> JSON (`models.bank.delta.BankChange`), `by` -> its author
lw:bank:snapshot     name, watermark, previous (watermark of the snapshot before), at_ms: the snapshot in force;
                     changes: their number since; edition: number of snapshots with content that no change brought;
                     stored, digest: name and manifest's SHA-256 of the snapshot in the store;
                     adopted: taken from the folder since Redis named none; until `redis_epoch` notes it
lw:bank:quarantine   list/entry -> JSON {until_ms, by, reason}
lw:bank:history      `act` -> JSON (`worker.bank.history.Act`); not trimmed with the changes

Changes hold hashes, like the lists do: treat Redis's disk as you treat the lists.
"""

from typing import Final

from worker.store import redis_keys

BANK_ID: Final = redis_keys.BANK_ID.name
CHANGES: Final = redis_keys.BANK_CHANGES.name
SNAPSHOT: Final = redis_keys.BANK_SNAPSHOT.name
WRITER: Final = redis_keys.BANK_WRITER.name
REFRESHED: Final = redis_keys.BANK_REFRESHED.name
HISTORY: Final = redis_keys.BANK_HISTORY.name
FOLLOWERS: Final = redis_keys.BANK_FOLLOWERS.name
PROPOSED: Final = redis_keys.BANK_PROPOSED.name
FILES: Final = redis_keys.LOOKBACK_FILES.name
"""Lists of LIVEWARDEN_LISTS_DIR, by the time at which a worker last saw them."""
FILES_RECORDED: Final = redis_keys.BANK_FILES_RECORDED.name
"""Versions of those lists that the audit log has as in force, by the time at which a worker last saw them."""
QUARANTINE: Final = redis_keys.BANK_QUARANTINE.name
