"""The format of a policy's test cases: streams made up in YAML, and the incidents expected on them.

docs/policy-tests.md explains the format to policy people, config/schemas/policy-tests.v1.json to editors.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from config.documents.mistakes import Mistake, YamlText, mistakes_of
from config.documents.reading import DocumentError, read_document
from config.facts import Severity
from worker.errors import ReplayError

MAX_SAMPLES = 10_000
"""Limit for a case, with repetitions: hours of a stream."""

MAX_FILE_BYTES = 4_000_000


_Number = Annotated[float, Field(strict=True)]
"""YAML 1.1 takes `yes` for a boolean, which Python would take for 1."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class CaseStream(_Part):
    """The stream, as rules see it."""

    id: str = "stream"
    purpose: Literal["live", "drill", "canary"] = "live"
    audience: Literal["public", "limited", "private"] = "public"
    risk_prior: _Number = Field(default=0.0, ge=0, le=1)
    risk: _Number | None = Field(default=None, ge=0, le=1)
    """All reasons to watch it closely; by default its `risk_prior`."""
    metadata: dict[str, Any] = Field(default_factory=dict)
    signals: dict[str, _Number] = Field(default_factory=dict)


class CaseMatch(_Part):
    """A match of the picture with a hash list."""

    list: str
    entry: str = "1"
    distance: int = Field(default=0, ge=0, le=31, strict=True)
    video: str | None = None
    """The listed video of which the entry is a frame."""
    variant: Literal["mirror", "rotate", "crop"] | None = None
    tags: tuple[str, ...] = ()
    allowed: bool = False
    """A lead found the picture harmless."""


class CaseCoverage(_Part):
    """The coverage of the picture's segment; by default all of it was moderated."""

    segment_seconds: _Number = Field(default=2.0, ge=0)
    moderated_seconds: _Number = Field(default=2.0, ge=0)
    unhashable_seconds: _Number = Field(default=0.0, ge=0)
    failed_seconds: _Number = Field(default=0.0, ge=0)


class CaseSample(_Part):
    """A sampled picture; it is a segment of its own."""

    at: _Number = Field(ge=0, le=86_400)
    """Seconds from the beginning of the stream."""
    scores: dict[str, Annotated[_Number, Field(ge=0, le=1)]] = Field(default_factory=dict)
    """By MODEL/LABEL."""
    matches: tuple[CaseMatch, ...] = ()
    reason: Literal["keyframe", "cut", "gap", "audit"] = "keyframe"
    quality: int = Field(default=100, ge=0, le=100, strict=True)
    coverage: CaseCoverage = CaseCoverage()
    repeat: int = Field(default=1, ge=1, le=MAX_SAMPLES, strict=True)
    """The number of such pictures, the first `at`."""
    every: _Number = Field(default=2.0, gt=0, le=3_600)
    """Seconds between them."""


class CaseDecision(_Part):
    """A decision on a rule's incident."""

    at: _Number = Field(ge=0, le=86_400)
    """Seconds from the beginning of the stream."""
    rule: str


class Raise(_Part):
    """An expected incident."""

    rule: str
    severity: Severity | None = None
    """None: any."""
    at: _Number | None = None
    """Time of the picture that causes it, in seconds from the beginning. None: any."""
    mode: Literal["live", "shadow"] = "live"
    """shadow: it would be raised if its rule were live."""

    def __str__(self) -> str:
        severity = "" if self.severity is None else f"  {self.severity}"
        return f"{self.rule}{severity}{'' if self.at is None else f'  at {self.at:g} s'}{mode_suffix(self.mode)}"


def mode_suffix(mode: str) -> str:
    """The suffix that names a rule's mode; empty for live."""
    return "" if mode == "live" else f"  ({mode})"


class Case(_Part):
    """A stream, and all incidents that must be raised on it."""

    name: str = Field(min_length=1)
    stream: CaseStream = CaseStream()
    samples: tuple[CaseSample, ...]
    decisions: tuple[CaseDecision, ...] = ()
    raises: tuple[Raise, ...]
    """`[]`: none."""
    degraded: tuple[Annotated[str, Field(pattern=r"^(rule-failed:.+|rule-slow:.+|metadata-unusable)$")], ...] = ()
    """Expected slugs of `degraded` in events: rule-failed:RULE, rule-slow:RULE (which may be missing: it depends on the
    machine) or metadata-unusable. Default: none."""

    @field_validator("samples")
    @classmethod
    def _are_not_too_many(cls, value: tuple[CaseSample, ...]) -> tuple[CaseSample, ...]:
        number = sum(sample.repeat for sample in value)
        if number > MAX_SAMPLES:
            raise ValueError(f"{number:,} pictures with repetitions: expected at most {MAX_SAMPLES:,} a case")
        return value


class CaseFile(_Part):
    """A file of cases."""

    version: Literal["1"] = Field(coerce_numbers_to_str=True)
    policy: str | None = None
    """Path of the policy, from this file's folder. Default: the one in force."""
    cases: tuple[Case, ...] = Field(json_schema_extra={"minItems": 1})

    @field_validator("cases")
    @classmethod
    def _are_some(cls, value: tuple[Case, ...]) -> tuple[Case, ...]:
        # pydantic's own bound would also report cases with a mistake as missing.
        if not value:
            raise ValueError("expected at least one")
        return value


def read_cases(path: Path) -> tuple[CaseFile, YamlText]:
    """Reads and checks a file of cases.

    Raises:
        ReplayError: naming file, line, field and what was expected; of several mistakes, all.
    """
    try:
        document = read_document(path, max_bytes=MAX_FILE_BYTES, expected="test cases of a policy")
    except DocumentError as error:
        raise ReplayError(f"{path}: {error}") from error
    if not isinstance(document.value, dict):
        raise ReplayError(f"{path}: expected a mapping with version and cases, found {document.kind}")
    try:
        return CaseFile.model_validate(document.value), document
    except ValidationError as error:
        raise ReplayError(f"{path}: {'; '.join(map(str, _mistakes(error, document)))}") from error


def _mistakes(error: ValidationError, document: YamlText) -> list[Mistake]:
    return mistakes_of(error, document, {name: tuple(part.model_fields) for name, part in _PARTS.items()})


_PARTS: dict[str, type[_Part]] = {
    "": CaseFile,
    "cases": Case,
    "stream": CaseStream,
    "samples": CaseSample,
    "matches": CaseMatch,
    "coverage": CaseCoverage,
    "decisions": CaseDecision,
    "raises": Raise,
}


def lines_of(cases: CaseFile, document: YamlText) -> Sequence[int | None]:
    """The line of each case in its file."""
    return [document.place(("cases", number))[0] for number in range(len(cases.cases))]
