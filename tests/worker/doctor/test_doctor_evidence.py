"""`livewarden doctor` on evidence: keys, spool and pictures that wait."""

from pathlib import Path

import pytest
from evidence_items import Pair, identity_file, promote, recipients_file, sealed_item
from faulty_store import FaultyFiles
from redis import Redis

from config.settings import Settings
from worker.doctor.deployment import check_store
from worker.doctor.diagnosis import Diagnosis, State
from worker.doctor.evidence import check_evidence, examine_backlog
from worker.evidence.spool import Spool
from worker.store.redis_keys import EVIDENCE_WAITING


@pytest.fixture
def sound(tmp_path: Path) -> dict[str, str]:
    """Settings of a sound deployment, with its only recipient's identity."""
    pair = Pair()
    for folder in ("public", "private"):
        (tmp_path / folder).mkdir()
    return {
        "LIVEWARDEN_EVIDENCE_RECIPIENTS": str(recipients_file(tmp_path / "public/recipients", [pair])),
        "LIVEWARDEN_EVIDENCE_IDENTITY": str(identity_file(tmp_path / "private/key", pair)),
        "LIVEWARDEN_SPOOL_DIR": str(tmp_path / "spool"),
        "LIVEWARDEN_SPOOL_BYTES": "1000000",
    }


def rows(environment: dict[str, str]) -> dict[str, Diagnosis]:
    return {row.name: row for row in check_evidence(Settings.from_mapping(environment))}


def test_sound_evidence_is_shown_with_its_keys(sound: dict[str, str]) -> None:
    """An operator would not see whose keys open evidence."""
    found = rows(sound)
    assert {row.state for row in found.values()} == {State.OK}
    assert "sealed to 1 key: age1" in found["evidence keys"].found
    assert "0 pictures" in found["evidence spool"].found


def test_a_deployment_without_recipients_is_warned(sound: dict[str, str]) -> None:
    """Moderators would decide for months without ever seeing a picture."""
    del sound["LIVEWARDEN_EVIDENCE_RECIPIENTS"]
    found = rows(sound)
    assert [row.state for row in found.values()] == [State.WARN]
    assert "keygen" in found["evidence keys"].advice


def test_a_broken_file_of_recipients_fails_and_shows_no_key(sound: dict[str, str]) -> None:
    """Evidence would be lost from the next start on; or a private key be shown on an operator's screen."""
    path, pair = Path(sound["LIVEWARDEN_EVIDENCE_RECIPIENTS"]), Pair()
    path.write_text(f"{pair.secret}\n")
    row = rows(sound)["evidence keys"]
    assert row.state is State.FAIL
    assert "a private key" in row.found
    assert pair.secret[20:] not in str(row)
    path.unlink()
    assert "No such file" in rows(sound)["evidence keys"].found


@pytest.mark.parametrize(
    ("mistake", "text"),
    [
        ("other", "is none of them"),
        ("missing", "No such file"),
        ("readable", "other users of this machine"),
        ("beside", "lies in the folder of the public ones"),
    ],
)
def test_a_wrong_identity_is_warned_of(sound: dict[str, str], tmp_path: Path, mistake: str, text: str) -> None:
    """Evidence of months would turn out to be sealed to nobody, or readable by everybody."""
    path = Path(sound["LIVEWARDEN_EVIDENCE_IDENTITY"])
    if mistake == "other":
        identity_file(path, Pair())
    elif mistake == "missing":
        path.unlink()
    elif mistake == "readable":
        path.chmod(0o644)
    else:
        path.rename(tmp_path / "public/key")
        sound["LIVEWARDEN_EVIDENCE_IDENTITY"] = str(tmp_path / "public/key")
    row = rows(sound)["evidence keys"]
    assert row.state is State.WARN
    assert text in row.found


def test_a_spool_that_fills_up_is_warned_of_and_one_that_cannot_be_written_fails(sound: dict[str, str]) -> None:
    """An operator would learn of it from the first incident without a picture."""
    spool, pair = Spool(Path(sound["LIVEWARDEN_SPOOL_DIR"]), 1_000_000), Pair()
    item = sealed_item(pair)
    spool.put([item])
    assert "1 picture" in rows(sound)["evidence spool"].found
    (spool.folder / f"{item.ref}.hit.age").write_bytes(b"x" * 900_000)
    assert "90%" in rows(sound)["evidence spool"].found
    spool.set_aside(item.ref)
    row = rows(sound)["evidence spool"]
    assert (row.state, "1 damaged picture set aside" in row.found) == (State.WARN, True)
    sound["LIVEWARDEN_SPOOL_DIR"] = sound["LIVEWARDEN_EVIDENCE_RECIPIENTS"]
    assert rows(sound)["evidence spool"].state is State.FAIL


def test_pictures_that_wait_for_long_are_warned_of(redis: Redis) -> None:
    """A store that takes nothing would be noticed once the spool is full."""
    (row,) = examine_backlog(redis)
    assert row.state is State.OK
    promote(redis, "i-1", sealed_item(Pair()))
    (row,) = examine_backlog(redis)
    assert (row.state, "1 picture of incidents" in row.found) == (State.OK, True)
    (ref,) = redis.zrange(EVIDENCE_WAITING.name, 0, -1)
    redis.zincrby(EVIDENCE_WAITING.name, -600_000, ref)
    (row,) = examine_backlog(redis)
    assert row.state is State.WARN
    assert "the oldest for 60" in row.found


def test_a_store_that_lies_fails(tmp_path: Path) -> None:
    """Verdicts and evidence would be lost one after another."""
    settings = Settings.from_mapping({"LIVEWARDEN_STORE_URL": f"faulty://{tmp_path / 'store'}"})
    FaultyFiles.reset()
    assert check_store(settings).state is State.OK
    FaultyFiles.lies = "alters"
    try:
        row = check_store(settings)
    finally:
        FaultyFiles.reset()
    assert row.state is State.FAIL
    assert "gives back another one" in row.found
