"""Sealing and opening: what a worker writes only reviewers read, and what was tampered with is refused."""

import json
import pickle
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from evidence_items import Pair, head_of, identity_file, picture, recipients_file, sealed_item

from worker.errors import EvidenceError
from worker.evidence.item import MAX_HEAD_BYTES, digest_of
from worker.evidence.picture import size_of, to_jpeg
from worker.evidence.sealing import MAX_RECIPIENTS, Identity, Recipients, open_sealed, seal


def test_each_recipient_alone_opens_an_item() -> None:
    """A second custodian could not open what the first one may; or a key that is rotated out would be needed."""
    one, other = Pair(), Pair()
    jpeg = to_jpeg(picture())
    head = head_of(jpeg)
    item = seal(head, jpeg, Recipients([one.public, other.public]))
    assert open_sealed(item.sealed, one.identity) == (head, jpeg)
    assert open_sealed(item.sealed, other.identity) == (head, jpeg)
    assert item.sha256 == digest_of(item.sealed)


def test_nobody_else_opens_it_and_nothing_of_it_shows() -> None:
    """Whoever takes over a worker or a store would see pictures, or learn of what stream they are."""
    item = sealed_item(Pair())
    with pytest.raises(EvidenceError, match="other keys") as caught:
        open_sealed(item.sealed, Pair().identity)
    assert caught.value.reason == "not-for-you"
    assert b"stream-1" not in item.sealed
    assert b"\xff\xd8\xff" not in item.sealed


def test_an_altered_or_cut_item_is_refused() -> None:
    """A person would decide on a picture that somebody changed, or on half of one."""
    pair = Pair()
    sealed = sealed_item(pair).sealed
    flipped = bytearray(sealed)
    flipped[-1] ^= 1
    for damaged in (bytes(flipped), sealed[:-10], sealed[:100], sealed + b"x", b"", b"\xff\xd8 a picture in the clear"):
        with pytest.raises(EvidenceError, match="altered or cut") as caught:
            open_sealed(damaged, pair.identity)
        assert caught.value.reason == "damaged"


def test_a_head_of_another_picture_is_refused() -> None:
    """Whoever has the public keys could put a picture of his own under the head of another."""
    pair = Pair()
    head, jpeg = head_of(to_jpeg(picture(1))), to_jpeg(picture(2))
    with pytest.raises(EvidenceError, match="another picture"):
        seal(head, jpeg, pair.recipients)
    forged = pair.recipients.encrypt(head.to_json().encode() + b"\n" + jpeg)
    with pytest.raises(EvidenceError, match="not the one that its head describes"):
        open_sealed(forged, pair.identity)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"{}\n",
        b"[]\n",
        b"x" * (MAX_HEAD_BYTES + 1) + b"\n",
        b'{"format": 2}\n',
        b"[" * 9_999 + b"\n",
        b"\xff\n",
    ],
)
def test_a_malformed_head_is_refused_on_one_line(content: bytes) -> None:
    """A forged item would end the reviewer's command with a traceback, or fill memory."""
    pair = Pair()
    with pytest.raises(EvidenceError) as caught:
        open_sealed(pair.recipients.encrypt(content), pair.identity)
    assert "\n" not in str(caught.value)
    assert caught.value.reason == "damaged"


def test_a_head_of_a_newer_version_is_read_with_unknown_fields_ignored() -> None:
    """Evidence of yesterday's workers could not be opened today, during a rollout."""
    pair, jpeg = Pair(), to_jpeg(picture())
    head = head_of(jpeg)
    line = json.dumps({**json.loads(head.to_json()), "of_tomorrow": 1}).encode()
    assert open_sealed(pair.recipients.encrypt(line + b"\n" + jpeg), pair.identity)[0] == head


def test_the_standard_tool_opens_an_item(tmp_path: Path, ci_or_skip: Callable[[str], NoReturn]) -> None:
    """An authority that is handed evidence would need Livewarden to read it."""
    pair, jpeg = Pair(), to_jpeg(picture())
    item = seal(head_of(jpeg), jpeg, pair.recipients)
    path = tmp_path / "item.age"
    path.write_bytes(item.sealed)
    key = identity_file(tmp_path / "key", pair)
    try:
        opened = subprocess.run(["age", "--decrypt", "--identity", key, path], capture_output=True, check=True).stdout
    except FileNotFoundError:
        ci_or_skip("age is not installed")
    assert opened.partition(b"\n")[2] == jpeg


def test_recipients_are_read_with_comments_and_each_once(tmp_path: Path) -> None:
    """An operator could not note whose key a line is; or a line pasted twice would seal everything twice."""
    one, other = Pair(), Pair()
    path = tmp_path / "recipients"
    path.write_text(f"# Kim, until May\n{one.public}\n\n  {other.public}\r\n{one.public}\n")
    recipients = Recipients.read(path)
    assert recipients.public_keys == (one.public, other.public)
    assert recipients.fingerprint == Recipients([other.public, one.public]).fingerprint
    assert recipients.fingerprint != one.recipients.fingerprint


def test_a_private_key_among_recipients_is_refused_and_never_quoted(tmp_path: Path) -> None:
    """The key would lie on every worker, and its owner would not know that it is no secret any more."""
    pair = Pair()
    for line in (pair.secret, pair.secret.lower(), f"# {pair.secret}", f"{pair.public} {pair.secret}"):
        path = tmp_path / "recipients"
        path.write_text(f"{pair.public}\n{line}\n")
        with pytest.raises(EvidenceError, match=r"recipients:2: a private key") as caught:
            Recipients.read(path)
        shown = f"{caught.value}{caught.value.__cause__}".upper()
        assert pair.secret[-20:].upper() not in shown


@pytest.mark.parametrize(
    "line",
    ["age1", "ssh-ed25519 AAAAC3Nza", "kim@example.org", "{public} kim", "{public}{public}", "age1yubikey1q", "\x00"],
)
def test_a_malformed_line_is_named_by_its_number(tmp_path: Path, line: str) -> None:
    """An operator would search a file of twenty keys for the mistake."""
    pair = Pair()
    path = tmp_path / "recipients"
    path.write_text(f"# keys\n{pair.public}\n{line.format(public=Pair().public)}\n")
    with pytest.raises(EvidenceError, match=r"recipients:3: expected a public key age1…") as caught:
        Recipients.read(path)
    assert caught.value.reason == "recipients"


def test_a_file_without_a_usable_key_is_refused(tmp_path: Path) -> None:
    """A worker would seal to nobody, and the pictures be lost."""
    path = tmp_path / "recipients"
    with pytest.raises(EvidenceError, match="No such file"):
        Recipients.read(path)
    for content, expected in (
        (b"# nobody\n", "found none"),
        (b"\xff\xfe", "UTF-8"),
        (b"#" * 100_000, "at most"),
        ("".join(f"{Pair().public}\n" for _ in range(MAX_RECIPIENTS + 1)).encode(), f"expected 1 to {MAX_RECIPIENTS}"),
    ):
        path.write_bytes(content)
        with pytest.raises(EvidenceError, match=expected):
            Recipients.read(path)
    with pytest.raises(EvidenceError, match="found a folder"):
        Recipients.read(tmp_path)


def test_an_identity_of_the_wrong_kind_is_refused_and_never_quoted(tmp_path: Path) -> None:
    """A reviewer would not know why nothing opens; or a typo would show a private key on a screen."""
    pair = Pair()
    path = recipients_file(tmp_path / "key", [pair])
    with pytest.raises(EvidenceError, match=r"key:1: a public key, which seals and opens nothing"):
        Identity.read(path)
    for content in (pair.secret[:-1], pair.secret + "Q", f"{pair.secret} {pair.secret}", "nonsense"):
        path.write_text(content)
        with pytest.raises(EvidenceError, match="key:1: expected a private key") as caught:
            Identity.read(path)
        assert pair.secret[20:40] not in f"{caught.value}{caught.value.__cause__}"
    path.write_text("# nothing\n")
    with pytest.raises(EvidenceError, match="found none"):
        Identity.read(path)


def test_an_identity_shows_nothing_of_its_key() -> None:
    """A private key would be in a log, a traceback, or a message to another process."""
    pair = Pair()
    assert pair.secret[15:] not in repr(pair.identity)
    with pytest.raises(TypeError, match="stays in its process"):
        pickle.dumps(pair.identity)


def test_an_identity_may_hold_the_key_before_rotation_too(tmp_path: Path) -> None:
    """After a rotation older evidence could not be opened without changing files."""
    old, new = Pair(), Pair()
    path = tmp_path / "key"
    path.write_text(f"{new.secret}\n{old.secret}\n")
    identity = Identity.read(path)
    assert identity.public_keys == (new.public, old.public)
    for pair in (old, new):
        item = sealed_item(pair)
        assert open_sealed(item.sealed, identity)[0] == item.head


@pytest.mark.parametrize(
    ("size", "kept"), [((3840, 2160), (1280, 720)), ((640, 480), (640, 480)), ((2000, 1), (1280, 1))]
)
def test_pictures_are_bounded_and_never_enlarged(size: tuple[int, int], kept: tuple[int, int]) -> None:
    """A 4K stream would fill the spool, or a small picture be made up of pixels that nobody sent."""
    jpeg = to_jpeg(picture(width=size[0], height=size[1]))
    assert size_of(jpeg) == kept
    assert b"Exif" not in jpeg


def test_what_is_no_picture_is_refused() -> None:
    """A picture of another layout would be sealed in wrong colours, and judged so."""
    for wrong in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(EvidenceError, match="expected RGB as uint8"):
            to_jpeg(wrong)
    for text in (b"", b"\xff\xd8", b"\xff\xd8\xff\xe0\x00\x02" * 3, b"PNG"):
        with pytest.raises(EvidenceError, match="expected a JPEG"):
            size_of(text)
