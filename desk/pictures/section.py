"""The section of a case's page that has its pictures: closed tiles, at most one open, and the look at this moment."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from desk.cases.case_view import CaseView
from desk.cases.event_values import object_of, text_of
from desk.pictures.kept_pictures import CasePictures
from desk.pictures.tile_words import PictureTile
from desk.texts.catalogue import Texts
from worker.errors import LookError

CLEAR_REASONS: Final = ("unclear", "report", "second", "other")
"""Reasons for a clear view that are offered; the last asks for words."""


@dataclass(frozen=True, kw_only=True)
class LookOffer:
    """The tile that asks for a picture of this moment."""

    offered: bool = False
    """It has a button."""
    waiting: str = ""
    """Id of the look that is under way; empty: none."""
    refused: str = ""
    """The reason that there is no picture; empty: none was refused."""


@dataclass(frozen=True, kw_only=True)
class OpenPicture:
    """The picture that is open."""

    tile: PictureTile
    reduced_path: str
    clear_path: str
    """Address of the clear one, good once; empty: it is open reduced."""
    at: str
    as_set: str
    reason: str
    size: str
    """The person's size, a class of the style sheet."""
    previous_ref: str
    next_ref: str


@dataclass(frozen=True, kw_only=True)
class PictureSection:
    """The words and addresses of the section."""

    path: str
    """Address of the case's page."""
    summary: str
    notice: str
    tiles: tuple[PictureTile, ...]
    opened: OpenPicture | None
    next_ref: str
    """The tile that the key O opens; empty: none."""
    look: LookOffer
    reasons: tuple[str, ...]
    today: str


def summary_of(pictures: CasePictures, view: CaseView, texts: Texts, *, is_open: bool, no_pictures: bool) -> str:
    """The line beside the section's title: how many are kept, or why none are."""
    if not pictures.shown:
        reason = text_of(object_of(object_of(view.first.get("event")).get("data")).get("evidence_none"), "purged")
        return texts(f"picture_none.{reason}" if f"picture_none.{reason}" in texts.by_key else "picture_none.not-kept")
    count = len(pictures.shown)
    if pictures.left_out:
        said = texts("pictures.kept_more", count=count, more=pictures.left_out)
    else:
        said = texts("pictures.kept_open" if is_open else "pictures.kept", count=count)
    return f"{said} {texts('pictures.none_for_you')}" if no_pictures else said


def neighbours(tiles: Sequence[PictureTile], ref: str) -> tuple[str, str]:
    """References of the pictures before and after one that can be opened; empty: there is none."""
    refs = [one.ref for one in tiles if one.opens or one.ref == ref]
    if ref not in refs:
        return "", ""
    at = refs.index(ref)
    return (refs[at - 1] if at else "", refs[at + 1] if at + 1 < len(refs) else "")


def next_closed(tiles: Sequence[PictureTile], ref: str) -> str:
    """The picture that comes next to be opened: the first hit, or the one after the open one; empty: none can be."""
    if ref:
        return neighbours(tiles, ref)[1]
    able = [one for one in tiles if one.opens and not one.broken]
    return able[0].ref if able else ""


def look_refusal(error: LookError, texts: Texts) -> str:
    """The reason that there is no picture of this moment, in words."""
    key = f"look_refused.{error.reason}"
    return texts(key if key in texts.by_key else "look_refused.origin", wait=max(1, error.wait_seconds))
