"""Sealing in the age format (age-encryption.org/v1) to X25519 recipients, and opening with an identity."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pyrage
from pyrage import x25519

from config.regular_file import open_regular
from config.settings import Settings
from worker.errors import EvidenceError
from worker.evidence.item import MAX_HEAD_BYTES, MAX_SEALED_BYTES, ItemHead, SealedItem, digest_of

MAX_RECIPIENTS: Final = 20
"""Number of recipients, <=: each adds 100 bytes and 0.1 ms to every item."""

MAX_FILE_BYTES: Final = 64 * 1024
"""Size of a file of recipients or identities, <=."""

PUBLIC_PREFIX: Final = "age1"
PRIVATE_PREFIX: Final = "AGE-SECRET-KEY-"


class Recipients:
    """The public keys that evidence is sealed to: each one opens it alone."""

    def __init__(self, public_keys: Iterable[str]) -> None:
        """Each key once, whatever their order.

        Raises:
            EvidenceError: one is malformed, or there are none or too many.
        """
        self.public_keys = tuple(dict.fromkeys(public_keys))
        try:
            self._keys = [x25519.Recipient.from_str(key) for key in self.public_keys]
        except pyrage.RecipientError:
            raise EvidenceError(f"expected public keys, each {PUBLIC_PREFIX}…", reason="recipients") from None
        if not 1 <= len(self._keys) <= MAX_RECIPIENTS:
            raise EvidenceError(
                f"expected 1 to {MAX_RECIPIENTS} public keys, found {len(self._keys)}", reason="recipients"
            )
        self.fingerprint = hashlib.sha256("\n".join(sorted(self.public_keys)).encode()).hexdigest()[:16]
        """Identifies the set of recipients: what is sealed to another set may be sealed again."""

    @classmethod
    def read(cls, path: Path) -> "Recipients":
        """Reads a file of public keys, one a line; blank lines and those that begin with # are left out.

        Raises:
            EvidenceError: it cannot be read, or a line is no public key; the text names the line and quotes nothing.
        """
        keys = []
        for number, line in _lines(path, reason="recipients"):
            if PRIVATE_PREFIX in line.upper():
                raise EvidenceError(
                    f"{path}:{number}: a private key, which whoever takes over a worker would read here: remove it, "
                    "and make a new pair with `livewarden evidence keygen`, for this one is no secret any more",
                    reason="recipients",
                )
            if line.startswith("#"):
                continue
            try:
                x25519.Recipient.from_str(line)
            except pyrage.RecipientError:
                raise EvidenceError(
                    f"{path}:{number}: expected a public key {PUBLIC_PREFIX}…, as `livewarden evidence keygen` prints "
                    "it, and nothing else on the line",
                    reason="recipients",
                ) from None
            keys.append(line)
        if not keys:
            raise EvidenceError(f"{path}: expected a public key a line, found none", reason="recipients")
        try:
            return cls(keys)
        except EvidenceError as error:
            raise EvidenceError(f"{path}: {error}", reason="recipients") from None

    def encrypt(self, content: bytes) -> bytes:
        """Returns `content` sealed."""
        sealed: bytes = pyrage.encrypt(content, self._keys)
        return sealed


class Identity:
    """Private keys, any of which may open an item. It is never printed, logged or pickled."""

    def __init__(self, keys: Sequence[Any]) -> None:
        self._keys = list(keys)

    def __repr__(self) -> str:
        return f"Identity({len(self._keys)} keys)"

    def __reduce__(self) -> str:
        raise TypeError("a private key stays in its process")

    @property
    def public_keys(self) -> tuple[str, ...]:
        """The public keys that belong to it."""
        return tuple(str(key.to_public()) for key in self._keys)

    @classmethod
    def of(cls, settings: Settings) -> "Identity":
        """Reads the private key of the process.

        Raises:
            EvidenceError: LIVEWARDEN_EVIDENCE_IDENTITY is not set, or its file is not usable (`identity`).
        """
        if settings.evidence_identity is None:
            raise EvidenceError(
                "LIVEWARDEN_EVIDENCE_IDENTITY: set it to the file of your private key (`livewarden evidence keygen`)",
                reason="identity",
            )
        try:
            return cls.read(settings.evidence_identity)
        except EvidenceError as error:
            raise EvidenceError(f"LIVEWARDEN_EVIDENCE_IDENTITY: {error}", reason=error.reason) from error

    @classmethod
    def read(cls, path: Path) -> "Identity":
        """Reads a file of private keys, as `livewarden evidence keygen` and `age-keygen` write it.

        Raises:
            EvidenceError: it cannot be read, or a line is no private key; the text names the line and quotes nothing.
        """
        keys = []
        for number, line in _lines(path, reason="identity"):
            if line.startswith("#"):
                continue
            if line.startswith(PUBLIC_PREFIX):
                raise EvidenceError(
                    f"{path}:{number}: a public key, which seals and opens nothing: expected the file that "
                    "`livewarden evidence keygen` wrote",
                    reason="identity",
                )
            try:
                keys.append(x25519.Identity.from_str(line))
            except pyrage.IdentityError:
                raise EvidenceError(
                    f"{path}:{number}: expected a private key {PRIVATE_PREFIX}…, as `livewarden evidence keygen` "
                    "writes it",
                    reason="identity",
                ) from None
        if not keys:
            raise EvidenceError(f"{path}: expected a private key, found none", reason="identity")
        return cls(keys)

    def decrypt(self, sealed: bytes) -> bytes:
        """Returns the content.

        Raises:
            EvidenceError: it is sealed to others (`not-for-you`), or was altered, cut or is something else (`damaged`).
        """
        try:
            content: bytes = pyrage.decrypt(sealed, self._keys)
        except pyrage.DecryptError as error:
            if "No matching keys" in str(error):
                raise EvidenceError(
                    "is sealed to other keys than those of this identity", reason="not-for-you"
                ) from None
            raise EvidenceError("was altered or cut, or was never sealed evidence", reason="damaged") from None
        return content


def seal(head: ItemHead, jpeg: bytes, recipients: Recipients) -> SealedItem:
    """Seals a picture with its head.

    Raises:
        EvidenceError: the head does not belong to the picture, or either is larger than an item may be.
    """
    line = head.to_json().encode()
    if digest_of(jpeg) != head.picture_sha256:
        raise EvidenceError(f"item {head.ref}: its head has the digest of another picture", reason="picture")
    if len(line) > MAX_HEAD_BYTES or len(line) + len(jpeg) > MAX_SEALED_BYTES - 64 * 1024:
        raise EvidenceError(f"item {head.ref}: larger than an item may be", reason="picture")
    sealed = recipients.encrypt(line + b"\n" + jpeg)
    return SealedItem(head=head, sealed=sealed, sha256=digest_of(sealed), sealed_to=recipients.fingerprint)


def open_sealed(sealed: bytes, identity: Identity) -> tuple[ItemHead, bytes]:
    """Returns the head and the JPEG of a sealed item, once they belong to each other.

    Raises:
        EvidenceError: as `Identity.decrypt`; or the picture is not the one of its head (`damaged`).
    """
    line, found, jpeg = identity.decrypt(sealed).partition(b"\n")
    if not found or len(line) > MAX_HEAD_BYTES:
        raise EvidenceError("the head of an item is malformed", reason="damaged")
    head = ItemHead.read(line)
    if digest_of(jpeg) != head.picture_sha256:
        raise EvidenceError(f"item {head.ref}: the picture is not the one that its head describes", reason="damaged")
    return head, jpeg


def _lines(path: Path, *, reason: str) -> Iterator[tuple[int, str]]:
    """Lines with content, numbered from 1."""
    try:
        with open_regular(path) as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise EvidenceError(f"{path}: {error.strerror}", reason=reason) from error
    if len(content) > MAX_FILE_BYTES:
        raise EvidenceError(f"{path}: expected at most {MAX_FILE_BYTES} bytes", reason=reason)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:  # its text would quote bytes of a key
        raise EvidenceError(f"{path}: expected a text in UTF-8", reason=reason) from None
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield number, line.strip()
