"""Hashes that raise no incident of a stream: those in quarantine, and those that match many streams at once.

A hash that floods is one incident for a lead, and not one a stream (`worker.incidents.hash_flood_groups` keeps it).
Matches in quarantine are counted, and the verdict log has them. Either way other matches of a picture raise as always.
"""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

from config.facts import ALLOW, SELFTEST, Hit, ListedHash, ListMatch
from config.policy.policy import Policy


@dataclass(frozen=True, kw_only=True)
class FloodCandidate:
    """A sampled picture for which a rule holds by listed hashes alone."""

    cause: Hit
    """The most urgent hit of the picture."""
    matches: tuple[ListMatch, ...]
    """Those hashes, each once."""
    principles: tuple[int, ...]
    """Principles of all hits of the picture."""

    @property
    def hashes(self) -> frozenset[ListedHash]:
        return frozenset(match.listed for match in self.matches)


@dataclass(frozen=True, kw_only=True)
class FilteredHits:
    """Hits without silent hashes."""

    hits: tuple[Hit, ...]
    muted: Mapping[str, int] = field(default_factory=dict)
    """By rule: how many hits rested on silent hashes alone."""
    silent: frozenset[ListedHash] = frozenset()
    """Hashes that were taken out."""

    def without(self, silent: Set[ListedHash], policy: Policy) -> "FilteredHits":
        """Takes these out of all hits."""
        return replace(self, hits=()).joined(filter_hits(self.hits, silent, policy)) if silent else self

    def joined(self, other: "FilteredHits") -> "FilteredHits":
        """Both together."""
        return FilteredHits(
            hits=(*self.hits, *other.hits),
            muted=dict(Counter(self.muted) + Counter(other.muted)),
            silent=self.silent | other.silent,
        )


def flood_candidates(hits: Sequence[Hit], policy: Policy) -> list[FloodCandidate]:
    """The pictures whose hashes may flood, by capture time.

    Hits of shadow rules, the test card and allowed hashes are left out: they call no person anyway.
    """
    pictures: dict[int, list[Hit]] = {}
    for hit in hits:
        if policy.rule(hit.rule).mode == "live" and _known(hit):
            pictures.setdefault(hit.capture_ms, []).append(hit)
    return [
        FloodCandidate(
            cause=min(together, key=lambda hit: hit.severity.rank),
            matches=tuple({match.listed: match for hit in together for match in _known(hit)}.values()),
            principles=tuple(sorted({number for hit in together for number in hit.principles})),
        )
        for _, together in sorted(pictures.items())
    ]


def _known(hit: Hit) -> list[ListMatch]:
    return [match for match in hit.grounds if match.list not in (SELFTEST, ALLOW) and not match.allowed]


def filter_hits(hits: Sequence[Hit], silent: Set[ListedHash], policy: Policy) -> FilteredHits:
    """Takes `silent` hashes out of hits; a hit that rested on nothing else is only counted.

    The rest of a hit does not even name them, so that they cannot interrupt a stream.
    """
    kept: list[Hit] = []
    muted: Counter[str] = Counter()
    for hit in hits:
        grounds = tuple(match for match in hit.grounds if match.listed not in silent)
        if policy.rule(hit.rule).mode == "shadow":
            kept.append(hit)
        elif hit.grounds and not grounds:
            muted[hit.rule] += 1
        else:
            matches = tuple(match for match in hit.matches if match.listed not in silent)
            frames = tuple(frame for frame in hit.frames if ListedHash(frame.list, frame.entry) not in silent)
            kept.append(replace(hit, grounds=grounds, matches=matches, frames=frames))
    return FilteredHits(hits=tuple(kept), muted=dict(muted), silent=frozenset(silent))
