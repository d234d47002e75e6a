"""Names in Redis of the hash bank; what each holds, and for how long, is in `worker.store.redis_keys`.

lw:bank:changes      `change` -> JSON (`models.bank.delta.Change`), `by` -> who made it
lw:bank:snapshot     name, watermark, previous (watermark of the snapshot before), at_ms: what is in force;
                     changes: how many there are since; edition: how many snapshots brought what no change tells;
                     stored, digest: name and manifest's SHA-256 of the snapshot that is in the store;
                     adopted: taken from the folder, as Redis named none; until `worker.health.redis_epoch` notes it
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
"""Lists of LIVEWARDEN_LISTS_DIR, by when a worker saw them last."""
QUARANTINE: Final = redis_keys.BANK_QUARANTINE.name
