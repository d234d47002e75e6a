"""A rule: when a person must review a stream, and how soon.

Numbers are strict: YAML 1.1 takes `yes` and `on` for booleans, which Python would take for 1.
"""

import re
from functools import cached_property
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from config.documents.names import unknown
from config.facts import ALLOW, SELFTEST, Severity
from config.policy.cel.expressions import Condition
from config.policy.cel.mistakes import ConditionError, together
from config.policy.cel.trial import compile_condition
from config.policy.judging import SecondPerson
from config.policy.persistence import Persistence

MAX_CONDITION_CHARACTERS: Final = 4096
MAX_DESCRIPTION_CHARACTERS: Final = 500
"""Each event of an incident carries it, and a moderator reads it while a stream is live."""
"""People write less than a quarter of that."""

_LIST_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,100}")
"""As the hash bank takes them (models/bank/entries.py)."""


def _ascending(value: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(set(value)))


_Principle = Annotated[int, Field(ge=1, le=11, strict=True)]
_Principles = Annotated[tuple[_Principle, ...], Field(min_length=1), AfterValidator(_ascending)]


class Rule(BaseModel):
    """A condition under which a person must review a stream, and how soon."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")
    """Small letters, digits and hyphens. An incident is open per stream and rule name: a new name is a new rule."""
    when: str = Field(min_length=1, max_length=MAX_CONDITION_CHARACTERS)
    """Condition in CEL over one sample and what lies behind it; docs/policy.md has the names."""
    description: str = Field(default="", max_length=MAX_DESCRIPTION_CHARACTERS)
    """Words for the moderator whom the rule calls; its incidents carry them."""
    severity: Severity
    """critical, high or review: the order in which people are called."""
    persistence: Persistence = Persistence()
    """Times that the rule must hold before a person is called; by default once."""
    cooldown_seconds: float = Field(default=300.0, ge=0, le=86_400, strict=True)
    """After a decision, what was captured up to this much later belongs to the decided incident, unless it is more
    severe."""
    mode: Literal["shadow", "live"] = "live"
    """A shadow rule is evaluated and counted, and calls no person."""
    action: Literal["none", "interrupt"] = "none"
    """`interrupt` asks the platform to interrupt the stream; only where two frames matched one of `lists`."""
    lists: tuple[str, ...] = Field(default=(), validate_default=True)
    """The hash lists whose matches may interrupt a stream: at least one that holds known material. `selftest` beside it
    lets drills try the way to the platform."""
    needs_role: Literal["moderator", "lead"] = "moderator"
    """Role of the person who decides on its incidents. `lead`: a moderator cannot take them."""
    second_person: SecondPerson | None = None
    """Outcomes for which a second person judges blind. None: the policy's; an empty list: none."""
    principles: _Principles | None = None
    """The Voluntary Principles that the rule serves, beside 5 (livestreams), which all do. None: 1 (known material) for
    a hit on a hash list, 2 (new material) for a classifier's."""

    @field_validator("when")
    @classmethod
    def _compiles(cls, value: str, info: ValidationInfo) -> str:
        mistakes: list[ConditionError] = []
        try:
            scores = compile_condition(value).scores
        except ConditionError as error:
            scores = error.scores
            mistakes.append(error)
        known = None if info.context is None else info.context["scores"]
        if known is not None:
            mistakes += [
                ConditionError(unknown("score", name, known), value.find(name)) for name in sorted(scores - known)
            ]
        if mistakes:
            raise together(mistakes)
        return value

    @field_validator("lists")
    @classmethod
    def _can_interrupt(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        action = info.data.get("action")  # not there if it is wrong itself
        if action == "interrupt" and not value:
            raise ValueError(
                "a rule with `action: interrupt` must name the hash lists that it acts on: lists: [confirmed]"
            )
        if action == "none" and value:
            raise ValueError("only a rule with `action: interrupt` has them; `when` has the lists of a condition")
        for name in value:
            if name == ALLOW:
                raise ValueError(f"{ALLOW}: what is on it was found harmless: it interrupts nothing")
            if not _LIST_NAME.fullmatch(name):
                raise ValueError(f"{name!r}: expected a hash list's name: 1 to 100 of A-Z a-z 0-9 . _ -")
        if value and set(value) == {SELFTEST}:
            raise ValueError(f"{SELFTEST}: the test card is nothing on a live stream: expected another list beside it")
        return value

    @cached_property
    def condition(self) -> Condition:
        return compile_condition(self.when)

    @property
    def in_order(self) -> bool:
        """True if it is judged in capture order, when all that came before is known (config/policy/evaluation.py)."""
        return self.condition.needs_surroundings or self.persistence.of_samples is not None

    def serves(self, *, matched: bool, scored: bool) -> tuple[int, ...]:
        """The Voluntary Principles that a hit of this rule serves (DOMAIN: 1 known, 2 new material, 5 livestreams)."""
        if self.principles is not None:
            return tuple(sorted({*self.principles, 5}))
        known = (1,) if matched and self.condition.uses_matches else ()
        new = (2,) if scored and self.condition.uses_scores else ()
        return (*known, *new, 5)


class Flood(BaseModel):
    """Threshold from which a hash that matches many streams is one incident, and not one a stream."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    streams: int = Field(ge=2, le=10_000, strict=True)
    """Distinct streams on which it matches."""
    within_seconds: float = Field(default=600.0, gt=0, le=86_400, strict=True)
    """The last match on each of them is at most (<=) this old, by the clock of Redis."""


class CoverageGap(BaseModel):
    """Threshold from which a stream that cannot be seen is an incident, while others of its origin are seen."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    after_seconds: float = Field(default=60.0, ge=30, le=86_400, strict=True)
    """Its playlist could not be read, or most of its segments not be moderated, for so long. Time in which the stream
    may simply have ended does not count."""
    severity: Severity = Severity.REVIEW
    """critical, high or review: the order in which people are called."""
