"""The lists that are always there: the test card, and what the platform itself confirmed or allowed."""

from types import MappingProxyType
from typing import Final

from config.facts import ALLOW, SELFTEST
from models.bank.entries import CONFIRMED, Entry, HashKind, ListSpec
from models.testcard import TESTCARD_HASHES

ALLOW_DISTANCE: Final = 8
"""What is allowed must be the very picture that a lead saw, not one like it (docs/architecture.md, "Verdicts")."""

BUILT_IN_SPECS = MappingProxyType(
    {
        SELFTEST: ListSpec(name=SELFTEST, source="livewarden", category="test card", exportable=True),
        CONFIRMED: ListSpec(name=CONFIRMED, source="platform", category="confirmed", exportable=True),
        ALLOW: ListSpec(name=ALLOW, source="platform", category="harmless", max_distance=ALLOW_DISTANCE),
    }
)
"""Name -> list, in the order in which lists are told."""

SELFTEST_ENTRIES = tuple(
    Entry(entry=name, kind=HashKind.PDQ, value=bytes.fromhex(digits)) for name, digits in TESTCARD_HASHES.items()
)
"""The whole of the list `selftest`; nothing adds to it or takes from it."""
