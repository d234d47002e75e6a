"""An act that cannot be recorded does not happen: scripts append to the audit log before they write."""

import re
from importlib.resources import files
from pathlib import Path

import pytest
from kept_evidence import MODERATOR, KeptEvidence
from scene import Scene

from worker.errors import StoreError
from worker.retention.holds import hold, holds_on

WRITES = re.compile(r"redis\.p?call\('(SET|HSET|HDEL|DEL|ZADD|ZREM|SADD|SREM|RPUSH|XADD|XDEL|EXPIRE)'")
RECORDED = re.compile(r"^ *(audit|note_acts)\(")
LUA = {
    path.name: path.read_text(encoding="utf-8").splitlines()
    for path in files("worker.store").joinpath("lua").iterdir()
    if path.name.endswith(".lua")
}
RECORDING = sorted(name for name, lines in LUA.items() if any(map(RECORDED.match, lines)))


@pytest.mark.parametrize("name", RECORDING)
def test_scripts_append_before_they_write(name: str) -> None:
    """A log that is damaged or refused would leave acts done, reported as failed, and on no record."""
    before = []
    for line in LUA[name]:
        if RECORDED.match(line):
            break
        before.append(line)
    assert not [line for line in before if WRITES.search(line)]


def test_a_hold_that_cannot_be_recorded_is_not_placed(scene: Scene, tmp_path: Path) -> None:
    """A court's order would stand on no record, and the person be told that it failed."""
    kept = KeptEvidence(scene=scene, folder=tmp_path)
    incident = kept.incident()
    kept.redis.delete("lw:audit:unlinked")
    kept.redis.set("lw:audit:unlinked", "foreign")
    with pytest.raises(StoreError):
        hold(kept.redis, incident, MODERATOR, reason="court")
    assert holds_on(kept.redis, incident) == []
