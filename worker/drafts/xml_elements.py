"""Builds elements of XML from texts that a broadcaster may have written."""

import re
from typing import Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring

_FORBIDDEN: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 has no form for (section 2.2): a document with one is refused whole."""


def xml_text(text: str) -> str:
    """Returns a text in which each character that XML cannot have is U+FFFD, so that it shows that something was
    there."""
    return _FORBIDDEN.sub("\ufffd", text)


def add_text(parent: Element, tag: str, value: str | bool | int | None, *, most: int = 0, **attributes: str) -> None:
    """Appends an element with a text; nothing for an empty one, or None.

    Args:
        most: characters that the schema allows; 0: any number. What is more is cut off, and an ellipsis says so.
    """
    if value is None or value == "":
        return
    text = str(value).lower() if isinstance(value, bool) else xml_text(str(value))
    element = SubElement(parent, tag, attributes)
    element.text = text if not most or len(text) <= most else f"{text[: most - 1]}…"


def add_flag(parent: Element, tag: str) -> None:
    """Appends an empty element, which says something by being there."""
    SubElement(parent, tag)


def add_filled(parent: Element, child: Element) -> None:
    """Appends an element unless it is empty."""
    if len(child) or child.text:
        parent.append(child)


def to_document(root: Element) -> str:
    """Returns the element as an XML document."""
    indent(root)
    return f"<?xml version='1.0' encoding='UTF-8'?>\n{tostring(root, encoding='unicode')}\n"
