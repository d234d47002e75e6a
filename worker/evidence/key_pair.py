"""Makes a key pair, as `age-keygen` does."""

import os
from pathlib import Path

from pyrage import x25519

from worker.errors import LocalFileError


def make_key_pair(path: Path) -> str:
    """Writes a new private key into a new file that only its owner can read; returns the public key.

    Raises:
        LocalFileError: there is something of that name, which is never overwritten, or it cannot be written.
    """
    identity = x25519.Identity.generate()
    public = str(identity.to_public())
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            os.fchmod(file.fileno(), 0o600)  # whatever the umask
            file.write(f"# public key: {public}\n{identity}\n")
            file.flush()
            # What is sealed to a key that a power failure takes away is lost.
            os.fsync(file.fileno())
    except FileExistsError:
        raise LocalFileError(
            f"{path}: exists, and is not overwritten: what is sealed to the key in it would be lost"
        ) from None
    except OSError as error:
        raise LocalFileError(f"{path}: {error.strerror}") from error
    return public
