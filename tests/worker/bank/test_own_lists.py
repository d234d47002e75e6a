"""Additions by people to the lists `confirmed` and `allow`, and quarantines: the rights of each role."""

import json
import secrets
from collections.abc import Callable

import pytest
from redis import Redis

from config.facts import ListMatch, SampleFacts, Severity, StreamFacts
from config.policy.policy import Policy
from models.bank.bank import Bank
from models.bank.entries import Entry, HashKind, ListSpec
from models.pdq.pdq import PdqHash
from worker.bank import edits
from worker.bank.allowance import allow_tags, evaluate
from worker.bank.compaction import compact
from worker.bank.keys import CHANGES, PROPOSED, QUARANTINE
from worker.bank.lists_in_force import as_list_match
from worker.bank.own_lists import PROPOSAL_HOURS, allow, confirm
from worker.bank.quarantine import lift_quarantine, quarantines, set_quarantine
from worker.bank.shared_bank import follow
from worker.bank.snapshot_storage import SnapshotStorage
from worker.errors import BankRequestError, QueueError
from worker.incidents.findings import Finding
from worker.people.actor import Actor, Role

ALICE = Actor(name="alice", role=Role.MODERATOR)
BOB = Actor(name="bob", role=Role.MODERATOR)
LEAD = Actor(name="lea", role=Role.LEAD)
STREAM = StreamFacts(stream_id="s")


def picture(quality: int = 90) -> PdqHash:
    return PdqHash(bits=secrets.token_bytes(32), quality=quality)


def flipped(pdq: PdqHash, bits: int) -> PdqHash:
    mask = ((1 << bits) - 1) << (256 - bits)
    return PdqHash(bits=(int.from_bytes(pdq.bits) ^ mask).to_bytes(32), quality=pdq.quality)


def lists_with(redis: Redis, storage: SnapshotStorage, pdq: PdqHash) -> set[str]:
    return {match.list for match in follow(redis, storage).bank.match(pdq)}


@pytest.fixture
def bank(redis: Redis, storage: SnapshotStorage) -> Callable[[], Bank]:
    """The current bank; it has the list `police`."""
    edits.create(redis, follow(redis, storage).bank, ListSpec(name="police", source="police"))
    return lambda: follow(redis, storage).bank


def listed(redis: Redis, bank: Callable[[], Bank], pdq: PdqHash) -> None:
    edits.add(redis, bank(), "police", [Entry(entry="case-7", kind=HashKind.PDQ, value=pdq.bits)])


class TestConfirmed:
    """The platform's own known material needs the judgement of two people."""

    def test_a_picture_is_listed_once_a_second_person_confirms_it(self, redis: Redis, storage: SnapshotStorage) -> None:
        """One moderator's mistake would call every colleague to harmless streams."""
        pdq = picture()
        first = confirm(redis, pdq, actor=ALICE)
        assert not first.confirmed
        assert lists_with(redis, storage, pdq) == set()
        for again in ("alice", "ALICE"):
            with pytest.raises(BankRequestError, match="a second person"):
                confirm(redis, pdq, actor=Actor(name=again, role=Role.LEAD))
        second = confirm(redis, pdq, actor=BOB)
        assert (second.confirmed, second.proposed_by, second.entry) == (True, "alice", first.entry)
        assert lists_with(redis, storage, pdq) == {"confirmed"}
        (match,) = follow(redis, storage).bank.match(pdq)
        assert match.tags == ("proposed-by:alice", "confirmed-by:bob")
        assert redis.hlen(PROPOSED) == 0

    def test_a_proposal_is_forgotten_after_a_week(self, redis: Redis, storage: SnapshotStorage) -> None:
        """A proposal that nobody backed would become known material months later by a colleague's mistake."""

        def let_pass(hours: int) -> None:
            ((key, text),) = redis.hgetall(PROPOSED).items()
            proposal = json.loads(text)
            redis.hset(PROPOSED, key, json.dumps(proposal | {"at_ms": proposal["at_ms"] - hours * 3_600_000}))

        pdq = picture()
        confirm(redis, pdq, actor=ALICE)
        let_pass(PROPOSAL_HOURS + 1)
        late = confirm(redis, pdq, actor=BOB)
        assert (late.confirmed, late.proposed_by) == (False, "bob")
        assert lists_with(redis, storage, pdq) == set()
        let_pass(PROPOSAL_HOURS - 1)
        assert confirm(redis, pdq, actor=ALICE).confirmed
        assert lists_with(redis, storage, pdq) == {"confirmed"}

    def test_a_picture_of_low_quality_is_not_confirmed(self, redis: Redis) -> None:
        """Its hash would match unrelated pictures."""
        with pytest.raises(BankRequestError, match="quality 79"):
            confirm(redis, picture(79), actor=ALICE)

    @pytest.mark.parametrize("role", [Role.PLATFORM, Role.OPERATOR, Role.AUDITOR])
    def test_only_moderators_confirm(self, redis: Redis, role: Role) -> None:
        """People who have not seen the material could declare it known."""
        with pytest.raises(BankRequestError, match="only a moderator or lead"):
            confirm(redis, picture(), actor=Actor(name="x", role=role))

    def test_nothing_else_adds_to_it(self, redis: Redis, bank: Callable[[], Bank]) -> None:
        """A script could fill it."""
        entry = Entry(entry="e", kind=HashKind.PDQ, value=bytes(32))
        for name in ("confirmed", "allow", "selftest"):
            with pytest.raises(BankRequestError, match="takes no such entry"):
                edits.add(redis, bank(), name, [entry])

    def test_only_a_lead_removes_from_it(
        self, redis: Redis, storage: SnapshotStorage, bank: Callable[[], Bank]
    ) -> None:
        """Known material could be removed without anybody answering for it."""
        pdq = picture()
        confirm(redis, pdq, actor=ALICE)
        entry = confirm(redis, pdq, actor=BOB).entry
        for by in ("operator", BOB):
            with pytest.raises(BankRequestError, match="lead"):
                edits.remove(redis, bank(), "confirmed", [entry], by=by)
        edits.remove(redis, bank(), "confirmed", [entry], by=LEAD)
        assert lists_with(redis, storage, pdq) == set()
        assert redis.xrevrange(CHANGES, count=1)[0][1]["by"] == "lea"


class TestAllow:
    """A lead allows a picture that an authority lists."""

    RULES = """
version: "1"
rules:
  - {name: known, when: 'matches.exists(m, m.list != "allow")', severity: critical, action: interrupt, lists: [police]}
  - {name: nude, when: 'score("m/nsfw") > 0.5', severity: high}
"""

    def hits(
        self, policy: Policy, bank: Bank, pdq: PdqHash, *, now_ms: int = 0, score: float = 0.0
    ) -> dict[str, Severity]:
        sample = SampleFacts(
            capture_ms=0,
            pts_seconds=0.0,
            reason="keyframe",
            pdq_quality=90,
            matches=tuple(as_list_match(match) for match in bank.match(pdq)),
            scores={"m/nsfw": score},
        )
        return {hit.rule: hit.severity for hit in evaluate(policy, STREAM, sample, now_ms=now_ms).hits}

    def test_it_lowers_the_severity_and_hides_nothing(
        self, redis: Redis, bank: Callable[[], Bank], policy_of: Callable[[str], Policy]
    ) -> None:
        """An authority's mistake would call moderators each time; or an allowed picture would not be seen at all."""
        policy, pdq = policy_of(self.RULES), picture()
        listed(redis, bank, pdq)
        assert self.hits(policy, bank(), pdq) == {"known": Severity.CRITICAL}
        allow(redis, bank(), pdq, list_name="police", hours=1, actor=LEAD)
        assert self.hits(policy, bank(), pdq) == {"known": Severity.REVIEW}
        assert self.hits(policy, bank(), pdq, score=0.9) == {"known": Severity.REVIEW, "nude": Severity.HIGH}

    def test_it_holds_for_the_exact_picture_only(
        self, redis: Redis, bank: Callable[[], Bank], policy_of: Callable[[str], Policy]
    ) -> None:
        """A picture similar to the allowed one may be the known one."""
        policy, pdq = policy_of(self.RULES), picture()
        listed(redis, bank, pdq)
        allow(redis, bank(), pdq, list_name="police", hours=1, actor=LEAD)
        assert self.hits(policy, bank(), flipped(pdq, 8)) == {"known": Severity.REVIEW}
        assert self.hits(policy, bank(), flipped(pdq, 9)) == {"known": Severity.CRITICAL}

    def test_it_holds_for_its_list_only(
        self, redis: Redis, bank: Callable[[], Bank], policy_of: Callable[[str], Policy]
    ) -> None:
        """An entry that another authority lists too would be allowed along with it."""
        policy, pdq = policy_of(self.RULES), picture()
        listed(redis, bank, pdq)
        edits.create(redis, bank(), ListSpec(name="ncmec", source="NCMEC"))
        edits.add(redis, bank(), "ncmec", [Entry(entry="n", kind=HashKind.PDQ, value=pdq.bits)])
        allow(redis, bank(), pdq, list_name="police", hours=1, actor=LEAD)
        assert self.hits(policy, bank(), pdq) == {"known": Severity.CRITICAL}

    def test_it_expires_and_is_removed(
        self, redis: Redis, storage: SnapshotStorage, bank: Callable[[], Bank], policy_of: Callable[[str], Policy]
    ) -> None:
        """A picture that was harmless in one case would be allowed for good."""
        policy, pdq = policy_of(self.RULES), picture()
        listed(redis, bank, pdq)
        entry = allow(redis, bank(), pdq, list_name="police", hours=1e-8, actor=LEAD)
        until = int(next(tag for tag in entry.tags if tag.startswith("until:")).removeprefix("until:"))
        assert self.hits(policy, bank(), pdq, now_ms=until - 1) == {"known": Severity.REVIEW}
        assert self.hits(policy, bank(), pdq, now_ms=until) == {"known": Severity.CRITICAL}
        assert compact(redis, storage, changes=1)
        assert bank().sizes["allow"] == 0

    def test_an_allowed_match_does_not_count_towards_an_interruption(self, policy_of: Callable[[str], Policy]) -> None:
        """A stream would be interrupted for a picture that a lead found harmless."""
        matches = (
            ListMatch(list="police", entry="case-7", distance=0),
            ListMatch(list="allow", entry="a", distance=0, tags=allow_tags("police", 1000, "lea")),
        )
        sample = SampleFacts(capture_ms=5, pts_seconds=0.0, reason="keyframe", pdq_quality=90, matches=matches)
        (hit,) = evaluate(policy_of(self.RULES), STREAM, sample, now_ms=0).hits
        assert Finding.of(hit, ("police",)).interrupt_frames_ms == ()
        (hit,) = evaluate(policy_of(self.RULES), STREAM, sample, now_ms=1000).hits
        assert Finding.of(hit, ("police",)).interrupt_frames_ms == (5,)

    @pytest.mark.parametrize(
        ("name", "hours", "actor", "problem"),
        [
            ("police", 1, ALICE, "only a lead"),
            ("police", 0, LEAD, "--hours"),
            ("police", 24 * 365, LEAD, "at most"),
            ("nowhere", 1, LEAD, "no list 'nowhere'"),
            ("confirmed", 1, LEAD, "expected the list"),
        ],
    )
    def test_it_needs_a_lead_a_list_and_an_end(
        self, redis: Redis, bank: Callable[[], Bank], name: str, hours: float, actor: Actor, problem: str
    ) -> None:
        """Anybody could allow known material."""
        with pytest.raises(BankRequestError, match=problem):
            allow(redis, bank(), picture(), list_name=name, hours=hours, actor=actor)


class TestQuarantine:
    """A quarantine for a hash that floods."""

    def test_moderation_reads_it_and_a_lead_lifts_it(self, redis: Redis, bank: Callable[[], Bank]) -> None:
        """A flood would go on after a lead has quarantined it; or known material would stay silent."""
        listed(redis, bank, picture())
        made = set_quarantine(redis, bank(), "police", "case-7", hours=2, reason="a logo", actor=LEAD)
        assert json.loads(redis.hget(QUARANTINE, "police/case-7")) == {
            "until_ms": made.until_ms,
            "by": "lea",
            "reason": "a logo",
        }
        assert quarantines(redis) == (made,)
        lift_quarantine(redis, "police", "case-7", actor=LEAD)
        assert quarantines(redis) == ()
        with pytest.raises(BankRequestError, match="not in quarantine"):
            lift_quarantine(redis, "police", "case-7", actor=LEAD)

    @pytest.mark.parametrize(
        ("entry", "hours", "reason", "actor", "problem"),
        [
            ("case-7", 1, "a logo", BOB, "only a lead"),
            ("case-7", 73, "a logo", LEAD, "at most 72"),
            ("case-7", float("nan"), "a logo", LEAD, "--hours"),
            ("case-7", 1, "a\nlogo", LEAD, "--reason"),
            ("case-8", 1, "a logo", LEAD, "has no entry"),
        ],
    )
    def test_it_needs_a_lead_a_reason_and_an_end(
        self, redis: Redis, bank: Callable[[], Bank], entry: str, hours: float, reason: str, actor: Actor, problem: str
    ) -> None:
        """Anybody could silence known material for good."""
        listed(redis, bank, picture())
        with pytest.raises(BankRequestError, match=problem):
            set_quarantine(redis, bank(), "police", entry, hours=hours, reason=reason, actor=actor)


@pytest.mark.parametrize(("by", "role"), [(None, "lead"), ("lea", None), ("lea", "boss"), ("", "lead")])
def test_an_author_has_a_name_and_a_role(by: str | None, role: str | None) -> None:
    """Nobody would answer for the change."""
    with pytest.raises((BankRequestError, QueueError)):
        Actor.of(by, role)
