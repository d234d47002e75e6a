"""Files that a person names, opened without waiting: a pipe or a device is refused."""

import errno
import os
import re
import stat
from pathlib import Path
from typing import BinaryIO, Final

_GIVEN: Final = re.compile(r"/dev/stdin|/dev/fd/\d+|/proc/self/fd/\d+")

_OTHERS: Final = ((stat.S_ISFIFO, "a pipe"), (stat.S_ISDIR, "a folder"), (stat.S_ISCHR, "a device"))


def open_regular(path: Path) -> BinaryIO:
    """A regular file, open for reading; the caller closes it.

    What this process was given open, such as /dev/stdin, is taken whatever it is: who names it means to wait for it.

    Raises:
        OSError: it is missing, not readable or no regular file; `strerror` is the reason.
    """
    if _GIVEN.fullmatch(str(path)):
        return path.open("rb")
    try:
        # An ordinary open of a pipe waits for a writer, without bound.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except ValueError as error:  # a NUL, or what no file system can write
        raise OSError(errno.EINVAL, "expected the name of a file") from error
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        found = next((name for is_one, name in _OTHERS if is_one(mode)), "something else")
        raise OSError(errno.EINVAL, f"expected a regular file, found {found}")
    return os.fdopen(descriptor, "rb")
