"""All key patterns in Redis: content, bound, life (TTL) and readers, gathered from the tables beside this module.

docs/redis-keys.md is generated from them (`python -m tools.redis_keys`), Lua uses their names (`KEY.STREAM` in
worker/store/lua stands for the prefix), and `worker.runtime.key_retention` sets missing lives.
"""

from typing import Final

from worker.store.audit_keys import *
from worker.store.bank_keys import *
from worker.store.deployment_keys import *
from worker.store.evidence_keys import *
from worker.store.incident_keys import *
from worker.store.key_pattern import Key
from worker.store.people_keys import *
from worker.store.retention_keys import *
from worker.store.stream_keys import *

KEYS: Final = {name: value for name, value in list(globals().items()) if isinstance(value, Key)}
"""All patterns, by the name that scripts use."""


def key_of(name: str) -> Key | None:
    """The pattern of a key in Redis, the one with the fewest free parts; None: the key is foreign."""
    return min(
        (key for key in KEYS.values() if key.matches(name)),
        key=lambda key: (key.pattern.count("{"), -len(key.prefix)),
        default=None,
    )
