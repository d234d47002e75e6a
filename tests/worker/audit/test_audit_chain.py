"""The chain of the audit log, as data."""

import hashlib
from dataclasses import replace

import pytest

from worker.audit.chain import LinkedEntry, entry_hash, faults_in, first_previous, link

BEFORE = (0, first_previous("c"))


def chain(length: int = 5) -> list[LinkedEntry]:
    return link("c", *BEFORE, ((number, f'{{"act":"take","number":{number}}}') for number in range(length)))


def kinds(entries: list[LinkedEntry]) -> list[tuple[str, int]]:
    return [(fault.kind.value, fault.n) for fault in faults_in(entries, after=BEFORE)]


def test_the_hash_is_the_documented_one():
    """An auditor's own program could not recompute it from docs/audit.md."""
    text = '["livewarden-audit-1", "c", 2, "ab", 1700000000000, "{\\"by\\":\\"kim\\"}"]'
    assert entry_hash("c", 2, "ab", 1_700_000_000_000, '{"by":"kim"}') == hashlib.sha256(text.encode()).hexdigest()


def test_a_chain_holds():
    """Every verification would cry wolf."""
    assert kinds(chain()) == []
    assert [LinkedEntry.of(entry.fields()) for entry in chain()] == chain()


@pytest.mark.parametrize("changed", [{"entry": "{}"}, {"at_ms": 9}, {"hash": "0" * 64}, {"chain": "d"}])
def test_an_altered_entry_is_found(changed: dict):
    """Who looked at a picture could be changed to another name, or another time."""
    entries = chain()
    entries[2] = replace(entries[2], **changed)
    assert ("altered", 3) in kinds(entries)


def test_an_entry_that_was_altered_with_its_hash_is_found_at_the_next():
    """Whoever knows the formula could alter an entry."""
    entries = chain()
    (entries[2],) = link("c", 2, entries[1].hash, [(2, "{}")])
    assert kinds(entries) == [("altered", 4)]


def test_a_removed_entry_is_found():
    """A look could be taken out of the record."""
    entries = chain()
    del entries[2]
    assert kinds(entries) == [("removed", 3)]
    assert kinds(chain()[1:]) == [("removed", 1)]


def test_an_added_entry_is_found():
    """An act could be put into the record that never was."""
    entries = chain()
    entries[2:2] = link("c", 2, entries[1].hash, [(2, '{"act":"view"}')])
    assert ("added", 3) in kinds(entries)
    entries = chain()
    entries.insert(3, entries[2])
    assert kinds(entries) == [("added", 3)]


def test_reordered_entries_are_found():
    """A decision could be moved before the look that it rests on."""
    entries = chain()
    entries[1], entries[3] = entries[3], entries[1]
    assert {kind for kind, _ in kinds(entries)} == {"reordered"}
    swapped = chain()
    swapped[1:3] = [
        replace(swapped[1], entry=swapped[2].entry, at_ms=swapped[2].at_ms),
        replace(swapped[2], entry=swapped[1].entry, at_ms=swapped[1].at_ms),
    ]
    assert kinds(swapped) == [("altered", 2), ("altered", 3)]


@pytest.mark.parametrize("damage", [{"n": "x"}, {"at_ms": None}, {"entry": 7}, {"hash": None}])
def test_damaged_fields_are_told_from_an_entry(damage: dict):
    """One damaged record would end the verification in a traceback."""
    assert LinkedEntry.of(chain()[0].fields() | damage) is None
    assert LinkedEntry.of({}) is None
