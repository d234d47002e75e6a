"""Judging of incidents: which outcomes need a second person, and what the first need not wait for."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool

from config.policy.outcome_names import OUTCOMES, known_outcome


def _each_once(value: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value))


_OutcomeName = Annotated[str, AfterValidator(known_outcome), Field(json_schema_extra={"enum": list(OUTCOMES)})]
SecondPerson = Annotated[tuple[_OutcomeName, ...], AfterValidator(_each_once)]
"""Outcomes of a first judgement for which a second person judges, without knowing it."""


@dataclass(frozen=True, kw_only=True)
class Judging:
    """Choices for judging an incident, as its policy said when it was last hit: a decision needs no policy."""

    second_person: tuple[str, ...] = ()
    """Outcomes for which a second person judges."""
    interrupt_on_first: bool = True
    """A first judgement asks for the interruption of the stream, before the second."""


BY_ONE: Final = Judging()
"""One person judges: so it was before policies said how."""


class JudgingChoice(BaseModel):
    """The part of a policy that says how incidents are judged."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    second_person: SecondPerson = ()
    """Outcomes for which a second person judges, without knowing the first judgement. Both agree, or a lead decides. A
    rule may state its own."""
    interrupt_on_first: StrictBool = True
    """A first judgement that waits for a second one asks the platform to interrupt the stream all the same: a child at
    risk must not wait for a second judge."""

    def judging(self, stated: tuple[str, ...] | None = None) -> Judging:
        """Returns how incidents of a rule are judged that states outcomes of its own; None: it states none."""
        return Judging(
            second_person=self.second_person if stated is None else stated, interrupt_on_first=self.interrupt_on_first
        )
