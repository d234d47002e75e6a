"""Hash lists: known material must be found, and a broken list must never pass for a whole one."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import HashListError, UnhashableError
from models.hashlists import MAX_MATCHES_A_LIST, HashList, HashLists, Match, load_lists, reload_lists
from models.pdq import MATCH_DISTANCE, PdqHash, hash_rgb
from models.testcard import testcard as draw_card

A = "0123456789abcdef" * 4
B = "f" * 64


def flipped(pdq: PdqHash, bits: int) -> PdqHash:
    """`pdq` with its first `bits` bits turned."""
    mask = ((1 << bits) - 1) << (256 - bits)
    return PdqHash(bits=(int.from_bytes(pdq.bits) ^ mask).to_bytes(32), quality=pdq.quality)


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.csv"
    path.write_bytes(text.encode())
    return path


def test_the_test_card_is_always_listed() -> None:
    """With no list configured a drill must still go the whole way."""
    lists = load_lists(None)
    assert list(lists.versions) == ["selftest"]
    matches = lists.match(hash_rgb(draw_card(640, 360)))
    assert {match.list for match in matches} == {"selftest"}
    assert matches[0].entry == "testcard-16x9"


def test_one_hash_is_a_list(tmp_path: Path) -> None:
    """A list of one hash must match (ThreatExchange #1318)."""
    written(tmp_path, "own", f"hash\n{A}\n")
    assert load_lists(tmp_path).match(PdqHash.from_hex(A)) == (Match(list="own", entry="2", distance=0),)


@pytest.mark.parametrize(("distance", "found"), [(0, True), (31, True), (32, False), (256, False)])
def test_matches_up_to_31_bits(tmp_path: Path, distance: int, found: bool) -> None:
    """31 is a match and 32 is none; an opposite picture must not look like the same one."""
    written(tmp_path, "own", f"hash,id\n{A},first\n")
    matches = load_lists(tmp_path).match(flipped(PdqHash.from_hex(A), distance))
    assert matches == ((Match(list="own", entry="first", distance=distance),) if found else ())


def test_an_entry_without_id_is_told_by_its_line(tmp_path: Path) -> None:
    """Whoever gets an escalation must find the entry in the file."""
    written(tmp_path, "own", f"hash,id\n{B},x\n{A},\n")
    (match,) = load_lists(tmp_path).match(PdqHash.from_hex(A))
    assert match.entry == "3"


def test_windows_files_and_duplicates_are_read(tmp_path: Path) -> None:
    """Lists come out of spreadsheets and are joined from many sources."""
    written(tmp_path, "own", f'\ufeffhash,id\r\n{A.upper()},"a, ""b"""\r\n{A},twin\r\n{A},twin\r\n\r\n')
    assert [match.entry for match in load_lists(tmp_path).match(PdqHash.from_hex(A))] == ['a, "b"', "twin", "twin"]


def test_an_empty_list_matches_nothing(tmp_path: Path) -> None:
    """An operator may prepare a list before it has entries."""
    written(tmp_path, "own", "hash\n")
    lists = load_lists(tmp_path)
    assert lists.sizes["own"] == 0
    assert lists.match(PdqHash.from_hex(A)) == ()


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("", 1, "header 'hash' or 'hash,id'"),
        (f"{A}\n", 1, "header 'hash' or 'hash,id'"),
        (f"hash,quality\n{A},80\n", 1, "header 'hash' or 'hash,id'"),
        (f"hash\n{A}\n{A[:-1]}\n", 3, "64 hex digits, found 63 characters"),
        (f"hash\n{A[:-1]}x\n", 2, "64 hex digits, found 'x' at 64"),
        (f"hash\n{A}\n\n{A}\n", 3, "64 hex digits, found 0 characters"),
        (f"hash\n{A},id\n", 2, "one hash and nothing else"),
        (f"hash,id\n{A}\n", 2, "two fields"),
        (f"hash,id\n{A},a,b\n", 2, "double quotes"),
        (f"hash,id\n{A},a\x07b\n", 2, "printable"),
        (f"hash,id\n{A},{'x' * 201}\n", 2, "1 to 200"),
    ],
)
def test_a_bad_line_refuses_the_list_whole(tmp_path: Path, text: str, line: int, expected: str) -> None:
    """Half a list would look like a whole one; the message must lead to the line, and quote no hash into a log."""
    path = written(tmp_path, "own", text)
    with pytest.raises(HashListError) as refused:
        load_lists(tmp_path)
    assert str(refused.value).startswith(f"{path}, line {line}: ")
    assert expected in str(refused.value)
    assert "\n" not in str(refused.value)


def test_other_encodings_are_refused(tmp_path: Path) -> None:
    """UTF-16 out of a spreadsheet must be named, not end in a traceback."""
    (tmp_path / "own.csv").write_bytes(f"hash\n{A}\n".encode("utf-16"))
    with pytest.raises(HashListError, match=r"own\.csv, line 1: expected text in UTF-8"):
        load_lists(tmp_path)


@pytest.mark.parametrize(
    ("file", "expected"),
    [("selftest.csv", "kept for the built-in"), ("own list.csv", "list name"), ("own.CSV", "lower case")],
)
def test_odd_names_are_refused(tmp_path: Path, file: str, expected: str) -> None:
    """A list that is passed over in silence would be missed by nobody until it mattered."""
    (tmp_path / file).write_text(f"hash\n{A}\n")
    with pytest.raises(HashListError, match=expected):
        load_lists(tmp_path)


def test_missing_folder_and_unreadable_file_are_told(tmp_path: Path) -> None:
    """A mistyped folder must not mean "no lists"."""
    with pytest.raises(HashListError, match="nowhere: expected a folder"):
        load_lists(tmp_path / "nowhere")
    (tmp_path / "own.csv").mkdir()
    with pytest.raises(HashListError, match=r"own\.csv: cannot be read"):
        load_lists(tmp_path)


def test_all_refusals_are_counted(tmp_path: Path) -> None:
    """An operator who repairs one list should know that another waits."""
    for name in ("a", "b", "c"):
        written(tmp_path, name, "nonsense")
    with pytest.raises(HashListError, match=r"a\.csv.*and 2 more refused"):
        load_lists(tmp_path)


def test_a_refused_list_keeps_its_last_good_version(tmp_path: Path) -> None:
    """A broken upload must not take known material out of force."""
    written(tmp_path, "own", f"hash\n{A}\n")
    written(tmp_path, "other", f"hash\n{B}\n")
    before = load_lists(tmp_path)
    written(tmp_path, "own", "hash\nnonsense\n")
    written(tmp_path, "other", f"hash\n{B}\n{A}\n")
    written(tmp_path, "new", "nonsense\n")

    after = reload_lists(before, tmp_path)

    assert [str(refusal).partition(",")[0] for refusal in after.refusals] == [
        str(tmp_path / "new.csv"),
        str(tmp_path / "own.csv"),
    ]
    assert after.lists.versions["own"] == before.versions["own"]
    assert after.lists.versions["other"] != before.versions["other"]
    assert "new" not in after.lists.versions
    assert {match.list for match in after.lists.match(PdqHash.from_hex(A))} == {"own", "other"}


def test_a_lost_folder_leaves_everything_in_force(tmp_path: Path) -> None:
    """A volume that is not mounted must not empty the bank."""
    written(tmp_path, "own", f"hash\n{A}\n")
    before = load_lists(tmp_path)
    after = reload_lists(before, tmp_path / "gone")
    assert after.lists.versions == before.versions
    assert len(after.refusals) == 1


def test_a_removed_file_withdraws_its_list(tmp_path: Path) -> None:
    """A list that an authority withdrew must stop matching."""
    path = written(tmp_path, "own", f"hash\n{A}\n")
    before = load_lists(tmp_path)
    path.unlink()
    after = reload_lists(before, tmp_path)
    assert after.refusals == ()
    assert after.lists.match(PdqHash.from_hex(A)) == ()


def test_versions_follow_the_content(tmp_path: Path) -> None:
    """An event names the list's version: same content, same version, on every worker; an id changed, another one."""
    written(tmp_path, "one", f"hash,id\n{A},x\n")
    written(tmp_path, "same", f"\ufeffhash,id\r\n{A.upper()},x\r\n")
    written(tmp_path, "other", f"hash,id\n{A},y\n")
    versions = load_lists(tmp_path).versions
    assert versions["one"] == versions["same"] != versions["other"]


@pytest.mark.parametrize("quality", [0, 49])
def test_unhashable_is_not_no_match(quality: int) -> None:
    """A black frame was not checked, and must not be told as checked."""
    with pytest.raises(UnhashableError, match=f"quality {quality}"):
        load_lists(None).match(PdqHash(bits=bytes(32), quality=quality))


def test_the_nearest_are_told_first_and_not_without_bound() -> None:
    """A list of a thousand near-duplicates must not swell every event."""
    wanted = PdqHash.from_hex(A)
    hashes = [flipped(wanted, bits % 40) for bits in range(1000)]
    bank = HashList.of("own", b"".join(pdq.bits for pdq in hashes), [str(place) for place in range(1000)])
    matches = bank.match(wanted)
    assert [match.distance for match in matches] == [0] * MAX_MATCHES_A_LIST
    assert [match.entry for match in matches] == [str(40 * place) for place in range(MAX_MATCHES_A_LIST)]


@given(seed=st.integers(0, 2**32 - 1), size=st.integers(0, 300))
def test_finds_exactly_what_is_near(seed: int, size: int) -> None:
    """Recall is 1.0 or the bank is worthless: each hash within 31 bits is found, whatever surrounds it."""
    random = np.random.default_rng(seed)
    wanted = PdqHash(bits=random.bytes(32), quality=100)
    hashes = [flipped(wanted, int(bits)) for bits in random.integers(0, 257, size)]
    near = {str(place): wanted.distance(pdq) for place, pdq in enumerate(hashes)}
    near = {entry: distance for entry, distance in near.items() if distance <= MATCH_DISTANCE}
    bank = HashList.of("own", b"".join(pdq.bits for pdq in hashes), [str(place) for place in range(size)])
    matches = HashLists(lists={"own": bank}).match(wanted)
    expected = sorted(near.items(), key=lambda found: (found[1], int(found[0])))[:MAX_MATCHES_A_LIST]
    assert [(match.entry, match.distance) for match in matches] == expected
