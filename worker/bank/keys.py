"""Names in Redis of the hash bank; what each holds, and for how long, is in `worker.rediskeys`.

lw:bank:changes      `change` -> JSON (`models.bank.delta.Change`), `by` -> who made it
lw:bank:snapshot     name, watermark, previous (watermark of the snapshot before), at_ms: what is in force;
                     changes: how many there are since; edition: how many snapshots brought what no change tells;
                     stored, digest: name and manifest's SHA-256 of the snapshot that is in the store;
                     adopted: taken from the folder, for Redis named none; until `worker.epoch` has noted it
lw:bank:quarantine   list/entry -> JSON {until_ms, by, reason}
lw:bank:history      `act` -> JSON (`worker.bank.history.Act`); not trimmed with the changes

Changes hold hashes, like the lists do: treat Redis's disk as you treat the lists.
"""

from typing import Final

from worker import rediskeys

BANK_ID: Final = rediskeys.BANK_ID.name
CHANGES: Final = rediskeys.BANK_CHANGES.name
SNAPSHOT: Final = rediskeys.BANK_SNAPSHOT.name
WRITER: Final = rediskeys.BANK_WRITER.name
REFRESHED: Final = rediskeys.BANK_REFRESHED.name
HISTORY: Final = rediskeys.BANK_HISTORY.name
FOLLOWERS: Final = rediskeys.BANK_FOLLOWERS.name
PROPOSED: Final = rediskeys.BANK_PROPOSED.name
FILES: Final = rediskeys.LOOKBACK_FILES.name
"""Lists of LIVEWARDEN_LISTS_DIR, by when a worker saw them last."""
QUARANTINE: Final = rediskeys.BANK_QUARANTINE.name
