"""The policy's section `risk`: the parts of a stream's risk, and their weights and half-lives.

The built-in ones are starting points that follow from what each part means, not measured qualities.
"""

import re
from collections.abc import Collection, Mapping
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from config.documents.names import shortened, unknown
from config.facts import (
    IMMINENT_DANGER_RULE,
    LEADING_UNSEEN,
    OVER_BUDGET,
    PADDED_PICTURES,
    RENDITIONS_DIFFER,
    SUBTITLE_PICTURES,
)
from config.policy.outcome_names import known_outcome

MAX_RISK_SCORES: Final = 20
"""Each is kept for each stream, and compared where a segment settles."""

MAX_RISK_SIGNALS: Final = 54
"""As many as a stream may have: 50 of the platform's (worker/ingest/registry/signals.py), and four of our own."""

_MINUTE: Final = 60.0
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_TEN_YEARS: Final = 3650 * _DAY


def _signal_name(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_.-]{0,63}", name):
        raise ValueError(f"{shortened(name)!r}: expected a signal's name: 1 to 64 characters of a-z 0-9 _ . -")
    return name


def _score_name(name: str, info: ValidationInfo) -> str:
    known = None if info.context is None else info.context["scores"]
    if known is not None and name not in known and name not in SCORES:
        raise ValueError(unknown("score", name, known))
    if not re.fullmatch(r"[^/\s]{1,64}/[^\s]{1,200}", name):
        raise ValueError(f"{shortened(name)!r}: expected a score's name: MODEL/LABEL")
    return name


_Weight = Annotated[float, Field(ge=0, le=1, strict=True)]
_HalfLife = Annotated[float, Field(ge=1, le=_TEN_YEARS, strict=True)]


class SignalRisk(BaseModel):
    """The risk that a platform's signal adds."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    weight: _Weight
    """The most that it adds."""
    scale: float = Field(default=1.0, gt=0, le=1e9, strict=True)
    """The value from which (>=) it counts in full; below, in proportion."""
    half_life_seconds: _HalfLife
    """Time after its last report in which the part halves."""


class ScoreRisk(BaseModel):
    """The risk that a classifier's scores on the stream add."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    weight: _Weight
    """The most that it adds: with a score of 1."""
    least: float = Field(default=0.5, ge=0, le=1, strict=True)
    """Scores below (<) it add nothing; others in proportion."""
    half_life_seconds: _HalfLife
    """Time after the highest score in which the part halves."""


class DecisionRisk(BaseModel):
    """The risk that a decided incident on the stream adds."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    weight: _Weight
    """Share that it adds right after the decision."""
    half_life_seconds: _HalfLife
    """Time after the decision in which the part halves."""


SIGNALS: Final[Mapping[str, SignalRisk]] = {
    IMMINENT_DANGER_RULE: SignalRisk(weight=1.0, scale=1.0, half_life_seconds=_HOUR),
    "viewer-reports": SignalRisk(weight=0.5, scale=5.0, half_life_seconds=30 * _MINUTE),
    "chat-risk": SignalRisk(weight=0.5, scale=1.0, half_life_seconds=10 * _MINUTE),
    "new-account": SignalRisk(weight=0.2, scale=1.0, half_life_seconds=7 * _DAY),
    "earlier-incident": SignalRisk(weight=0.6, scale=1.0, half_life_seconds=30 * _DAY),
    OVER_BUDGET: SignalRisk(weight=0.5, scale=0.25, half_life_seconds=10 * _MINUTE),
    LEADING_UNSEEN: SignalRisk(weight=0.3, scale=0.25, half_life_seconds=10 * _MINUTE),
    PADDED_PICTURES: SignalRisk(weight=0.5, scale=1.0, half_life_seconds=10 * _MINUTE),
    RENDITIONS_DIFFER: SignalRisk(weight=0.5, scale=1.0, half_life_seconds=30 * _MINUTE),
    SUBTITLE_PICTURES: SignalRisk(weight=0.0, scale=1.0, half_life_seconds=10 * _MINUTE),
}
"""The built-in signals. Viewers, and whoever can make many of them report, cannot make a stream urgent alone. Nor can
one that is over its budget or padded: the profile of streams of high risk has a bigger budget. Subtitles add nothing,
for broadcast television has them: they are for rules."""

SCORES: Final[Mapping[str, ScoreRisk]] = {
    "open-nsfw/nsfw": ScoreRisk(weight=0.5, least=0.5, half_life_seconds=10 * _MINUTE)
}

DECISIONS: Final[Mapping[str, DecisionRisk]] = {
    "csea_apparent": DecisionRisk(weight=0.9, half_life_seconds=30 * _DAY),
    "csea_suspected": DecisionRisk(weight=0.8, half_life_seconds=30 * _DAY),
    "child_at_risk": DecisionRisk(weight=0.8, half_life_seconds=30 * _DAY),
    "other_harm": DecisionRisk(weight=0.3, half_life_seconds=7 * _DAY),
    "adult_tos": DecisionRisk(weight=0.2, half_life_seconds=7 * _DAY),
    "cannot_judge": DecisionRisk(weight=0.2, half_life_seconds=_DAY),
}
"""`harmless` adds nothing, and takes nothing away: no decision on one incident makes another reason smaller."""


class RiskSettings(BaseModel):
    """Parts of a stream's risk, and what follows from it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    urgent_at: float = Field(default=0.7, gt=0, le=1, strict=True)
    """Segments of streams at or above (>=) it go to the queue `segments.urgent`."""
    prior_half_life_seconds: _HalfLife | None = None
    """Time after the registration in which `risk_prior` halves. None: it stays, for it is the platform's standing
    estimate, which registering again changes."""
    signals: dict[Annotated[str, AfterValidator(_signal_name)], SignalRisk | None] = Field(
        default={**SIGNALS}, max_length=MAX_RISK_SIGNALS
    )
    """By name; built-in ones are completed, and `null` takes one out."""
    scores: dict[Annotated[str, AfterValidator(_score_name)], ScoreRisk | None] = Field(
        default={**SCORES}, max_length=MAX_RISK_SCORES
    )
    """By "<model>/<label>", likewise."""
    decisions: dict[Annotated[str, AfterValidator(known_outcome)], DecisionRisk | None] = Field(default={**DECISIONS})
    """By outcome, likewise."""

    @field_validator("signals", "scores", "decisions", mode="before")
    @classmethod
    def _fill_in(cls, value: object, info: ValidationInfo) -> object:
        """Completes entries by the built-in ones."""
        built_in: Mapping[str, BaseModel] = {"signals": SIGNALS, "scores": SCORES, "decisions": DECISIONS}[
            str(info.field_name)
        ]
        if not isinstance(value, dict):
            return value
        given = {
            name: {**built_in[name].model_dump(), **of} if name in built_in and isinstance(of, dict) else of
            for name, of in value.items()
        }
        return {**built_in, **given}

    def without_scores(self, names: Collection[str]) -> Self:
        """The settings by which these scores add nothing."""
        left_out = {name: None for name in self.scores if name in names}
        return self.model_copy(update={"scores": {**self.scores, **left_out}}) if left_out else self


DEFAULT_RISK: Final = RiskSettings()
"""For a policy without the section."""
