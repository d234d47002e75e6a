"""Changes return from Redis as they were sent, and a broken one is refused without showing a hash."""

import json

import pytest

from models.bank.bank import Bank
from models.bank.delta import BankChange, Delta
from models.bank.entries import Entry, HashKind, ListSpec
from models.errors import ChangeError
from models.pdq.pdq import PdqHash
from models.pdq.variant_kinds import Variant

VALUE = bytes(range(32))
ENTRY = Entry(entry="a, b", kind=HashKind.PDQ, value=VALUE, tags=("A", "ü"), video="v1", seconds=1.5)
SPEC = ListSpec(name="own", max_distance=12, variants=(Variant.MIRROR,), exportable=True)
CHANGES = (
    BankChange.put_list(SPEC, at_ms=1),
    BankChange.add("own", ENTRY, at_ms=2),
    BankChange.add("own", Entry(entry="x", kind=HashKind.MD5, value=bytes(16)), at_ms=3),
    BankChange.remove("own", "a, b", at_ms=4),
    BankChange.drop_list("own", at_ms=5),
)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.op)
def test_a_change_survives_the_stream(change: BankChange) -> None:
    """Workers would apply another change than the one written, or lose their place in the stream."""
    read = BankChange.from_json(change.to_json(), id="9-1")
    assert read.id == "9-1"
    assert (read.op, read.list, read.at_ms) == (change.op, change.list, change.at_ms)
    assert (read.spec, read.entry, read.entry_id) == (change.spec, change.entry, change.entry_id)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        '{"op":"wipe","list":"own","at_ms":1}',
        '{"op":"add","list":"own","at_ms":1}',
        '{"op":"add","list":"own","at_ms":1,"entry":{"entry":"x","kind":"pdq","value":"00ff"}}',
        '{"op":"add","list":"own","at_ms":1,"entry":{"entry":"","kind":"md5","value":"' + "0" * 32 + '"}}',
        '{"op":"add","list":"own","at_ms":1,"entry":{"entry":7,"kind":"md5","value":"' + "0" * 32 + '"}}',
        '{"op":"add","list":"own","at_ms":1,"entry":"deadbeef"}',
        '{"op":"put_list","list":"own","at_ms":1,"spec":{"name":"own","max_distance":32}}',
        "[" * 100_000,
    ],
)
def test_an_invalid_change_is_refused(text: str) -> None:
    """A follower could not skip a broken change, or its log would contain hashes."""
    with pytest.raises(ChangeError) as refused:
        BankChange.from_json(text, id="9-1")
    assert "9-1" in str(refused.value)
    assert "00ff" not in str(refused.value)
    assert "deadbeef" not in str(refused.value)


def test_nothing_shows_a_hash() -> None:
    """Entries end up in tracebacks and logs, which would contain hashes."""
    assert VALUE.hex() not in repr(ENTRY)
    assert repr(VALUE) not in repr(CHANGES[1])


def test_changes_have_the_same_result_one_by_one_and_together() -> None:
    """A worker that starts late would have another bank than those that followed step by step."""
    changes = [BankChange.from_json(change.to_json(), id=f"{place}-0") for place, change in enumerate(CHANGES * 2)]
    for end in range(len(changes) + 1):
        together, single = Delta().applied(*changes[:end]), Delta()
        for change in changes[:end]:
            single = single.applied(change)
        assert together.entries == single.entries
        assert Bank(delta=together).versions == Bank(delta=single).versions


def test_a_delta_is_never_altered() -> None:
    """A match that runs while a change arrives would see half of the change."""
    before = Delta().applied(CHANGES[1])
    before.applied(BankChange.remove("own", "a, b", at_ms=3))
    assert Bank(delta=before).match(PdqHash(bits=VALUE, quality=100))[0].entry == "a, b"


def test_an_entry_for_an_unknown_list_still_matches() -> None:
    """If events overtake each other, a known hash would be lost."""
    bank = Bank(delta=Delta().applied(BankChange.add("police", ENTRY, at_ms=1, id="1-0")))
    assert [match.list for match in bank.match(PdqHash(bits=VALUE, quality=100))] == ["police"]
    assert bank.specs["police"] == ListSpec(name="police")


def test_a_change_contains_only_json_values() -> None:
    """Programs in other languages could not read the stream."""
    assert json.loads(CHANGES[1].to_json()) == {
        "op": "add",
        "list": "own",
        "at_ms": 2,
        "entry": {
            "entry": "a, b",
            "kind": "pdq",
            "value": VALUE.hex(),
            "tags": ["A", "ü"],
            "video": "v1",
            "seconds": 1.5,
        },
    }
