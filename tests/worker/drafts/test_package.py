"""The sealed package of a case: complete, for one recipient, and verified without Livewarden."""

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from evidence_items import Pair
from kept_evidence import LEAD, MODERATOR, KeptEvidence

from worker.audit.chainer import link_waiting
from worker.audit.copies import copy_log
from worker.audit.entries import append_entry, audit_entry
from worker.audit.published_heads import publish_head
from worker.audit.search import AuditSearch
from worker.drafts.packaging import PackageOutcome, Packaging
from worker.drafts.verify_package import faults_in_package
from worker.errors import BankRequestError, DraftError, EvidenceError, LocalFileError
from worker.evidence.evidence_store import EvidenceStore
from worker.evidence.item import digest_of
from worker.evidence.reading import EvidenceReader
from worker.evidence.sealing import Identity
from worker.people.actor import Actor, Role
from worker.queue.revisions import revise


def package(
    kept: KeptEvidence,
    given: str,
    actor: Actor,
    *,
    to: str,
    out: Path,
    meanwhile: Callable[[], Identity] | None = None,
) -> PackageOutcome:
    """Runs the command; `meanwhile` is called once two people agree, and gives the private key."""
    audit = AuditSearch(kept.redis, kept.store, opened=None)
    reader = EvidenceReader(redis=kept.redis, store=EvidenceStore(lambda: kept.store), spool=kept.spool)
    packaging = Packaging(
        redis=kept.redis,
        audit=audit,
        reader=reader,
        identity=lambda: kept.pair.identity if meanwhile is None else meanwhile(),
        deployment="test",
    )
    return packaging.package(given, actor, to=to, out=out)


@pytest.fixture
def court() -> Pair:
    """The recipient's key pair."""
    return Pair()


@pytest.fixture
def unpacked(kept: KeptEvidence, court: Pair, tmp_path: Path) -> Path:
    """The package of a case, as the recipient unpacks it."""
    incident = kept.incident(outcome="csea_apparent", waiting=1)
    ref = min(kept.refs(incident))
    append_entry(kept.redis, audit_entry("view", by="mo", verified=True, subject=ref, shown="clear", reason="judge"))
    append_entry(kept.redis, audit_entry("view", by="kim", verified=True, subject="0" * 32, shown="clear"))
    out = tmp_path / "case.zip.age"
    assert package(kept, incident, MODERATOR, to=court.public, out=out).package is None
    assert not out.exists()
    link_waiting(kept.redis)
    assert publish_head(kept.redis, deployment="test")
    done = package(kept, incident, LEAD, to=court.public, out=out)
    assert done.package is not None
    assert (done.package.pictures, done.missing) == (3, ())
    assert out.stat().st_mode & 0o777 == 0o600
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(io.BytesIO(court.identity.decrypt(out.read_bytes()))) as archive:
        archive.extractall(folder)
    (entry,) = kept.entries("package")
    assert entry["details"]["manifest_sha256"] == digest_of((folder / "manifest.json").read_bytes())
    return folder


def test_package_has_history_decisions_hashes_and_pictures(unpacked: Path) -> None:
    """A court could not see who decided what on which pictures."""
    manifest = json.loads((unpacked / "manifest.json").read_text())
    assert (manifest["draft"], [one["by"] for one in manifest["agreements"]]) == (True, ["mo", "lea"])
    assert sorted(one["seen_clear"] for one in manifest["pictures"]) == [False, False, True]
    for one in manifest["pictures"]:
        assert one["file"] == f"pictures/hit/{one['ref']}.jpg"
        assert digest_of((unpacked / one["file"]).read_bytes()) == one["picture_sha256"]
    (decision,) = json.loads((unpacked / "decisions.json").read_text())
    assert (decision["outcome"], decision["by"]) == ("csea_apparent", "mo")
    assert len(json.loads((unpacked / "hashes.json").read_text())) == 3
    history = json.loads((unpacked / "history.json").read_text())
    assert (history["stream_id"], len(history["incidents"]), len(history["clear_views"])) == ("cam-1", 1, 1)


def test_audit_extract_has_this_case_alone(unpacked: Path) -> None:
    """Acts on other cases would be handed to a court, or acts on this one be missing."""
    lines = (unpacked / "audit/entries.jsonl").read_text().splitlines()
    acts = [json.loads(json.loads(line)["entry"]) for line in lines]
    assert [(one["act"], one["by"]) for one in acts] == [("decision", "mo"), ("view", "mo"), ("agree", "mo")]
    assert json.loads((unpacked / "audit/proof.json").read_text())["heads"]


def test_recipient_verifies_it_with_python_alone(unpacked: Path) -> None:
    """A court would have to trust whoever handed it over."""
    ran = subprocess.run([sys.executable, "-I", unpacked / "verify.py"], capture_output=True, text=True, cwd="/")
    assert (ran.returncode, ran.stdout) == (0, "all files and entries agree\n"), ran.stderr
    (unpacked / "history.json").write_text("{}")
    ran = subprocess.run([sys.executable, "-I", unpacked / "verify.py"], capture_output=True, text=True, cwd="/")
    assert (ran.returncode, ran.stdout.splitlines()[0]) == (1, "history.json: was altered")


def reseal_sums(folder: Path) -> None:
    """Writes the digests anew, as a forger does."""
    names = sorted(one.relative_to(folder).as_posix() for one in folder.rglob("*") if one.is_file())
    sums = (f"{digest_of((folder / name).read_bytes())}  {name}\n" for name in names if name != "SHA256SUMS")
    (folder / "SHA256SUMS").write_text("".join(sums))


@pytest.mark.parametrize("act", ["alter", "drop", "swap", "add", "renumber", "picture", "head", "link"])
def test_each_forgery_shows(unpacked: Path, act: str) -> None:
    """An altered record of who saw or decided what would pass as the log's."""
    path = unpacked / "audit/entries.jsonl"
    lines = path.read_text().splitlines()
    match act:
        case "alter":
            lines[1] = lines[1].replace("mo", "kim")
        case "drop":
            del lines[1]
        case "swap":
            lines[0], lines[1] = lines[1], lines[0]
        case "add":
            (unpacked / "more.txt").write_text("x")
        case "renumber":
            lines[-1] = json.dumps(json.loads(lines[-1]) | {"n": 99})
        case "picture":
            one = next((unpacked / "pictures/hit").iterdir())
            one.write_bytes(b"another")
        case "head":
            proof = json.loads((unpacked / "audit/proof.json").read_text())
            last = json.loads(lines[-1])
            proof["heads"] = [{"chain": last["chain"], "n": last["n"], "hash": "0" * 64, "published": ""}]
            (unpacked / "audit/proof.json").write_text(json.dumps(proof))
        case "link":
            (unpacked / "README.txt").unlink()
            (unpacked / "README.txt").symlink_to(unpacked / "verify.py")
    path.write_text("".join(f"{line}\n" for line in lines))
    if act != "add":
        reseal_sums(unpacked)
    assert faults_in_package(unpacked)


def test_only_the_recipient_opens_it(kept: KeptEvidence, court: Pair, tmp_path: Path) -> None:
    """Whoever finds the file on a disk or in a mailbox would have the pictures."""
    incident = kept.incident(outcome="csea_apparent")
    out = tmp_path / "out"
    for actor in (LEAD, MODERATOR):
        package(kept, incident, actor, to=court.public, out=out)
    with pytest.raises(EvidenceError):
        kept.pair.identity.decrypt(out.read_bytes())
    beginnings = {path.read_bytes()[:2] for path in tmp_path.rglob("*") if path.is_file()}
    assert not beginnings & {b"PK", b"\xff\xd8"}


def test_missing_pictures_are_named(kept: KeptEvidence, court: Pair, tmp_path: Path) -> None:
    """One damaged file would keep a whole case from a court, or be missing without a word."""
    incident = kept.incident(outcome="csea_apparent", pictures=3)
    lost = min(kept.refs(incident))
    next((kept.folder / "store").rglob(f"evidence/{incident}/{lost}.age")).write_bytes(b"x")
    package(kept, incident, MODERATOR, to=court.public, out=tmp_path / "out")
    done = package(kept, incident, LEAD, to=court.public, out=tmp_path / "out")
    assert done.package is not None
    assert done.package.pictures == 2
    (text,) = done.missing
    assert lost in text


def test_refused_packages(kept: KeptEvidence, court: Pair, tmp_path: Path) -> None:
    """Pictures that nobody judged would be handed out, or an agreement be spent on a file that cannot be written."""
    incident = kept.incident()
    with pytest.raises(DraftError, match="nobody has decided"):
        package(kept, incident, LEAD, to=court.public, out=tmp_path / "out")
    kept.decide(incident, "csea_apparent")
    with pytest.raises(EvidenceError, match="--to"):
        package(kept, incident, LEAD, to="age1nobody", out=tmp_path / "out")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LocalFileError):
        package(kept, incident, LEAD, to=court.public, out=tmp_path / "link")
    assert kept.entries("agree") == []


def test_decision_that_is_revised_meanwhile_counts(kept: KeptEvidence, court: Pair, tmp_path: Path) -> None:
    """Pictures of a case that was just found harmless would be handed out."""
    incident = kept.incident(outcome="csea_apparent")
    package(kept, incident, MODERATOR, to=court.public, out=tmp_path / "out")

    def found_harmless() -> Identity:
        revise(kept.redis, incident, "harmless", by="mo", note="a test card", deployment="test")
        return kept.pair.identity

    with pytest.raises(DraftError, match="the case has changed"):
        package(kept, incident, LEAD, to=court.public, out=tmp_path / "out", meanwhile=found_harmless)
    assert not (tmp_path / "out").exists()
    assert kept.entries("package") == []


def test_operator_cannot_agree(kept: KeptEvidence, court: Pair, tmp_path: Path) -> None:
    """Whoever runs the machines could take the pictures out."""
    incident = kept.incident(outcome="csea_apparent")
    with pytest.raises(BankRequestError, match="only a moderator or lead"):
        package(kept, incident, Actor(name="op", role=Role.OPERATOR), to=court.public, out=tmp_path / "out")


def test_log_that_cannot_be_opened_is_named(kept: KeptEvidence, court: Pair, tmp_path: Path) -> None:
    """A court would take the extract for all that people did."""
    incident = kept.incident(outcome="csea_apparent")
    link_waiting(kept.redis)
    copy_log(kept.redis, kept.store, sealed=kept.pair.recipients.encrypt, deployment="test")
    kept.redis.xtrim("lw:audit", maxlen=0)
    package(kept, incident, MODERATOR, to=court.public, out=tmp_path / "out")
    (text,) = package(kept, incident, LEAD, to=court.public, out=tmp_path / "out").missing
    assert text.startswith("1 part of the audit log could not be opened")
