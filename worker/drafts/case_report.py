"""The value that drafts, lint and package are made from: a case, as records and audit log have it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from worker.retention.reports import AuthorityReport

REPORTABLE: Final = ("csea_apparent", "csea_suspected", "child_at_risk")
"""Outcomes of which authorities are informed, the gravest first. Pictures of incidents with another outcome, or with
none yet, are in no draft."""

CLASSIFICATIONS: Final = ("A1", "A2", "B1", "B2")
"""Categories of a decision that are an industry classification, the gravest first."""

HIT: Final = "hit"
"""The role of a picture on which a rule held; others are context."""


@dataclass(frozen=True, kw_only=True)
class ClearView:
    """An entry of the audit log: a person saw a picture clear."""

    ref: str
    by: str
    verified: bool
    """The person proved to be `by`, by a token."""
    at: str
    """RFC 3339."""
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class ReportedMatch:
    """A match of the stream with an entry of a hash list. The listed hash itself is in no record."""

    list: str
    entry: str
    distance: int | None = None
    """Hamming distance of the PDQ hashes, of 256; None: the record of it is damaged."""
    category: str = ""
    source: str = ""
    tags: tuple[str, ...] = ()

    def __str__(self) -> str:
        said = [f"list {self.list}", f"entry {self.entry}"]
        said += [] if self.distance is None else [f"distance {self.distance} of 256"]
        said += [f"category {self.category}"] if self.category else []
        return ", ".join(said)


@dataclass(frozen=True, kw_only=True)
class CasePicture:
    """A picture that is kept of an incident, without its pixels."""

    ref: str
    incident_id: str
    kind: str
    """`hit`: a rule held on it. `context`: it shows what came before or after."""
    captured: str
    """Broadcast time, RFC 3339."""
    picture_sha256: str
    """SHA-256 of the JPEG, in hex."""
    sealed_sha256: str
    """SHA-256 of the sealed file, in hex."""
    pdq: str = ""
    """64 hex digits; empty: unhashable, or unknown."""
    rule: str = ""
    distance: int | None = None
    """Hamming distance of its nearest match; None: no match."""
    known: bool = False
    """The rule held by matches on hash lists alone."""


@dataclass(frozen=True, kw_only=True)
class CaseJudgement:
    """A person's decision on an incident."""

    outcome: str
    by: str
    verified: bool
    at: str
    note: str = ""
    category: str = ""
    """A1, A2, B1, B2 or unseen; empty: none was stated."""


@dataclass(frozen=True, kw_only=True)
class CaseIncident:
    """An incident of the case."""

    incident_id: str
    rule: str
    severity: str
    raised: str
    captured_first: str = ""
    """Broadcast time of its first picture, RFC 3339; empty: unknown."""
    captured_last: str = ""
    hits: int = 0
    degraded: tuple[str, ...] = ()
    matches: tuple[ReportedMatch, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)
    versions: Mapping[str, Any] = field(default_factory=dict)
    judgements: tuple[CaseJudgement, ...] = ()
    """The first one first; the last is in force."""
    record: Mapping[str, Any] = field(default_factory=dict)
    """As `livewarden queue show --json` prints it."""

    @property
    def outcome(self) -> str:
        """The outcome in force; empty: nobody has decided."""
        return self.judgements[-1].outcome if self.judgements else ""

    @property
    def classification(self) -> str:
        """The industry classification that the decision in force states; empty: none, or nobody saw a picture clear."""
        category = self.judgements[-1].category if self.judgements else ""
        return category if category in CLASSIFICATIONS else ""

    @property
    def reportable(self) -> bool:
        """A person decided that it is, or may be, child sexual exploitation or abuse, or that a child is at risk."""
        return self.outcome in REPORTABLE


@dataclass(frozen=True, kw_only=True)
class CaseReport:
    """A case at one time."""

    case_id: str
    deployment: str
    drafted: str
    """Time of this reading by Redis's clock, RFC 3339."""
    stream_id: str
    purpose: str = "live"
    streams: tuple[str, ...] = ()
    """Streams of a case that one hash raised on many; empty: `stream_id` alone."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """The platform's own notes on the stream: untyped, and partly written by the broadcaster."""
    incidents: tuple[CaseIncident, ...] = ()
    pictures: tuple[CasePicture, ...] = ()
    views: tuple[ClearView, ...] = ()
    """Clear views of these pictures, the first one first."""
    reports: tuple[AuthorityReport, ...] = ()
    """Reports of the case that people recorded."""
    unrecorded: tuple[str, ...] = ()
    """Incidents of the case whose record is gone."""
    unopened_segments: int = 0
    """Parts of the audit log that could not be opened: views in them are not among `views`."""

    @property
    def drill(self) -> bool:
        """Nothing of it is real: a drill or a canary."""
        return self.purpose in ("drill", "canary")

    @property
    def reportable(self) -> tuple[CaseIncident, ...]:
        """The incidents that are reported."""
        return tuple(one for one in self.incidents if one.reportable)

    @property
    def outcome(self) -> str:
        """The gravest outcome of its incidents that is reported; empty: none is."""
        found = {one.outcome for one in self.reportable}
        return next((outcome for outcome in REPORTABLE if outcome in found), "")

    @property
    def reported_pictures(self) -> tuple[CasePicture, ...]:
        """The pictures of incidents that are reported, each once."""
        reported = {one.incident_id for one in self.reportable}
        return tuple(one for one in self.pictures if one.incident_id in reported)

    @property
    def captured_first(self) -> str:
        """Broadcast time of the first picture of incidents that are reported; empty: unknown."""
        return min((one.captured_first for one in self.reportable if one.captured_first), default="")

    def classification_of(self, picture: CasePicture) -> str:
        """Returns the classification that the decision on a picture's incident states; empty: none."""
        found = (one.classification for one in self.reportable if one.incident_id == picture.incident_id)
        return next(found, "")

    def seen_clear(self, ref: str) -> bool:
        """Returns whether the audit log has it that a person saw this very picture clear."""
        return any(view.ref == ref for view in self.views)

    def reported_to(self, authority: str) -> tuple[AuthorityReport, ...]:
        """The recorded reports to an authority."""
        return tuple(one for one in self.reports if one.authority.casefold() == authority.casefold())

    @property
    def unreadable_reports(self) -> int:
        """The number of recorded reports of which nobody can say to whom they went."""
        return sum(not one.authority for one in self.reports)

    def described_metadata(self) -> str:
        """Returns the platform's notes as JSON on one line; empty: there are none."""
        return json.dumps(dict(self.metadata), ensure_ascii=False, sort_keys=True) if self.metadata else ""
