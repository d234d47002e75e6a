"""Passwords: argon2id, at most a few computed at once."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type, hash_secret_raw
from argon2.profiles import RFC_9106_LOW_MEMORY

from desk.errors import SignInError

SHORTEST: Final = 12
"""Characters of a password; longer is what helps (NIST SP 800-63B-4, section 3.1.1.2), rules of composition do not."""
LONGEST: Final = 256
"""Characters: bounds what one request lets argon2 read."""
AT_ONCE: Final = 2
"""Hashes computed at once, of 64 MiB and four threads each: a flood of sign-ins takes 128 MiB, and leaves the cores
some time for pages."""
MOST_PLACES: Final = 12
"""People who sign in at once; each waits in a thread, and pages need the other 28 of them."""
BUSY_SECONDS: Final = 5
"""Said to whoever finds no place: by then all twelve have their answer."""
SALT_BYTES: Final = 16
KEY_BYTES: Final = 32

_hasher: Final = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
_slots: Final = BoundedSemaphore(AT_ONCE)
_places: Final = BoundedSemaphore(MOST_PLACES)
_nobodys: Final = "$argon2id$v=19$m=65536,t=3,p=4$bGl2ZXdhcmRlbiBkZXNrIQ$MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI"
"""A hash that no password has: a name without an account takes as long to refuse as a wrong password."""


@contextmanager
def place() -> Iterator[None]:
    """A place among those who wait for a hash; to be had before a try is counted.

    Raises:
        SignInError: there is none.
    """
    if not _places.acquire(blocking=False):
        raise SignInError("sign_in.busy", wait_seconds=BUSY_SECONDS)
    try:
        yield
    finally:
        _places.release()


def check_new_password(password: str, name: str) -> None:
    """Refuses a password that is too short or too long, or is the person's name.

    Raises:
        SignInError: with the reason.
    """
    if len(password) < SHORTEST:
        raise SignInError("sign_in.password_short")
    if len(password) > LONGEST:
        raise SignInError("sign_in.password_long")
    if password.casefold() == name.casefold() or len(set(password)) == 1:
        raise SignInError("sign_in.password_weak")


def hash_password(password: str) -> str:
    """The hash of a password, in PHC form, with a salt of its own."""
    with _slots:
        return _hasher.hash(password)


def is_password(password: str, phc: str | None) -> bool:
    """Returns whether the password has that hash; takes as long where there is none (None or empty)."""
    with _slots:
        try:
            return _hasher.verify(phc or _nobodys, password[:LONGEST]) and bool(phc)
        except (VerificationError, InvalidHashError):
            return False


def is_outdated(phc: str) -> bool:
    """Returns whether a hash was made with other parameters than today's."""
    return _hasher.check_needs_rehash(phc)


def new_salt() -> bytes:
    """A salt of the key that a password gives."""
    return secrets.token_bytes(SALT_BYTES)


def key_of_password(password: str, salt: bytes) -> bytes:
    """The key that seals what only the password's owner may use: `KEY_BYTES` bytes."""
    profile = RFC_9106_LOW_MEMORY
    with _slots:
        return hash_secret_raw(
            password.encode(),
            salt,
            time_cost=profile.time_cost,
            memory_cost=profile.memory_cost,
            parallelism=profile.parallelism,
            hash_len=KEY_BYTES,
            type=Type.ID,
        )
