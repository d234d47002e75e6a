"""Names in Redis of the hash bank.

lw:bank:id           names this bank, where several share a machine's folder of snapshots
lw:bank:changes      stream: `change` -> JSON (`models.bank.delta.Change`), `by` -> who made it; what the snapshot lacks
lw:bank:snapshot     hash: name, watermark, previous (watermark of the snapshot before), at_ms: what is in force;
                     changes: how many there are since; edition: how many snapshots brought what no change tells;
                     stored, digest: name and manifest's SHA-256 of the snapshot that is in the store;
                     adopted: taken from the folder, for Redis named none; until `worker.epoch` has noted it
lw:bank:writer       lease of whoever writes a snapshot
lw:bank:restorer     lease of whoever makes the bank whole again after Redis lost its state
lw:bank:refreshed    hash: list -> when its source was last read, in ms
lw:bank:followers    hash: process -> JSON: up to which change it follows
lw:bank:proposed     hash: entry -> JSON: what one person put forward for `confirmed`, until a second one confirms
lw:bank:quarantine   hash: list/entry -> JSON {until_ms, by, reason}: hashes that raise nothing for a while
lw:bank:history      stream: `act` -> JSON (`worker.bank.history.Act`): who did what; not trimmed with the changes
lw:told:ID           mark: operators were told of this, on lw:operations

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
QUARANTINE: Final = rediskeys.BANK_QUARANTINE.name
