"""Matches of a picture's hashes on the lists in force."""

from config.facts import ListMatch
from models.bank.bank import Bank
from models.pdq.pdq import PdqHash
from models.pdq.variants import Variants
from worker.bank.lists_in_force import as_list_match


def list_matches(bank: Bank, pdq: PdqHash, variants: Variants) -> tuple[ListMatch, ...]:
    """Returns a picture's matches; none where neither it nor a variant of it can be hashed."""
    if not pdq.hashable and not any(variant.hashable for several in variants.values() for variant in several):
        return ()
    return tuple(as_list_match(match) for match in bank.match(pdq, variants=variants))
