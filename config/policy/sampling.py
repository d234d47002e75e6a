"""The choice of a sampling profile for a stream."""

from functools import cached_property

from pydantic import BaseModel, ConfigDict, Field, field_validator

from config.policy.cel.expressions import Condition, Context
from config.policy.cel.mistakes import ConditionError
from config.policy.cel.references import NOTES, NOTES_INSIDE
from config.policy.cel.trial import compile_condition

SEEN = frozenset({"stream", NOTES, NOTES_INSIDE, "signals", "signal"})
"""Names with values before a picture is sampled."""


class SamplingChoice(BaseModel):
    """A sampling profile for some streams."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    profile: str
    """Name of a sampling profile."""
    when: str = Field(min_length=1, max_length=4096)
    """Condition in CEL over `stream` and `signals`: it is evaluated before a picture is sampled."""

    @field_validator("when")
    @classmethod
    def _compiles(cls, value: str) -> str:
        condition = compile_condition(value)
        if condition.needs_surroundings or not condition.names <= SEEN:
            raise ConditionError("it is evaluated before a picture is sampled: expected only stream and signals")
        return value

    @cached_property
    def _condition(self) -> Condition:
        return compile_condition(self.when)

    def holds(self, context: Context) -> bool:
        """True if a stream is sampled by this profile; not where the condition cannot be evaluated."""
        try:
            return context.holds(self._condition)
        except ConditionError:
            return False
