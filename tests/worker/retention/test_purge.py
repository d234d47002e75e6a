"""The purge: what is over goes everywhere and is on record, and nothing else goes."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
from forked_processes import forking
from kept_evidence import AT_ONCE, LEAD, MODERATOR, KeptEvidence, keys_with

from config.policy.retention import Retention
from worker.evidence.record import EvidenceRecord
from worker.retention.holds import hold, release
from worker.retention.purge import LEASE, _begin, is_due, purge
from worker.retention.purge_now import over_now, purge_all, unknown_to_redis
from worker.retention.reports import record_report
from worker.retention.standing import read_kept
from worker.store.lease import leased
from worker.store.redis_client import now_ms

SHIPPED = Retention()


def test_nothing_is_left_anywhere(kept: KeptEvidence, redis_url: str) -> None:
    """A picture whose term is over would lie in the store, in a spool or in Redis, for whoever takes these over."""
    over = kept.incident("cam-1", outcome="harmless", pictures=2, waiting=1)
    other = kept.incident("cam-2", outcome="csea_apparent", pictures=1, waiting=1)
    refs, others = kept.refs(over), kept.refs(other)
    kept.store.write(f"evidence/{over}/{next(iter(refs))}.age.0a1b2c3d.unfinished", b"an upload that died")
    assert is_due(kept.redis)
    assert not purge(kept.purge())

    left = kept.files()
    assert not [path for path in left if any(ref in path for ref in refs)]
    assert not [path for path in left if over in path]
    for ref in others:
        assert [path for path in left if ref in path]
    for ref in refs:
        # The audit log says what was deleted; workers of other hosts are told to delete their copies.
        assert keys_with(redis_url, ref) == {"lw:audit:unlinked", "lw:evidence:unwanted"}
    assert kept.refs(over) == set()
    assert kept.refs(other) == others
    assert not kept.redis.exists("lw:purging")
    assert kept.redis.zscore("lw:evidence:due", over) is None
    assert not is_due(kept.redis)


def test_record_says_what_was_deleted_when_and_why(kept: KeptEvidence) -> None:
    """Nobody could prove that evidence was deleted lawfully, and not to hide something."""
    incident = kept.incident(outcome="harmless", pictures=2)
    digests = {
        f"{record.ref} {record.sha256}"
        for batch in [over_now(kept.redis, AT_ONCE)]
        for purged in batch
        for record in [_record(kept, incident, ref) for ref in purged.refs]
    }
    purge(kept.purge())
    (entry,) = kept.entries("purge")
    assert (entry["by"], entry["verified"], entry["subject"]) == ("worker", True, incident)
    details = entry["details"]
    assert (details["why"], details["outcome"], details["pictures"]) == ("harmless", "harmless", 2)
    assert set(details["items"]) == digests
    assert details["stream"] == "cam-1"
    assert details["case"].startswith("case-")
    assert details["term_ended"].endswith("Z")


def _record(kept: KeptEvidence, incident: str, ref: str) -> EvidenceRecord:
    return EvidenceRecord.read(str(kept.redis.hget(f"lw:evidence:{incident}", ref)))


@pytest.mark.parametrize(
    ("outcome", "days", "goes"),
    [
        ("harmless", 0.5, False),
        ("harmless", 1.1, True),
        ("", 29, False),
        ("", 31, True),
        ("adult_tos", 31, True),
        ("other_harm", 31, False),
        ("csea_apparent", 3000, False),
        ("csea_suspected", 3000, False),
        ("child_at_risk", 3000, False),
    ],
)
def test_each_outcome_has_its_term(kept: KeptEvidence, outcome: str, days: float, goes: bool) -> None:
    """Evidence would be deleted too early, or kept longer than is lawful."""
    incident = kept.incident(outcome=outcome)
    kept.make_older(incident, days=days)
    purge(kept.purge(SHIPPED))
    assert (kept.refs(incident) == set()) is goes


def test_hold_wins_and_its_release_gives_the_term_back(kept: KeptEvidence) -> None:
    """Evidence that a court asked for would be deleted; or stay for good afterwards."""
    incident = kept.incident(outcome="harmless")
    placed = hold(kept.redis, incident, MODERATOR, reason="court 4711")
    assert placed.pictures == 2
    assert not purge(kept.purge())
    assert len(kept.refs(incident)) == 2
    assert list(over_now(kept.redis, AT_ONCE)) == []
    assert release(kept.redis, incident, LEAD, reason="court closed it") == 0
    assert is_due(kept.redis)
    purge(kept.purge())
    assert kept.refs(incident) == set()


def test_report_keeps_a_year_whatever_is_decided_later(kept: KeptEvidence) -> None:
    """What was reported would be deleted within the year that the law demands."""
    incident = kept.incident(outcome="csea_apparent")
    record_report(kept.redis, incident, LEAD, authority="NCMEC", report_id="1", retention=SHIPPED)
    kept.redis.hset(f"lw:incident:{incident}", mapping={"outcome": "harmless"})
    kept.make_older(incident, days=365)
    purge(kept.purge())
    assert len(kept.refs(incident)) == 2


def test_kept_incident_keeps_its_record(kept: KeptEvidence) -> None:
    """After 400 days nobody would know the outcome of evidence that waits for a report."""
    incident = kept.incident(outcome="csea_apparent")
    kept.redis.expire(f"lw:incident:{incident}", 3600)
    purge(kept.purge(SHIPPED))
    assert kept.redis.ttl(f"lw:incident:{incident}") > 399 * 86_400


def test_changed_incident_is_read_again(kept: KeptEvidence) -> None:
    """A hold that comes while a purge runs would come too late."""
    incident = kept.incident(outcome="harmless")
    (read,) = read_kept(kept.redis, [incident])
    hold(kept.redis, incident, MODERATOR, reason="court")
    assert not _begin(kept.redis, read, tuple(read.records))
    assert not kept.redis.exists("lw:purging")


def test_store_that_refuses_leaves_it_due(kept: KeptEvidence) -> None:
    """Evidence would stay in a store that was read-only for a day, and nobody would know."""
    incident = kept.incident(outcome="harmless", pictures=1)
    folder = kept.folder / "store" / "evidence" / incident
    if os.geteuid() == 0:
        subprocess.run(["chattr", "+i", folder], check=False, capture_output=True)
        immutable = not os.access(folder, os.W_OK) or _refuses(folder)
        if not immutable:
            pytest.skip("this file system has no immutable folders, and root may remove files from others")
    else:
        folder.chmod(0o500)
    try:
        assert not purge(kept.purge())
        assert len(kept.refs(incident)) == 1
        assert kept.entries("purge") == []
        assert kept.redis.hget("lw:purge", "incident") == incident
        assert kept.redis.zscore("lw:evidence:due", incident) > now_ms(kept.redis)
        (ref,) = kept.refs(incident)
        assert kept.redis.get(f"lw:evidence:item:{ref}") == f"{incident} stored"
    finally:
        subprocess.run(["chattr", "-i", folder], check=False, capture_output=True)
        folder.chmod(0o700)
    kept.check_now()
    purge(kept.purge())
    assert kept.refs(incident) == set()
    assert not kept.redis.hexists("lw:purge", "error")


def _refuses(folder: Path) -> bool:
    try:
        (folder / "probe").touch()
    except OSError:
        return True
    (folder / "probe").unlink()
    return False


PROGRAM = """
from pathlib import Path
from config.policy.retention import Retention
from worker.evidence.spool import Spool
from worker.retention.purge import Purge, purge
from worker.store.object_store import ObjectStore
from worker.store.redis_client import connect

def main(url, folder):
    folder = Path(folder)
    work = Purge(
        redis=connect(url), store=ObjectStore(str(folder / "store")), spool=Spool(folder / "spool", 10_000_000),
        retention=Retention(harmless_hours=1e-9), done=lambda purged: print(purged.incident_id, flush=True),
    )
    while purge(work):
        pass
"""


def test_purge_that_dies_at_any_instant_goes_on(kept: KeptEvidence, redis_url: str) -> None:
    """A worker that is killed would leave files without a record, or records without files, or hide what it did."""
    incidents = {kept.incident(f"cam-{number}", outcome="harmless", pictures=2) for number in range(12)}
    refs = {ref for incident in incidents for ref in kept.refs(incident)}
    kills = 0
    with forking(PROGRAM) as fork:
        while any(kept.refs(incident) for incident in incidents):
            before = len(kept.files())
            process = fork(redis_url, kept.folder)
            # Killed as soon as it has removed one more file: between two steps of some incident.
            while process.poll() is None and len(kept.files()) >= before:
                pass
            process.kill()
            kills += process.wait() == -signal.SIGKILL
            kept.redis.delete("lw:purge:lease")  # a dead holder's ends by itself after 20 s
    assert kills >= 3
    assert kept.files() == set()
    assert not kept.redis.exists("lw:purging")
    recorded = [item.partition(" ")[0] for entry in kept.entries("purge") for item in entry["details"]["items"]]
    assert sorted(recorded) == sorted(refs)


def test_begun_purge_gives_back_what_is_on_hold_again(kept: KeptEvidence) -> None:
    """A hold would not keep the pictures that a killed worker had not deleted yet."""
    incident = kept.incident(outcome="harmless", pictures=2, waiting=1)
    first, *rest = sorted(kept.refs(incident), key=lambda ref: kept.redis.get(f"lw:evidence:item:{ref}") or "")
    # As a worker leaves it that is killed after the first file.
    kept.redis.hset("lw:purging", incident, " ".join([first, *rest]))
    kept.redis.delete(*(f"lw:evidence:item:{ref}" for ref in (first, *rest)))
    gone = next(ref for ref in (first, *rest) if not _spooled(kept, ref))
    kept.store.remove(f"evidence/{incident}/{gone}.age")
    placed = hold(kept.redis, incident, MODERATOR, reason="court")
    assert placed.being_deleted == 3
    purge(kept.purge())
    left = kept.refs(incident)
    assert left == {first, *rest} - {gone}
    states = {ref: kept.redis.get(f"lw:evidence:item:{ref}") for ref in left}
    assert sorted(states.values()) == sorted([incident, f"{incident} stored"])
    assert [entry["details"]["pictures"] for entry in kept.entries("purge")] == [1]


def _spooled(kept: KeptEvidence, ref: str) -> bool:
    return any(entry.ref == ref for entry in kept.spool.entries())


def test_dry_run_deletes_nothing(kept: KeptEvidence) -> None:
    """An operator who only looks would delete evidence."""
    incident = kept.incident(outcome="harmless")
    kept.incident("cam-2", outcome="csea_apparent")
    files = kept.files()
    (purged,) = over_now(kept.redis, AT_ONCE)
    assert (purged.incident_id, len(purged.refs), purged.why) == (incident, 2, "harmless")
    assert purged.bytes > 1000
    assert kept.files() == files
    assert kept.entries("purge") == []


def test_purge_on_demand_waits_for_no_check(kept: KeptEvidence) -> None:
    """An operator who shortens a term would see evidence for another hour, and be told that all is deleted."""
    incident = kept.incident(outcome="harmless")
    kept.redis.zadd("lw:evidence:due", {incident: now_ms(kept.redis) + 3_600_000})
    found: list[str] = []
    purge_all(kept.purge(done=lambda purged: found.append(purged.incident_id)))
    assert found == [incident]


def test_expired_record_keeps_its_evidence_for_long(kept: KeptEvidence) -> None:
    """Evidence of an incident whose record is lost would be deleted as if it were known to be harmless, or never."""
    incident = kept.incident()
    kept.redis.delete(f"lw:incident:{incident}")
    for days, stays in ((100, True), (301, False)):
        kept.make_older(incident, days=days)
        kept.check_now()
        purge(kept.purge())
        assert bool(kept.refs(incident)) is stays
    assert kept.entries("purge")[0]["details"]["why"] == "no-record"


def test_damaged_record_is_no_reason_to_delete(kept: KeptEvidence) -> None:
    """Foreign data under an incident's key would delete its evidence."""
    incident = kept.incident()
    kept.redis.delete(f"lw:incident:{incident}")
    kept.redis.set(f"lw:incident:{incident}", "foreign")
    purge(kept.purge())
    assert len(kept.refs(incident)) == 2


def test_clock_that_jumps_ahead_deletes_nothing(kept: KeptEvidence) -> None:
    """A host that starts with next year's date would delete a month of evidence at once."""
    incident = kept.incident()
    purge(kept.purge(SHIPPED))
    now = now_ms(kept.redis)
    kept.redis.hset("lw:clock", "counts_ms", now - 40 * 86_400_000)
    kept.make_older(incident, days=31)
    kept.check_now()
    purge(kept.purge(SHIPPED))
    assert len(kept.refs(incident)) == 2


def test_evidence_that_redis_has_lost_is_named_and_kept(kept: KeptEvidence) -> None:
    """After a loss of Redis's data evidence would be deleted whatever it was, or lie in the store unnoticed."""
    lost, known = kept.incident("cam-1"), kept.incident("cam-2")
    kept.redis.delete(f"lw:evidence:{lost}", f"lw:incident:{lost}")
    files = kept.files()
    purge_all(kept.purge())
    assert unknown_to_redis(kept.redis, kept.store) == [lost]
    assert kept.files() == files
    assert len(kept.refs(known)) == 2


def test_foreign_data_under_one_incident_keeps_no_other_from_being_purged(kept: KeptEvidence) -> None:
    """A foreign program that writes one key would end the deletion of all evidence."""
    broken, over = kept.incident("cam-1", outcome="harmless"), kept.incident("cam-2", outcome="harmless")
    kept.redis.delete(f"lw:evidence:{broken}")
    kept.redis.set(f"lw:evidence:{broken}", "foreign")
    purge(kept.purge())
    assert kept.refs(over) == set()
    assert kept.redis.get(f"lw:evidence:{broken}") == "foreign"
    assert kept.redis.hget("lw:purge", "incident") == broken


def test_purge_waits_for_the_one_that_runs(kept: KeptEvidence) -> None:
    """Two processes would delete the same, or an operator be told that nothing was to be deleted."""
    incident = kept.incident(outcome="harmless")
    with leased(kept.redis, LEASE) as lease:
        assert lease is not None
        assert not is_due(kept.redis)
        assert purge(kept.purge()) is None
        assert len(kept.refs(incident)) == 2
    purge_all(kept.purge())
    assert kept.refs(incident) == set()


def test_names_of_no_incident_are_no_folders(kept: KeptEvidence) -> None:
    """Whoever may list an incident for the purge could name the folder of the audit log in its place."""
    kept.store.write("audit/chain/1-9.jsonl.age", b"segment")
    over = kept.incident("cam-1", outcome="harmless")
    kept.redis.hset("lw:evidence:../audit/chain", "0" * 32, "{}")
    kept.redis.zadd("lw:evidence:due", {"../audit/chain": 0, "..": 0})
    assert not purge(kept.purge())
    assert kept.store.names("audit/chain") == ["1-9.jsonl.age"]
    assert kept.refs(over) == set()
    assert kept.redis.zcard("lw:evidence:due") == 0
