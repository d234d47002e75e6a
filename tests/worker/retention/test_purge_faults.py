"""A purge beside faults of one side: what can be deleted is deleted."""

from kept_evidence import KeptEvidence

from worker.retention.purge import purge


def test_a_spool_that_refuses_keeps_nothing_in_the_store(kept: KeptEvidence) -> None:
    """One host's broken disk would keep pictures whose term is over in the store, one more each ten minutes."""
    incident = kept.incident(outcome="harmless", pictures=3)
    refs = sorted(kept.refs(incident))
    for ref in refs:
        (kept.folder / "spool" / f"{ref}.hit.age" / "foreign").mkdir(parents=True)
    purge(kept.purge())
    assert [path for path in kept.files() if path.startswith("store/evidence")] == []


def test_what_the_store_refuses_keeps_no_other_picture_of_its_incident(kept: KeptEvidence) -> None:
    """A foreign folder in the place of one picture would keep the others, though their term is over."""
    incident = kept.incident(outcome="harmless", pictures=3)
    for ref in sorted(kept.refs(incident))[:1]:
        path = kept.folder / "store" / "evidence" / incident / f"{ref}.age"
        path.unlink()
        (path / "foreign").mkdir(parents=True)
    purge(kept.purge())
    assert [path for path in kept.files() if path.startswith("store/evidence")] == []
    assert kept.refs(incident) == {ref}
