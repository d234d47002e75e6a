"""Results of a person's answer on an incident: a decision, or a judgement that waits for another person."""

from dataclasses import dataclass

from worker.queue.outcomes import Category, Outcome, PlatformAct


@dataclass(frozen=True, kw_only=True)
class Decision:
    """A recorded decision."""

    incident_id: str
    stream_id: str
    rule: str
    outcome: Outcome
    by: str
    decided_ms: int
    """Redis's clock."""
    verified: bool
    """The person proved to be `by`, by a token."""
    event: str
    """The CloudEvent that was published, JSON on one line."""
    previous: Outcome | None = None
    """The outcome before a revision; None: it is the first decision."""
    category: Category | None = None
    actions: tuple[PlatformAct, ...] = ()
    """Acts that are asked of the platform."""
    interrupted: bool = False
    """This decision asked for the interruption of the stream."""
    judges: int = 1
    """The people who judged: two where a second was asked for."""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """A recorded judgement that decides nothing yet. Nobody else is shown its outcome."""

    incident_id: str
    stream_id: str
    rule: str
    outcome: Outcome
    """For its own judge alone."""
    by: str
    judged_ms: int
    """Redis's clock."""
    verified: bool
    disagreed: bool = False
    """It does not agree with the first one: a lead decides. False: it is the first, and waits for a second person."""
    until_ms: int | None = None
    """Redis's clock from which on a lead's judgement decides alone; None: a lead decides anyhow."""
    set_aside: bool = False
    """An earlier judgement does not count any more, for worse evidence came since, or the roster lost its judge."""
    interrupted: bool = False
    """It asked for the interruption of the stream, which waits for no second person."""
