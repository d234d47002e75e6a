"""The cascade of classifiers: an expensive or sensitive one runs only where a cheap one gave cause."""

from functools import cached_property

from pydantic import BaseModel, ConfigDict, Field, field_validator

from config.facts import SampleFacts, StreamFacts
from config.policy.cel.expressions import Condition, Context
from config.policy.cel.mistakes import ConditionError
from config.policy.cel.trial import compile_condition


class Stage(BaseModel):
    """One classifier of the cascade, and the condition for it to classify a picture."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    model: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    """Name in its manifest."""
    when: str | None = Field(default=None, min_length=1, max_length=4096)
    """Condition in CEL over the scores of the stages before, `matches`, `stream` and `sample`. None: always."""

    @field_validator("when")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        if value is not None and compile_condition(value).needs_surroundings:
            raise ConditionError("a model's condition sees one picture: window and coverage are known later")
        return value

    @cached_property
    def condition(self) -> Condition | None:
        return None if self.when is None else compile_condition(self.when)

    def due(self, stream: StreamFacts, sample: SampleFacts) -> bool:
        """Evaluates whether `sample`, which has the scores of the stages before, is to be classified.

        Raises:
            ConditionError: the condition cannot be evaluated on it.
        """
        if self.condition is None:
            return True
        return Context(stream, sample, names=self.condition.names).holds(self.condition)
