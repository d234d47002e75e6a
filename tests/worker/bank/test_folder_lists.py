"""LIVEWARDEN_LISTS_DIR: a broken list never passes for a complete one."""

import os
from pathlib import Path

import pytest
from redis import Redis

from models.bank.bank import Bank, Match
from models.bank.delta import BankChange, Delta
from models.bank.entries import Entry, HashKind
from models.errors import HashListError
from models.pdq.pdq import PdqHash
from models.testcard import TESTCARD_HASHES
from worker.bank.folder_lists import BankWithFiles, FolderLists, load_folder, reload_folder
from worker.bank.lists_in_force import combine_lists
from worker.bank.shared_bank import SharedBank
from worker.errors import ObjectStoreError
from worker.lookback.bulk import look_back_for_files
from worker.lookback.jobs import JOBS
from worker.store.object_store import ObjectStore

A = "0123456789abcdef" * 4
B = "f" * 64


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.csv"
    path.write_bytes(text.encode())
    return path


def bank_of(lists: FolderLists) -> Bank:
    return combine_lists(SharedBank(), lists).bank


def found(lists: FolderLists, text: str) -> list[tuple[str, str, int]]:
    matches: tuple[Match, ...] = bank_of(lists).match(PdqHash(bits=bytes.fromhex(text), quality=100))
    return [(match.list, match.entry, match.distance) for match in matches]


def test_one_hash_is_a_list(tmp_path: Path) -> None:
    """A list of one hash would not match (ThreatExchange #1318), or its match would not name the line."""
    written(tmp_path, "own", f"hash\n{A}\n")
    assert found(load_folder(tmp_path), A) == [("own", "2", 0)]


def test_windows_line_ends_and_duplicates_are_accepted(tmp_path: Path) -> None:
    """Lists are exported from spreadsheets and joined from many sources: such files would be refused."""
    written(tmp_path, "own", f'\ufeffhash,id\r\n{A.upper()},"a, ""b"""\r\n{A},twin\r\n{A},twin\r\n\r\n')
    assert [entry for _, entry, _ in found(load_folder(tmp_path), A)] == ['a, "b"', "twin"]


def test_an_empty_list_matches_nothing(tmp_path: Path) -> None:
    """An operator could not prepare a list before it has entries."""
    written(tmp_path, "own", "hash\n")
    lists = load_folder(tmp_path)
    assert bank_of(lists).sizes["own"] == 0
    assert found(lists, A) == []


def test_file_digests_in_a_list_are_matched(tmp_path: Path) -> None:
    """A file of MD5s in the folder would be refused, or never match."""
    written(tmp_path, "own", f"hash,id,kind\n{'5a' * 16},f,md5\n")
    (match,) = bank_of(load_folder(tmp_path)).find(HashKind.MD5, bytes.fromhex("5a" * 16))
    assert (match.list, match.entry) == ("own", "f")


@pytest.mark.parametrize(
    ("text", "line"),
    [("", 1), (f"{A}\n", 1), (f"hash\n{A}\n{A[:-1]}\n", 3), (f"hash\n{A[:-1]}x\n", 2), (f"hash,id\n{A}\n", 2)],
)
def test_a_bad_line_refuses_the_list_whole(tmp_path: Path, text: str, line: int) -> None:
    """Half a list would look like a whole one; or the log would quote a hash, or lack the line number."""
    path = written(tmp_path, "own", text)
    with pytest.raises(HashListError) as refused:
        load_folder(tmp_path)
    assert str(refused.value).startswith(f"{path}, line {line}: ")
    assert A[:16] not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("selftest.csv", "reserved for the built-in"),
        ("confirmed.csv", "reserved for the built-in"),
        ("allow.csv", "reserved for the built-in"),
        ("own list.csv", "list name"),
        ("own.CSV", "lower case"),
    ],
)
def test_odd_names_are_refused(tmp_path: Path, file: str, expected: str) -> None:
    """A list that is skipped silently would not be missed until it mattered; a file for `confirmed` would be known
    material that no second person has reviewed."""
    (tmp_path / file).write_text(f"hash\n{A}\n")
    with pytest.raises(HashListError, match=expected):
        load_folder(tmp_path)


def test_a_missing_folder_and_an_unreadable_file_are_reported(tmp_path: Path) -> None:
    """A mistyped folder would mean "no lists"."""
    with pytest.raises(HashListError, match="nowhere: expected a folder"):
        load_folder(tmp_path / "nowhere")
    (tmp_path / "own.csv").mkdir()
    with pytest.raises(HashListError, match=r"own\.csv: cannot be read"):
        load_folder(tmp_path)


@pytest.mark.timeout(20)
def test_a_pipe_is_refused(tmp_path: Path) -> None:
    """A worker would hang on it at start."""
    os.mkfifo(tmp_path / "own.csv")
    with pytest.raises(HashListError, match=r"own\.csv: cannot be read: expected a regular file"):
        load_folder(tmp_path)


def test_all_refusals_are_reported(tmp_path: Path) -> None:
    """An operator who repairs one list would not know that another is broken too."""
    for name in ("a", "b", "c"):
        written(tmp_path, name, "nonsense")
    with pytest.raises(HashListError, match=r"a\.csv.*and 2 more refused"):
        load_folder(tmp_path)


def test_a_refused_list_keeps_its_last_good_version(tmp_path: Path) -> None:
    """A broken upload would take known material out of force, or go unnoticed."""
    written(tmp_path, "own", f"hash\n{A}\n")
    written(tmp_path, "other", f"hash\n{B}\n")
    before = load_folder(tmp_path)
    written(tmp_path, "own", "hash\nnonsense\n")
    written(tmp_path, "other", f"hash\n{B}\n{A}\n")
    written(tmp_path, "new", "nonsense\n")
    after = reload_folder(before, tmp_path)
    assert [str(refusal).partition(",")[0] for refusal in after.refusals] == [
        str(tmp_path / "new.csv"),
        str(tmp_path / "own.csv"),
    ]
    assert after.degraded == ("list-refused:new", "list-refused:own")
    versions = bank_of(after).versions
    assert versions["own"] == bank_of(before).versions["own"]
    assert versions["other"] != bank_of(before).versions["other"]
    assert "new" not in versions
    assert {name for name, _, _ in found(after, A)} == {"own", "other"}


def test_a_lost_folder_leaves_everything_in_force(tmp_path: Path) -> None:
    """A volume that is not mounted would empty the bank."""
    written(tmp_path, "own", f"hash\n{A}\n")
    before = load_folder(tmp_path)
    after = reload_folder(before, tmp_path / "gone")
    assert bank_of(after).versions == bank_of(before).versions
    assert after.degraded == ("lists-folder-unreadable",)


def test_a_removed_file_withdraws_its_list(tmp_path: Path) -> None:
    """A list that an authority withdrew would go on matching."""
    path = written(tmp_path, "own", f"hash\n{A}\n")
    before = load_folder(tmp_path)
    path.unlink()
    assert found(reload_folder(before, tmp_path), A) == []


def test_unchanged_files_are_not_read_again(tmp_path: Path) -> None:
    """Every process would parse every list each second."""
    written(tmp_path, "own", f"hash\n{A}\n")
    before = load_folder(tmp_path)
    assert reload_folder(before, tmp_path) is before


def test_versions_follow_the_content(tmp_path: Path) -> None:
    """The version in an event would differ between workers with equal lists, or stay the same after a change."""
    written(tmp_path, "one", f"hash,id\n{A},x\n")
    written(tmp_path, "same", f"\ufeffhash,id\r\n{A.upper()},x\r\n")
    written(tmp_path, "other", f"hash,id\n{A},y\n")
    versions = bank_of(load_folder(tmp_path)).versions
    assert versions["one"] == versions["same"] != versions["other"]


def test_a_list_in_folder_and_bank_is_the_union_of_both(tmp_path: Path) -> None:
    """Entries of one of the two would never match."""
    written(tmp_path, "own", f"hash,id\n{A},file\n")
    entry = Entry(entry="bank", kind=HashKind.PDQ, value=bytes.fromhex(B))
    shared = SharedBank(bank=Bank(delta=Delta().applied(BankChange.add("own", entry, at_ms=0, id="1-0"))))
    bank = combine_lists(shared, load_folder(tmp_path)).bank
    assert [bank.match(PdqHash(bits=bytes.fromhex(text), quality=100))[0].entry for text in (A, B)] == ["file", "bank"]


def test_bank_and_folder_are_queried_together(tmp_path: Path) -> None:
    """Every user of the bank (scan, doctor, export, look-back) would miss one of the two."""
    written(tmp_path, "own", f"hash,id\n{A},file\n{A},both\n")
    written(tmp_path, "files", f"hash,id\n{A},f\n")
    added = [Entry(entry=name, kind=HashKind.PDQ, value=bytes.fromhex(A)) for name in ("bank", "both")]
    changes = [BankChange.add("own", entry, at_ms=0, id=f"{number}-0") for number, entry in enumerate(added)]
    shared = SharedBank(bank=Bank(delta=Delta().applied(*changes)))
    bank = combine_lists(shared, load_folder(tmp_path)).bank
    expected = [("own", "bank"), ("own", "both"), ("own", "file"), ("files", "f")]
    assert [(match.list, match.entry) for match in bank.match(PdqHash(bits=bytes.fromhex(A), quality=100))] == expected
    assert [(match.list, match.entry) for match in bank.find(HashKind.PDQ, bytes.fromhex(A))] == expected
    assert list(bank.specs) == ["selftest", "confirmed", "allow", "own", "files"]
    assert dict(bank.sizes) == {"selftest": 3, "confirmed": 0, "allow": 0, "files": 1, "own": 4}
    assert bank.versions["own"].startswith("empty+1-0+empty+")
    assert [entry.entry for entry in bank.entries("own")] == ["bank", "both", "file", "both"]
    assert len(bank.exact("own", "both")) == 2
    assert len(bank.match(PdqHash(bits=bytes.fromhex(TESTCARD_HASHES["testcard-16x9"]), quality=100))) == 3


def test_a_change_of_the_bank_does_not_reload_the_files(tmp_path: Path) -> None:
    """Every added hash would stall workers that have large lists in files."""
    written(tmp_path, "own", f"hash\n{A}\n")
    lists = load_folder(tmp_path)
    before, after = combine_lists(SharedBank(), lists).bank, combine_lists(SharedBank(), lists).bank
    assert isinstance(before, BankWithFiles)
    assert isinstance(after, BankWithFiles)
    assert before.files is after.files


def test_files_are_looked_back_for_once(tmp_path: Path, redis: Redis) -> None:
    """A file added before a worker starts would never be looked back for; or each worker and each restart would search
    the log again."""
    store = ObjectStore(str(tmp_path / "store"))
    written(tmp_path, "own", f"hash,id\n{A},old\n")
    at_start = load_folder(tmp_path)
    assert [look_back_for_files(redis, store, at_start, hours=24) for _ in range(2)] == [1, 0]
    written(tmp_path, "own", f"hash,id\n{A},old\n{B},new\n")
    written(tmp_path, "digests", f"hash,id,kind\n{'5a' * 16},d,md5\n")
    changed = reload_folder(at_start, tmp_path)
    assert [look_back_for_files(redis, store, changed, hours=24) for _ in range(2)] == [2, 0]
    assert look_back_for_files(redis, store, at_start, hours=24) == 0  # a worker that has not seen the change yet
    assert look_back_for_files(redis, store, load_folder(tmp_path), hours=24) == 0  # a worker that was restarted
    assert redis.hlen(JOBS) == 2


def test_a_store_that_fails_delays_the_look_back_for_files(tmp_path: Path, redis: Redis) -> None:
    """A list added while the store is away would never be looked back for."""
    written(tmp_path, "own", f"hash,id\n{A},old\n")
    lists = load_folder(tmp_path)
    (tmp_path / "store").write_text("no folder")
    store = ObjectStore(str(tmp_path / "store"))
    with pytest.raises(ObjectStoreError):
        look_back_for_files(redis, store, lists, hours=24)
    (tmp_path / "store").unlink()
    assert look_back_for_files(redis, store, lists, hours=24) == 1
