"""Retention by real workers: they purge what is over, and end erasures that nobody waits for."""

from pathlib import Path

from evidence_items import Pair, recipients_file
from hls_origin import eventually
from kept_evidence import LEAD, KeptEvidence, keys_with
from live_stack import celery
from scene import Scene

from config.policy.retention import Retention
from worker.retention.forget import begin_erasure

POLICY = """
version: 1
retention: {harmless_hours: 0.0000001}
rules: [{name: known, when: 'matched("known")', severity: critical}]
"""


def test_workers_purge_and_erase(scene: Scene, redis_url: str, environment: dict[str, str], tmp_path: Path) -> None:
    """Evidence would be kept for good, and an erasure wait for the terminal that began it."""
    kept = KeptEvidence(scene=scene, folder=tmp_path / "deployment")
    (tmp_path / "rules.yaml").write_text(POLICY)
    variables = environment | {
        "LIVEWARDEN_POLICY_FILE": str(tmp_path / "rules.yaml"),
        "LIVEWARDEN_STORE_URL": str(kept.folder / "store"),
        "LIVEWARDEN_SPOOL_DIR": str(kept.folder / "spool"),
        "LIVEWARDEN_EVIDENCE_RECIPIENTS": str(recipients_file(tmp_path / "recipients", [Pair()])),
    }
    over = kept.incident("cam-1", outcome="harmless", pictures=1, waiting=1)
    stays = kept.incident("cam-2", outcome="csea_apparent", pictures=1, waiting=1)
    kept.incident("cam-to-forget", outcome="adult_tos")
    # As an older version left it: nobody has put it into the set of checks.
    kept.redis.zrem("lw:evidence:due", over)
    begin_erasure(kept.redis, "cam-to-forget", LEAD, retention=Retention())
    with celery("worker", variables, tmp_path, "--concurrency=1") as worker:
        eventually(lambda: not kept.refs(over), within_seconds=90, what=worker.text)
        eventually(lambda: not kept.redis.exists("lw:forgetting"), within_seconds=90, what=worker.text)
        # What stays is carried into the store meanwhile.
        stored = kept.folder / "store" / "evidence" / stays
        eventually(lambda: len(list(stored.glob("*.age"))) == 2, within_seconds=60, what=worker.text)
    assert not [path for path in kept.files() if over in path]
    assert len(kept.refs(stays)) == 2
    # Nobody has acknowledged the closing event: it waits for its readers.
    assert keys_with(redis_url, "cam-to-forget") <= {"lw:audit", "lw:audit:unlinked", "lw:escalations:critical"}
