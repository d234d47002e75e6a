"""Which state of the hash lists a picture was compared with, and whether something has come into force since."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from worker.bank.changelog import START, position
from worker.bank.deployed import Deployed
from worker.bank.folder_lists import FolderLists


@dataclass(frozen=True, kw_only=True)
class BankMark:
    """One state of the hash lists. Without arguments: nothing was in force but the built-in lists."""

    edition: int | None = 0
    """Of the snapshot that was open (`worker.bank.changelog.Pointer.edition`); None: nobody knows."""
    position: str = START
    """Id of the last change of the bank that was in force."""
    files: frozenset[str] = frozenset()
    """"LIST VERSION" of the lists of files."""
    whole: bool = True
    """Every change up to `position` could be read."""

    @classmethod
    def of(cls, deployed: Deployed, folder: FolderLists) -> Self:
        """That of a process."""
        return cls(
            edition=deployed.pointer.edition,
            position=deployed.position,
            files=frozenset(f"{name} {version}" for name, (version, _) in folder.lists.items()),
            whole=not deployed.unreadable,
        )

    @classmethod
    def oldest(cls, marks: Iterable[Self]) -> Self:
        """The state of which all the others have everything; at least one mark."""
        first, *others = marks
        oldest = first
        for mark in others:
            oldest = cls(
                edition=oldest.edition if oldest.edition == mark.edition else None,
                position=min(oldest.position, mark.position, key=position),
                files=oldest.files & mark.files,
                whole=oldest.whole and mark.whole,
            )
        return oldest

    def lacks_deployed(self, current: "BankMark") -> bool:
        """Whether `current` may have a hash of the deployed bank that this has not."""
        if not self.whole or self.edition is None or self.edition != current.edition:
            return True
        return position(self.position) < position(current.position)

    def lacks(self, current: "BankMark") -> bool:
        """The same of all lists, those of files too."""
        return self.lacks_deployed(current) or not current.files <= self.files

    def to_json(self) -> str:
        """As it is kept in Redis."""
        return json.dumps(
            {"edition": self.edition, "position": self.position, "files": sorted(self.files), "whole": self.whole}
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Reads what `to_json` wrote. What is damaged, or missing in it, is taken for the oldest state."""
        try:
            record = json.loads(text)
            edition, where = record.get("edition"), str(record.get("position", START))
            position(where)
            return cls(
                edition=edition if isinstance(edition, int) else None,
                position=where,
                files=frozenset(map(str, record.get("files", ()))),
                whole=record.get("whole") is True,
            )
        except (ValueError, TypeError, AttributeError, RecursionError):
            return cls(edition=None, whole=False)
