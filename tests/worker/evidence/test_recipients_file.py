"""The file of recipients, followed by workers: keys are rotated while they run, and mistakes cost no evidence."""

from pathlib import Path

import pytest
from evidence_items import Pair, recipients_file

from worker.errors import EvidenceError
from worker.evidence.recipients_file import RecipientsFile, log_unsealed


def test_a_new_key_is_sealed_to_without_a_restart(tmp_path: Path) -> None:
    """A key that leaked would be sealed to until somebody restarts all workers."""
    one, other = Pair(), Pair()
    path = recipients_file(tmp_path / "recipients", [one])
    followed = RecipientsFile(path, read_again_seconds=0)
    assert followed.current().public_keys == (one.public,)
    recipients_file(path, [other])
    assert followed.current().public_keys == (other.public,)
    assert followed.trouble is None


@pytest.mark.parametrize("mistake", ["missing", "malformed", "private"])
def test_the_last_good_keys_stay_while_the_file_is_broken(
    tmp_path: Path, mistake: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A typo, or an editor that replaces the file, would lose the evidence of a minute; or nobody would learn of it."""
    pair = Pair()
    path = recipients_file(tmp_path / "recipients", [pair])
    followed = RecipientsFile(path, read_again_seconds=0)
    followed.current()
    path.unlink()
    if mistake != "missing":
        path.write_text("nonsense" if mistake == "malformed" else pair.secret)
    assert followed.current().public_keys == (pair.public,)
    assert followed.trouble is not None
    assert str(path) in caplog.text
    assert pair.secret[20:] not in caplog.text
    recipients_file(path, [pair])
    followed.current()
    assert followed.trouble is None
    assert "can be read again" in caplog.text


def test_without_usable_recipients_nothing_is_sealed(tmp_path: Path) -> None:
    """A picture would be kept that nobody may keep, or an escalation wait for a key."""
    with pytest.raises(EvidenceError) as caught:
        RecipientsFile(None).current()
    assert caught.value.reason == "no-recipients"
    followed = RecipientsFile(tmp_path / "missing", read_again_seconds=0)
    for _ in range(2):
        with pytest.raises(EvidenceError, match="No such file") as caught:
            followed.current()
        assert caught.value.reason == "recipients"
    recipients_file(tmp_path / "missing", [Pair()])
    assert followed.current()


def test_a_starting_worker_says_that_it_keeps_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An operator would learn that pictures are missing from the first moderator who needs one."""
    log_unsealed(recipients_file(tmp_path / "recipients", [Pair()]))
    assert caplog.text == ""
    log_unsealed(None)
    log_unsealed(tmp_path / "missing")
    assert caplog.text.count("no picture behind an incident is kept") == 2
