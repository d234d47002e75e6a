"""Two people agree to a package: who counts, for how long, to what."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from drafted_cases import a_case, a_picture, an_incident
from kept_evidence import LEAD, MODERATOR, KeptEvidence

from worker.drafts.agreements import (
    MOST_AGREEMENTS,
    MOST_NAMED,
    agree,
    agreements_on,
    changes_since,
    content_of,
    record_package,
    suffices,
)
from worker.drafts.case_report import CaseReport
from worker.errors import BankRequestError, DraftError, PeopleError
from worker.people.actor import Actor, Role
from worker.people.changes import add_person, remove_person
from worker.people.roster import authenticate
from worker.store.redis_client import now_ms

CASE = a_case()
KEY = f"lw:package:{CASE.case_id}"


def agreed(kept: KeptEvidence, actor: Actor, case: CaseReport = CASE, *, to: str = "age1x") -> list[str]:
    return [one.by for one in agree(kept.redis, case, actor, recipient=to)]


def made(kept: KeptEvidence, actor: Actor, case: CaseReport = CASE, *, to: str = "age1x") -> None:
    record_package(kept.redis, case, actor, recipient=to, manifest_sha256="f" * 64, pictures=2)


def test_two_people_agree_and_it_is_on_record(kept: KeptEvidence) -> None:
    """Nobody could prove who handed the pictures of a child to whom."""
    assert agreed(kept, MODERATOR) == ["mo"]
    with pytest.raises(DraftError, match="two people"):
        made(kept, MODERATOR)
    assert agreed(kept, LEAD) == ["mo", "lea"]
    made(kept, LEAD)
    first, second = kept.entries("agree")
    assert [(one["by"], one["subject"]) for one in (first, second)] == [("mo", CASE.case_id), ("lea", CASE.case_id)]
    assert first["details"]["recipient"] == "age1x"
    (package,) = kept.entries("package")
    assert (package["by"], package["details"]["manifest_sha256"]) == ("lea", "f" * 64)
    assert package["details"]["incidents"] == ["a"]
    assert 0 < kept.redis.ttl(KEY) <= 86_400


def test_of_two_in_one_millisecond_the_first_is_first(kept: KeptEvidence) -> None:
    """The lead who agreed second would be on record as the one who asked for it, where Redis's disk is fast."""
    for actor in (MODERATOR, LEAD):
        agreed(kept, actor)
    at_ms = now_ms(kept.redis)
    for name, text in kept.redis.hgetall(KEY).items():
        kept.redis.hset(KEY, name, json.dumps(json.loads(text) | {"at_ms": at_ms}))
    assert [one.by for one in agreements_on(kept.redis, CASE.case_id)] == ["mo", "lea"]


def test_one_person_is_no_two(kept: KeptEvidence) -> None:
    """One person alone could take the pictures out, by writing their name in another way."""
    agreed(kept, LEAD)
    found = agree(kept.redis, CASE, replace(LEAD, name="LEA"), recipient="age1x")
    assert [one.by for one in found] == ["lea"]
    assert not suffices(found)
    assert len(kept.entries("agree")) == 1
    for name in ("lea", "LEA"):
        with pytest.raises(DraftError):
            made(kept, replace(LEAD, name=name))


def test_a_lead_is_among_them(kept: KeptEvidence) -> None:
    """Two moderators could hand out a case that nobody responsible has seen."""
    agreed(kept, MODERATOR)
    assert not suffices(agree(kept.redis, CASE, replace(MODERATOR, name="kim"), recipient="age1x"))
    with pytest.raises(DraftError):
        made(kept, MODERATOR)
    for role in (Role.OPERATOR, Role.AUDITOR):
        with pytest.raises(BankRequestError, match="only a moderator or lead"):
            agreed(kept, Actor(name="op", role=role))


def test_agreement_is_to_one_content_and_recipient(kept: KeptEvidence) -> None:
    """A person who agreed to three pictures for the police would have agreed to a fourth, or for somebody else."""
    agreed(kept, MODERATOR)
    assert agreed(kept, LEAD, to="age1y") == ["lea"]
    more = a_case(pictures=(*CASE.pictures, a_picture(3)))
    assert agreed(kept, LEAD, more) == ["lea"]
    revised = a_case(incidents=(an_incident("a", "csea_suspected"),))
    assert agreed(kept, LEAD, revised) == ["lea"]
    assert agreed(kept, LEAD) == ["mo", "lea"]
    for case, to in ((more, "age1x"), (CASE, "age1y")):
        with pytest.raises(DraftError):
            made(kept, LEAD, case, to=to)


def test_agreement_of_yesterday_is_none(kept: KeptEvidence) -> None:
    """A forgotten agreement of last year would be the second one."""
    agreed(kept, MODERATOR)
    ((field, text),) = kept.redis.hgetall(KEY).items()
    kept.redis.hset(KEY, field, json.dumps(json.loads(text) | {"at_ms": json.loads(text)["at_ms"] - 86_400_001}))
    assert agreed(kept, LEAD) == ["lea"]
    assert agreed(kept, MODERATOR) == ["lea", "mo"]


def test_roster_is_asked_in_the_same_step(kept: KeptEvidence) -> None:
    """The agreement of a person who was removed an hour ago would still open the evidence."""
    token = add_person(kept.redis, "lea", "lead", by=Actor.named("lea"))
    assert token is not None
    lea = authenticate(kept.redis, "lea", token)
    tokens = {name: add_person(kept.redis, name, "moderator", by=lea) for name in ("mo", "kim")}
    mo, kim = (authenticate(kept.redis, name, token) for name, token in tokens.items())
    agreed(kept, mo)
    agreed(kept, lea)
    remove_person(kept.redis, "mo", by=lea)
    with pytest.raises(DraftError):
        made(kept, lea)
    with pytest.raises(PeopleError):
        agreed(kept, mo)
    with pytest.raises(PeopleError):
        made(kept, replace(kim, role=Role.LEAD))
    for forged in (Actor(name="kim", role=Role.MODERATOR), replace(kim, proof="x"), replace(kim, role=Role.LEAD)):
        with pytest.raises(PeopleError):
            agreed(kept, forged)
    assert agreed(kept, kim) == ["lea", "kim"]
    made(kept, kim)


def test_agreements_made_before_there_was_a_roster_are_none(kept: KeptEvidence) -> None:
    """Whoever agreed under a made-up name would count once people have tokens."""
    agreed(kept, MODERATOR)
    token = add_person(kept.redis, "lea", "lead", by=Actor.named("lea"))
    lea = authenticate(kept.redis, "lea", token)
    add_person(kept.redis, "mo", "moderator", by=lea)
    assert agreed(kept, lea) == ["lea"]


def test_agreeing_again_changes_nothing(kept: KeptEvidence) -> None:
    """The audit log would have two agreements of one person, which read like those of two."""
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: agreed(kept, LEAD), range(8)))
    assert found == [["lea"]] * 8
    assert len(kept.entries("agree")) == 1


def test_agreements_are_bounded_and_damage_is_none(kept: KeptEvidence) -> None:
    """A script could fill Redis with names, or a damaged record stop every package."""
    kept.redis.hset(KEY, "x", "{")
    kept.redis.hset(KEY, "y", "[1]")
    kept.redis.hset(KEY, "z", json.dumps({"by": 7, "agreed": content_of(CASE, "age1x"), "at_ms": "soon"}))
    for number in range(MOST_AGREEMENTS - 3):
        agreed(kept, replace(MODERATOR, name=f"m{number}"))
    with pytest.raises(DraftError, match="the limit"):
        agreed(kept, LEAD)


def test_what_changed_since_an_agreement_is_named(kept: KeptEvidence) -> None:
    """The second person would not learn why their agreement is the first one again."""
    (given,) = agree(kept.redis, CASE, MODERATOR, recipient="age1x")
    assert agreements_on(kept.redis, CASE.case_id) == [given]
    assert (given.recipient, given.outcomes, given.pictures) == ("age1x", ("a csea_apparent",), 3)
    assert changes_since(given, CASE) == []
    revised = replace(CASE, incidents=(an_incident("a", "csea_suspected"),))
    joined = replace(CASE, incidents=(*CASE.incidents, an_incident("b", "")))
    assert changes_since(given, revised) == ["a csea_suspected"]
    assert changes_since(given, joined) == ["b "]
    assert changes_since(given, replace(CASE, incidents=(an_incident("c"),), pictures=())) == [
        *("c csea_apparent", "a"),
        "pictures",
    ]
    assert changes_since(given, replace(CASE, pictures=CASE.pictures[:2])) == ["pictures"]
    # As many, and not the same ones; and a case of which not every incident is named.
    other = replace(CASE, pictures=(*CASE.pictures[:2], a_picture(3)))
    assert changes_since(given, other) == ["pictures"]
    large = replace(given, outcomes=tuple(f"{number} " for number in range(MOST_NAMED)))
    assert changes_since(large, revised) == ["pictures"]


def test_agreements_of_older_versions_and_damaged_ones_are_read(kept: KeptEvidence) -> None:
    """The page of a package would be an error for a day after an upgrade."""
    (given,) = agree(kept.redis, CASE, MODERATOR, recipient="age1x")
    older = {name: value for name, value in vars(given).items() if name not in ("recipient", "outcomes", "pictures")}
    kept.redis.hset(KEY, mapping={"kim": json.dumps(older | {"by": "kim"}), "x": "{", "y": "[]", "z": "7"})
    kept.redis.hset(KEY, "past", json.dumps(older | {"by": "past", "at_ms": 1}))
    found = agreements_on(kept.redis, CASE.case_id)
    assert [(one.by, one.recipient, one.pictures) for one in found] == [("kim", "", None), ("mo", "age1x", 3)]
    assert changes_since(found[0], CASE) != []
