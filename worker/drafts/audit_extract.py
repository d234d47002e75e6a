"""The entries of the audit log that name a case, whole, so that their hashes can be checked without Livewarden."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from worker.audit.chain import LinkedEntry
from worker.audit.published_heads import PublishedHead
from worker.audit.search import entry_record, named_in
from worker.drafts.case_report import CaseReport
from worker.events.cloudevent import rfc3339


@dataclass(frozen=True, kw_only=True)
class AuditExtract:
    """Entries that name a case, and what they can be compared with."""

    entries: tuple[LinkedEntry, ...] = ()
    """By chain and number."""
    heads: tuple[PublishedHead, ...] = ()
    """Heads of these chains, as they were published to operators: the first that has all entries, and the newest."""

    def to_lines(self) -> bytes:
        """Returns the entries, one a line, in the form in which the store has them."""
        return "".join(f"{entry.to_json()}\n" for entry in self.entries).encode()

    def to_proof(self) -> bytes:
        """Returns the heads, and how a hash is made, as JSON."""
        proof: dict[str, Any] = {
            "hash": 'SHA-256 of the JSON array ["livewarden-audit-1", chain, n, previous, at_ms, entry], in ASCII',
            "entries": len(self.entries),
            "heads": [
                {"chain": one.chain, "n": one.n, "hash": one.hash, "published": rfc3339(one.published_ms)}
                for one in self.heads
            ],
        }
        return (json.dumps(proof, indent=2) + "\n").encode()


def extract(case: CaseReport, entries: Iterable[LinkedEntry], heads: Iterable[PublishedHead]) -> AuditExtract:
    """Chooses the entries that name the case, one of its incidents or pictures. Acts on other cases stay out."""
    names = {case.case_id, *(one.incident_id for one in case.incidents), *(one.ref for one in case.pictures)}
    names |= set(case.unrecorded)
    chosen = {
        (one.chain, one.n, one.hash): one
        for one in entries
        if names & set(named_in(entry_record(one.entry, at_ms=one.at_ms, linked=one)))
    }
    own = tuple(chosen[place] for place in sorted(chosen))
    return AuditExtract(entries=own, heads=_heads(own, heads))


def _heads(entries: tuple[LinkedEntry, ...], published: Iterable[PublishedHead]) -> tuple[PublishedHead, ...]:
    last = {entry.chain: entry.n for entry in entries}
    found: dict[str, list[PublishedHead]] = {}
    for head in published:
        if head.n >= last.get(head.chain, head.n + 1):
            found.setdefault(head.chain, []).append(head)
    kept = []
    for heads in found.values():
        heads.sort(key=lambda head: (head.n, head.published_ms))
        kept += heads if len(heads) == 1 else [heads[0], heads[-1]]
    return tuple(kept)
