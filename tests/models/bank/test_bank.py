"""The bank in force: matches agree with the current lists."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from snapshots import write_snapshot

from models.bank.bank import MAX_MATCHES_A_LIST, Bank, Match
from models.bank.delta import BankChange, Delta
from models.bank.entries import Entry, HashKind, ListSpec
from models.bank.index import SMALLEST
from models.bank.snapshot import open_snapshot
from models.errors import BankError, UnhashableError
from models.pdq.margins import hash_crops
from models.pdq.pdq import PdqHash, hash_luma, hash_rgb
from models.pdq.variant_kinds import Variant
from models.testcard import testcard as draw_card

A = bytes(range(32))
B = bytes(range(100, 132))
Near = Callable[..., PdqHash]
BankOf = Callable[..., Bank]
Photograph = Callable[[str], npt.NDArray[np.uint8]]


def pdq(name: str, value: bytes = A, **more: object) -> Entry:
    return Entry(entry=name, kind=HashKind.PDQ, value=value, **more)  # type: ignore[arg-type]


def as_tuples(matches: tuple[Match, ...]) -> list[tuple[str, str, int]]:
    return [(match.list, match.entry, match.distance) for match in matches]


def followed(*changes: BankChange) -> Delta:
    return Delta().applied(
        *(BankChange.from_json(change.to_json(), id=f"{place}-0") for place, change in enumerate(changes, start=10))
    )


def test_the_built_in_lists_always_exist() -> None:
    """With nothing imported, a drill would stop half-way, or `confirmed` could not take its first entry."""
    bank = Bank()
    matches = bank.match(hash_rgb(draw_card(640, 360)))
    assert {match.list for match in matches} == {"selftest"}
    assert matches[0].entry == "testcard-16x9"
    assert dict(bank.sizes) == {"selftest": 3, "confirmed": 0, "allow": 0}
    assert list(bank.versions) == ["selftest", "confirmed", "allow"]


def test_changes_cannot_touch_the_test_card_or_widen_what_is_allowed() -> None:
    """A change could disable canaries, or an allowed picture would hide similar ones."""
    delta = followed(
        BankChange.drop_list("selftest", at_ms=1),
        BankChange.drop_list("confirmed", at_ms=1),
        BankChange.put_list(ListSpec(name="allow", max_distance=31), at_ms=1),
        BankChange.put_list(ListSpec(name="selftest", min_quality=100), at_ms=1),
        BankChange.add("selftest", pdq("mine", A), at_ms=1),
        BankChange.remove("selftest", "testcard-16x9", at_ms=1),
    )
    bank = Bank(delta=delta)
    assert bank.match(hash_rgb(draw_card(640, 360))) == Bank().match(hash_rgb(draw_card(640, 360)))
    assert bank.match(PdqHash(bits=A, quality=100)) == ()
    assert bank.sizes["selftest"] == 3
    assert bank.specs["allow"].max_distance == 8
    assert "confirmed" in bank.specs


@pytest.mark.parametrize("count", [1, 2])
def test_the_smallest_lists_match(bank_of: BankOf, near: Near, count: int) -> None:
    """A list of one hash would not match (ThreatExchange #1318), or not from a snapshot."""
    bank = bank_of((ListSpec(name="own"), [pdq(f"e{place}", A) for place in range(count)]))
    assert as_tuples(bank.match(near(A, 31))) == [("own", f"e{place}", 31) for place in range(count)]
    assert bank.match(near(A, 32)) == ()


def test_an_empty_list_exists_and_matches_nothing(bank_of: BankOf, near: Near) -> None:
    """An operator could not create a list before it has entries."""
    bank = bank_of((ListSpec(name="own"), []))
    assert bank.sizes["own"] == 0
    assert bank.match(near(A, 0)) == ()
    assert bank.find(HashKind.MD5, bytes(16)) == ()


@pytest.mark.parametrize("in_snapshot", [True, False])
def test_each_list_keeps_to_its_distance_and_quality(bank_of: BankOf, near: Near, in_snapshot: bool) -> None:
    """A list that asks for distance 10 would raise at 11, or at a quality that its owner does not trust."""
    lists = [
        (ListSpec(name="near", max_distance=10), [pdq("n")]),
        (ListSpec(name="far"), [pdq("f")]),
        (ListSpec(name="sure", min_quality=80), [pdq("s")]),
    ]
    if in_snapshot:
        bank = bank_of(*lists)
    else:
        changes = [BankChange.put_list(spec, at_ms=1) for spec, _ in lists]
        changes += [BankChange.add(spec.name, entry, at_ms=1) for spec, entries in lists for entry in entries]
        bank = Bank(delta=followed(*changes))
    assert as_tuples(bank.match(near(A, 10))) == [("near", "n", 10), ("far", "f", 10), ("sure", "s", 10)]
    assert as_tuples(bank.match(near(A, 11, quality=80))) == [("far", "f", 11), ("sure", "s", 11)]
    assert as_tuples(bank.match(near(A, 11, quality=79))) == [("far", "f", 11)]


def test_a_later_spec_applies_to_entries_of_the_snapshot(bank_of: BankOf, near: Near) -> None:
    """Narrowing a list would have no effect until the next compaction."""
    delta = followed(BankChange.put_list(ListSpec(name="own", max_distance=5), at_ms=1))
    bank = bank_of((ListSpec(name="own"), [pdq("e")]), delta=delta)
    assert as_tuples(bank.match(near(A, 5))) == [("own", "e", 5)]
    assert bank.match(near(A, 6)) == ()


def test_unhashable_differs_from_no_match(near: Near) -> None:
    """ "Too dark to say" would be taken for "clean"."""
    with pytest.raises(UnhashableError, match="quality 49"):
        Bank().match(near(A, 0, quality=49))


def test_variants_are_searched_where_a_list_asks_for_them(bank_of: BankOf, near: Near) -> None:
    """A mirrored copy would be missed, not be reported as mirrored, or be reported twice."""
    bank = bank_of(
        (ListSpec(name="plain"), [pdq("p", A)]),
        (ListSpec(name="mirrored", variants=(Variant.MIRROR,)), [pdq("m", A), pdq("both", B)]),
    )
    matches = bank.match(near(B, 7), variants={Variant.MIRROR: [near(A, 3)], Variant.ROTATE: [near(A, 0)]})
    assert [(match.list, match.entry, match.distance, match.variant) for match in matches] == [
        ("mirrored", "m", 3, Variant.MIRROR),
        ("mirrored", "both", 7, None),
    ]
    nearer = bank.match(near(A, 9), variants={Variant.MIRROR: [near(A, 30), near(A, 4)]})
    assert [(match.list, match.distance, match.variant) for match in nearer] == [
        ("plain", 9, None),
        ("mirrored", 4, Variant.MIRROR),
    ]


def test_a_letterboxed_picture_of_low_quality_is_found_by_its_crop(bank_of: BankOf, near: Near) -> None:
    """Wide black bars lower the quality of the whole picture, and would hide the picture between them."""
    bank = bank_of((ListSpec(name="own", variants=(Variant.CROP,)), [pdq("e", A)]))
    matches = bank.match(near(B, 0, quality=20), variants={Variant.CROP: [near(A, 2)]})
    assert [(match.entry, match.variant) for match in matches] == [("e", Variant.CROP)]


def cropped(photograph: Photograph) -> tuple[PdqHash, tuple[PdqHash, ...]]:
    """The hash of a photograph, and guesses at it without 5 % at each side, which are 32 bits or more away."""
    rgb = cv2.resize(photograph("rocket.jpg"), (640, 480), interpolation=cv2.INTER_AREA)
    luma = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)
    return hash_luma(luma), tuple(hash_crops(np.ascontiguousarray(luma[24:-24, 32:-32])))


@pytest.mark.parametrize("others", [None, 0, SMALLEST])
def test_a_cropped_picture_matches_though_its_guess_is_too_far(
    bank_of: BankOf, photograph: Photograph, others: int | None
) -> None:
    """Cutting a twentieth off each side would hide known material: of a list that just changed, is short, or long."""
    listed, guesses = cropped(photograph)
    random = np.random.default_rng(2)
    entries = [pdq("e", listed.bits), *(pdq(f"o{place}", random.bytes(32)) for place in range(others or 0))]
    specs = [ListSpec(name=f"at-{limit}", variants=(Variant.CROP,), max_distance=limit) for limit in (31, 20)]
    if others is None:
        changes = [BankChange.put_list(spec, at_ms=1) for spec in specs]
        changes += [BankChange.add(spec.name, entry, at_ms=1) for spec in specs for entry in entries]
        bank = Bank(delta=followed(*changes))
    else:
        bank = bank_of(*((spec, entries) for spec in specs))
    (match,) = bank.match(guesses[0], variants={Variant.CROP: guesses})
    assert (match.list, match.entry, match.variant) == ("at-31", "e", Variant.CROP)
    assert match.distance == min(guess.distance(listed) for guess in guesses) <= 31
    logged = [PdqHash(bits=guess.bits, quality=guess.quality) for guess in guesses]
    assert bank.match(logged[0], variants={Variant.CROP: logged}) == (), "their bits alone are too far"


def test_of_a_crowd_of_near_copies_few_are_compared_with_a_guess(
    bank_of: BankOf, photograph: Photograph, near: Near
) -> None:
    """A stream that shows a picture with thousands of listed copies would hold up all others."""
    listed, guesses = cropped(photograph)
    copies = [pdq(f"e{place}", near(listed.bits, place).bits) for place in range(12)]
    bank = bank_of((ListSpec(name="own", variants=(Variant.CROP,)), copies))
    assert 1 <= len(bank.match(guesses[0], variants={Variant.CROP: guesses[3:4]})) <= 4


def test_near_copies_in_many_lists_are_compared_with_a_guess_no_more_often(
    bank_of: BankOf, photograph: Photograph
) -> None:
    """With fifty lists that picture would hold up all others for seconds."""
    listed, guesses = cropped(photograph)
    specs = [ListSpec(name=f"of-{place}", variants=(Variant.CROP,)) for place in range(20)]
    copies = [(int.from_bytes(listed.bits) ^ 1 << place).to_bytes(32) for place in range(20)]
    bank = bank_of(*((spec, [pdq("e", copy)]) for spec, copy in zip(specs, copies, strict=True)))
    assert 1 <= len(bank.match(guesses[0], variants={Variant.CROP: guesses[3:4]})) <= 8


def test_each_list_and_each_id_that_has_a_hash_matches_a_guess(bank_of: BankOf, photograph: Photograph) -> None:
    """A hash that every list has, or one list under many ids, would be reported for a few of them."""
    listed, guesses = cropped(photograph)
    specs = [ListSpec(name=f"of-{place}", variants=(Variant.CROP,)) for place in range(10)]
    bank = bank_of(*((spec, [pdq(f"e{place}", listed.bits) for place in range(6)]) for spec in specs))
    assert len(bank.match(guesses[0], variants={Variant.CROP: guesses})) == 60


def test_a_match_carries_the_sources_metadata(bank_of: BankOf, near: Near) -> None:
    """Moderators could not sort by category; a rule over windows could not count frames of one video."""
    more = {"tags": ("A", "séries, 4"), "video": "v-1", "seconds": 12.5}
    for bank in (
        bank_of((ListSpec(name="own"), [pdq("x", B), pdq("e", A, **more)])),
        Bank(delta=followed(BankChange.add("own", pdq("e", A, **more), at_ms=1))),
    ):
        (match,) = bank.match(near(A, 1))
        assert match == Match(list="own", entry="e", distance=1, version=bank.versions["own"], **more)  # type: ignore[arg-type]


def test_the_nearest_matches_are_returned(bank_of: BankOf, near: Near) -> None:
    """A cluster would return others than its nearest 16, or withdrawn entries would take their places."""
    crowd = [pdq(f"e{place}", near(A, place % 31).bits) for place in range(62)]
    wanted = PdqHash(bits=A, quality=100)
    bank = bank_of((ListSpec(name="own"), crowd), (ListSpec(name="other"), crowd[:1]))
    matches = bank.match(wanted)
    assert [match.distance for match in matches] == [d for d in range(8) for _ in range(2)] + [0]
    assert len(matches) == MAX_MATCHES_A_LIST + 1
    gone = followed(*(BankChange.remove("own", f"e{place}", at_ms=1) for place in range(60)))
    assert as_tuples(Bank(snapshot=bank.snapshot, delta=gone).match(wanted)) == [
        ("own", "e60", 29),
        ("own", "e61", 30),
        ("other", "e0", 0),
    ]


def test_many_hashes_of_one_id_do_not_crowd_out_others(bank_of: BankOf, near: Near) -> None:
    """Lists that use a series or a video as ID have it a hundred times, and would displace other matches."""
    same = [pdq("series", near(A, place % 5).bits) for place in range(200)]
    bank = bank_of((ListSpec(name="own"), [*same, pdq("other", near(A, 20).bits)]))
    assert as_tuples(bank.match(PdqHash(bits=A, quality=100))) == [("own", "series", 0), ("own", "other", 20)]


def test_entries_are_added_withdrawn_and_removed_with_their_list(bank_of: BankOf, near: Near) -> None:
    """A withdrawn entry would match, or an added one would not, until the next snapshot."""
    lists = ((ListSpec(name="own"), [pdq("e1", A), pdq("e2", B)]), (ListSpec(name="gone"), [pdq("g", A)]))
    changes = [
        BankChange.remove("own", "e1", at_ms=1),
        BankChange.add("own", pdq("new", A), at_ms=2),
        BankChange.drop_list("gone", at_ms=3),
    ]
    bank = bank_of(*lists, delta=followed(*changes))
    assert as_tuples(bank.match(near(A, 2))) == [("own", "new", 2)]
    assert dict(bank.sizes) == {"selftest": 3, "confirmed": 0, "allow": 0, "own": 2}
    again = bank_of(*lists, delta=followed(*changes, BankChange.add("own", pdq("e1", A), at_ms=4)))
    assert as_tuples(again.match(near(A, 2))) == [("own", "new", 2), ("own", "e1", 2)]
    reborn = bank_of(*lists, delta=followed(*changes, BankChange.put_list(ListSpec(name="gone"), at_ms=4)))
    assert as_tuples(reborn.match(near(A, 2))) == [("own", "new", 2)]
    assert reborn.sizes["gone"] == 0


def test_an_entry_added_again_replaces_the_old_one(bank_of: BankOf, near: Near) -> None:
    """A corrected category would leave both entries; or a second hash under one ID would replace the first."""
    delta = followed(
        BankChange.add("own", pdq("e", A, tags=("B",)), at_ms=1), BankChange.add("own", pdq("e", B), at_ms=2)
    )
    bank = bank_of((ListSpec(name="own"), [pdq("e", A, tags=("A",))]), delta=delta)
    assert [match.tags for match in bank.match(near(A, 0))] == [("B",)]
    assert as_tuples(bank.match(near(B, 0))) == [("own", "e", 0)]
    assert bank.sizes["own"] == 2
    assert sorted(bank.entries("own"), key=lambda entry: entry.value) == [pdq("e", A, tags=("B",)), pdq("e", B)]


def test_digests_are_matched(bank_of: BankOf) -> None:
    """A file would be missed if its list has another of the three digests."""
    random = np.random.default_rng(0)
    entries = [
        Entry(entry=f"{kind}-{place}", kind=kind, value=random.bytes(kind.size_bytes))
        for kind in (HashKind.MD5, HashKind.SHA1, HashKind.SHA256)
        for place in range(200)
    ]
    twin = Entry(entry="begins alike", kind=HashKind.MD5, value=entries[5].value[:4] + bytes(12))
    late = Entry(entry="late", kind=HashKind.SHA1, value=bytes(20))
    delta = followed(BankChange.add("vics", late, at_ms=1), BankChange.remove("vics", "md5-7", at_ms=1))
    bank = bank_of((ListSpec(name="vics"), [*entries, twin]), (ListSpec(name="own"), entries[:1]), delta=delta)
    for entry in entries[1:]:
        expected = [] if entry.entry == "md5-7" else [("vics", entry.entry, 0)]
        assert as_tuples(bank.find(entry.kind, entry.value)) == expected
    assert as_tuples(bank.find(HashKind.MD5, entries[0].value)) == [("vics", "md5-0", 0), ("own", "md5-0", 0)]
    assert as_tuples(bank.find(HashKind.MD5, twin.value)) == [("vics", "begins alike", 0)]
    assert as_tuples(bank.find(HashKind.SHA1, late.value)) == [("vics", "late", 0)]
    assert bank.find(HashKind.SHA256, bytes(32)) == ()
    with pytest.raises(BankError, match="expected 16"):
        bank.find(HashKind.MD5, bytes(20))


def test_entries_are_found_by_id(bank_of: BankOf) -> None:
    """`bank remove` and the audit of a match could not start from the ID in an event."""
    same = [pdq("one", A), Entry(entry="one", kind=HashKind.MD5, value=bytes(16)), pdq("übel, 2", B)]
    bank = bank_of((ListSpec(name="own"), same), (ListSpec(name="other"), [pdq("one", B)]))
    assert bank.exact("own", "one") == tuple(same[:2])
    assert bank.exact("own", "übel, 2") == (same[2],)
    assert bank.exact("own", "two") == bank.exact("nowhere", "one") == ()
    assert [entry.entry for entry in bank.exact("selftest", "testcard-4x3")] == ["testcard-4x3"]
    withdrawn = Bank(snapshot=bank.snapshot, delta=followed(BankChange.remove("own", "one", at_ms=1)))
    assert withdrawn.exact("own", "one") == ()
    assert withdrawn.exact("other", "one") == (pdq("one", B),)


def test_a_version_changes_only_with_its_own_list(bank_of: BankOf) -> None:
    """The version in an event would not identify the list's content, or change without cause."""
    lists = ((ListSpec(name="own"), [pdq("e", A)]), (ListSpec(name="other"), [pdq("e", A)]))
    before = bank_of(*lists)
    after = Bank(snapshot=before.snapshot, delta=followed(BankChange.remove("own", "e", at_ms=1)))
    assert {name for name in before.versions if before.versions[name] != after.versions[name]} == {"own"}
    assert bank_of(*lists).versions == before.versions, "the same lists written again have the same versions"
    assert before.versions["own"] != before.versions["other"]


def test_an_unchanged_list_keeps_its_version_when_others_are_compacted(bank_of: BankOf) -> None:
    """Two events with one version could mean different contents, or equal contents have two versions."""
    mixed = [
        Entry(entry=f"{place}", kind=kind, value=bytes([place % 256]) * kind.size_bytes)
        for place in range(20_000)
        for kind in (HashKind.MD5, HashKind.PDQ)
    ]
    before = bank_of((ListSpec(name="vics"), mixed), delta=followed(BankChange.add("own", pdq("new", A), at_ms=1)))
    after = bank_of(*before.contents())
    assert after.versions["vics"] == before.versions["vics"]
    assert after.sizes == before.sizes
    plain = bank_of(*((spec, list(entries)) for spec, entries in before.contents()))
    assert plain.versions == after.versions, "copied or written one by one"


def test_compaction_copies_unchanged_entries(bank_of: BankOf) -> None:
    """A large list would be rebuilt for a few changes, or the result would differ from the delta."""
    entries = [
        Entry(entry=f"e{place}", kind=kind, value=place.to_bytes(kind.size_bytes), tags=("A",) * (place % 3))
        for place in range(40_000)
        for kind in (HashKind.SHA1, HashKind.PDQ)
    ]
    gone = [0, 1, 16_383, 16_384, 20_000, 39_999]
    changes = [BankChange.remove("big", f"e{place}", at_ms=1) for place in gone]
    changes += [BankChange.add("big", pdq("e5", (5).to_bytes(32), tags=("new",)), at_ms=2)]
    before = bank_of((ListSpec(name="first"), entries[:7]), (ListSpec(name="big"), entries), delta=followed(*changes))
    after = bank_of(*before.contents())
    expected = {entry for entry in entries if int(entry.entry[1:]) not in gone} - {
        pdq("e5", (5).to_bytes(32), tags=("A", "A"))
    }
    assert set(after.entries("big")) == expected | {pdq("e5", (5).to_bytes(32), tags=("new",))}
    assert list(after.entries("first")) == list(before.entries("first"))
    assert dict(after.sizes) == dict(before.sizes)
    for place in (7, 16_382, 16_385, 39_998):
        assert after.exact("big", f"e{place}") == before.exact("big", f"e{place}") != ()
        assert as_tuples(after.find(HashKind.SHA1, place.to_bytes(20))) == [("big", f"e{place}", 0)]
    for place in gone:
        assert after.exact("big", f"e{place}") == ()


CHANGES = st.lists(
    st.one_of(
        st.builds(
            lambda of, name, value, tag: BankChange.add(of, pdq(name, bytes([value] * 32), tags=(tag,)), at_ms=0),
            st.sampled_from(["a", "b"]),
            st.sampled_from("xyz"),
            st.integers(0, 3),
            st.sampled_from("AB"),
        ),
        st.builds(lambda of, name: BankChange.remove(of, name, at_ms=0), st.sampled_from("ab"), st.sampled_from("xyz")),
        st.builds(lambda of: BankChange.drop_list(of, at_ms=0), st.sampled_from("ab")),
        st.builds(
            lambda of, reach: BankChange.put_list(ListSpec(name=of, max_distance=reach), at_ms=0),
            st.sampled_from("ab"),
            st.integers(0, 31),
        ),
    ),
    max_size=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CHANGES, CHANGES)
def test_an_intermediate_snapshot_makes_no_difference(
    tmp_path: Path, first: list[BankChange], then: list[BankChange]
) -> None:
    """Compaction would change matches, sizes or entries."""
    plain = Bank(delta=Delta().applied(*first, *then))
    path = write_snapshot(tmp_path, Bank(delta=Delta().applied(*first)).contents(), watermark="")
    compacted = Bank(snapshot=open_snapshot(path), delta=Delta().applied(*then))
    assert dict(compacted.specs) == dict(plain.specs)
    assert dict(compacted.sizes) == dict(plain.sizes)
    for value in range(4):
        wanted = PdqHash(bits=bytes([value] * 32), quality=100)
        assert _as_set(compacted.match(wanted)) == _as_set(plain.match(wanted))
    for name in "ab":
        assert set(compacted.entries(name)) == set(plain.entries(name))


def _as_set(matches: tuple[Match, ...]) -> set[tuple[str, str, int, tuple[str, ...]]]:
    return {(match.list, match.entry, match.distance, match.tags) for match in matches}
