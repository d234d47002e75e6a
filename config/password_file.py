"""Files with a password in them, as container platforms hand them out."""

from pathlib import Path
from typing import Final

from config.errors import SettingsError
from config.regular_file import open_regular

MAX_PASSWORD_BYTES: Final = 4096
"""Size of a password file, <=. A path that names something else (a log, a disk image) is refused and not read whole."""


def read_password(path: Path) -> str:
    """The file's text, without the one line break that an editor leaves at its end.

    Raises:
        SettingsError: it cannot be read, or is no password; the text names the file and quotes nothing of it.
    """
    try:
        with open_regular(path) as file:
            content = file.read(MAX_PASSWORD_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from error
    if len(content) > MAX_PASSWORD_BYTES:
        raise SettingsError(f"{path}: expected a password of at most {MAX_PASSWORD_BYTES} bytes")
    try:
        password = content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:  # its text would quote bytes of the password
        raise SettingsError(f"{path}: expected a password in UTF-8") from None
    if not password:
        raise SettingsError(f"{path}: expected a password, found an empty file")
    return password
