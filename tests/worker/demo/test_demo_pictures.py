"""The views of the demo's picture."""

import json
from io import StringIO
from pathlib import Path

from evidence_items import Pair, identity_file, promote, sealed_item
from redis import Redis
from rich.console import Console

from worker.demo.pictures import show_picture
from worker.evidence.evidence_store import EvidenceStore
from worker.evidence.item_states import note_place
from worker.store.object_store import ObjectStore
from worker.store.redis_keys import AUDIT_UNLINKED

PAIR = Pair()
INCIDENT = "0a1b2c3d4e5f0a1b2c3d4e5f"


def test_the_demo_s_views_are_on_record_like_a_reviewer_s(redis: Redis, tmp_path: Path) -> None:
    """Who tries the audit log in the demo would find no view by its incident."""
    item, url = sealed_item(PAIR), str(tmp_path / "store")
    promote(redis, INCIDENT, item)
    EvidenceStore(lambda: ObjectStore(url)).put(INCIDENT, item.ref, item.sealed)
    note_place(redis, INCIDENT, item.ref, "stored")
    environment = {
        "LIVEWARDEN_STORE_URL": url,
        "LIVEWARDEN_SPOOL_DIR": str(tmp_path / "spool"),
        "LIVEWARDEN_EVIDENCE_IDENTITY": str(identity_file(tmp_path / "key", PAIR)),
    }
    event = {"data": {"incident_id": INCIDENT, "evidence": [{"ref": item.ref}]}}
    console = Console(file=StringIO())
    show_picture(event, redis=redis, environment=environment, console=console, draws=False)
    entries = [json.loads(fields["entry"]) for _, fields in redis.xrange(AUDIT_UNLINKED.name)]
    assert [(one["subject"], one["details"]["shown"]) for one in entries] == [
        (item.ref, "blurred"),
        (item.ref, "clear"),
    ]
    assert all((one["details"]["incident"], one["details"]["stream"]) == (INCIDENT, "stream-1") for one in entries)
