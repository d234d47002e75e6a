"""YAML files as people write them, read within bounds; each reader puts its own words around what is wrong."""

from pathlib import Path

import yaml

from config.documents.mistakes import Mistake, YamlText, yaml_mistake
from config.regular_file import open_regular


class DocumentError(ValueError):
    """A file that cannot be read, or is no YAML."""

    def __init__(self, mistake: Mistake) -> None:
        super().__init__(str(mistake))
        self.mistake = mistake


def read_document(path: Path, *, max_bytes: int, expected: str) -> YamlText:
    """Reads and parses a file; arguments and errors as those of `read_bytes` and `parse_document`."""
    return parse_document(read_bytes(path, max_bytes=max_bytes, expected=expected))


def read_bytes(path: Path, *, max_bytes: int, expected: str) -> bytes:
    """Reads a file.

    Args:
        path: of a regular file, or standard input.
        max_bytes: size that it may have (<=).
        expected: what a larger file is not, in words.

    Raises:
        DocumentError: it cannot be read, or is larger.
    """
    try:
        with open_regular(path) as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise DocumentError(Mistake(text=f"cannot be read: {error.strerror}")) from error
    if len(data) > max_bytes:
        raise DocumentError(Mistake(text=f"over {max_bytes} bytes: expected {expected}"))
    return data


def parse_document(data: bytes, *, max_tokens: int | None = None) -> YamlText:
    """Parses bytes that were read.

    Args:
        data: in UTF-8.
        max_tokens: keys, values and brackets that there may be; None: any number.

    Raises:
        DocumentError: naming what was expected, and the line where there is one.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentError(Mistake(text=f"byte {error.start}: expected UTF-8 text")) from error
    try:
        return YamlText(text, max_tokens=max_tokens)
    except yaml.MarkedYAMLError as error:
        raise DocumentError(yaml_mistake(error, text)) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DocumentError(Mistake(text=f"expected YAML: {' '.join(str(error).split())}")) from error
