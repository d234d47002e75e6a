"""Sections from decided incidents: the share that people confirmed, times to act, and the agreement of two judges."""

from collections import Counter
from collections.abc import Mapping
from datetime import date
from typing import Final

from config.facts import Severity
from config.policy.retention import REPORTED_OUTCOMES
from worker.insight.decided import DecidedIncident
from worker.insight.durations import DurationSketch
from worker.insight.estimates import cohens_kappa, wilson
from worker.insight.period import day_of
from worker.insight.sections import ReportSection, Value, count, number, seconds, share, table, text
from worker.queue.outcomes import Outcome

CONFIRMED: Final = frozenset(REPORTED_OUTCOMES)
"""Outcomes that confirm a finding: those that may have to be reported to an authority."""

UPHELD: Final = CONFIRMED | {Outcome.ADULT_TOS, Outcome.OTHER_HARM}
"""Outcomes that find some violation."""

UNJUDGED: Final = frozenset({Outcome.CANNOT_JUDGE})
"""Outcomes that say nothing of a rule: they are in no share."""

MOST_CONDITIONS: Final = 1_000
"""Rules with thresholds of one report; further ones count together. A policy has at most some hundred rules, and a
period few versions of it."""

ALL: Final = "all"
_MORE: Final = ("(more)", "")


class Judgements:
    """Counts decided incidents, in bounded memory: by rule and threshold, and durations in sketches."""

    def __init__(self) -> None:
        self.total = 0
        """Incidents counted."""
        self.by_day: dict[date, DurationSketch] = {}
        """Durations to the decision, by the day of the decision: a sketch for each day of the period at most."""
        self._outcomes: dict[tuple[str, str], Counter[str]] = {}
        self._to_taken: dict[str, DurationSketch] = {}
        self._to_decided: dict[str, DurationSketch] = {}
        self._pairs: Counter[tuple[str, str]] = Counter()

    def add(self, incident: DecidedIncident) -> None:
        """Counts an incident."""
        self.total += 1
        name = (incident.rule, incident.threshold)
        if name not in self._outcomes and len(self._outcomes) >= MOST_CONDITIONS:
            name = _MORE
        self._outcomes.setdefault(name, Counter())[incident.outcome] += 1
        to_decided = (incident.decided_ms - incident.raised_ms) / 1000
        for of in (ALL, incident.severity):
            self._to_decided.setdefault(of, DurationSketch()).add(to_decided)
            if incident.taken_ms is not None:
                self._to_taken.setdefault(of, DurationSketch()).add((incident.taken_ms - incident.raised_ms) / 1000)
        self.by_day.setdefault(day_of(incident.decided_ms), DurationSketch()).add(to_decided)
        if incident.judged is not None:
            self._pairs[incident.judged] += 1

    def accuracy_section(self) -> ReportSection:
        """The share that people confirmed, by rule and threshold."""
        rows = [
            (rule, threshold, *_shares(found))
            for (rule, threshold), found in sorted(self._outcomes.items(), key=lambda one: (-one[1].total(), one[0]))
        ]
        return ReportSection(
            name="accuracy",
            title="Share of findings that people confirmed",
            answers={
                "Principle 11": "How far the findings can be trusted.",
                "Ofcom": "ICU C4: accuracy of decisions; how precise each detection is.",
                "DSA": "Article 15(1)(e): indicators of accuracy and the possible rate of error of automated means.",
            },
            notes=(
                f"Confirmed: {', '.join(sorted(CONFIRMED))}. Upheld: these, {Outcome.ADULT_TOS} and "
                f"{Outcome.OTHER_HARM}. {Outcome.CANNOT_JUDGE} is in no share. The outcome in force counts, after "
                "revisions.",
                "From and to: 95 % interval of the share confirmed (Wilson). A rule with few judged incidents has a "
                "wide one: do not compare rules whose intervals overlap.",
                "It is precision alone. What no rule found is in no figure of this report: recall cannot be known from "
                "it.",
            ),
            tables=(
                table(
                    "confirmed",
                    "By rule and threshold",
                    (
                        text("rule"),
                        text("threshold"),
                        count("decided"),
                        count("judged"),
                        count("confirmed"),
                        count("upheld"),
                        share("confirmed_share"),
                        share("confirmed_low", "from"),
                        share("confirmed_high", "to"),
                        share("upheld_share"),
                    ),
                    rows,
                ),
            ),
        )

    def times_section(self) -> ReportSection:
        """Times until an incident was taken and decided."""
        return ReportSection(
            name="times",
            title="Times to be taken and to be decided",
            answers={
                "Principle 11": "How fast people act on a live finding.",
                "Ofcom": "ICU C4: performance against targets for the time of review.",
                "DSA": "Article 15(1)(c): timeliness of moderation by people.",
            },
            notes=(
                "From the time at which an incident was raised, by Redis's clock, to the first decision, and to the "
                "taking by the person who made it. Medians and 95th percentiles are within 1 %.",
                "Incidents that still wait are in no time: see the backlog.",
            ),
            tables=(
                table(
                    "times",
                    "By severity at the decision",
                    (
                        text("severity"),
                        count("taken"),
                        seconds("taken_median_seconds", "to taken, median"),
                        seconds("taken_p95_seconds", "to taken, 95 %"),
                        count("decided"),
                        seconds("decided_median_seconds", "to decided, median"),
                        seconds("decided_p95_seconds", "to decided, 95 %"),
                    ),
                    [
                        (str(of), *_quantiles(self._to_taken, of), *_quantiles(self._to_decided, of))
                        for of in (ALL, *Severity)
                        if of in self._to_decided
                    ],
                ),
            ),
        )

    def agreement_section(self) -> ReportSection:
        """Agreement of two judges who did not know the other's judgement."""
        found = cohens_kappa(self._pairs)
        row: tuple[Value, ...] = (found.n, found.agreed, found.agreed / found.n if found.n else None, found.kappa)
        return ReportSection(
            name="agreement",
            title="Agreement of two judges",
            answers={
                "Principle 11": "How reliable the judgements of people are.",
                "Ofcom": "ICU C4: accuracy of human review.",
                "DSA": "Article 15(1)(e): safeguards applied to decisions.",
            },
            notes=(
                "Only incidents that two persons judged without knowing the other's outcome. Kappa (Cohen): 1 is full "
                "agreement, 0 what chance gives. A revision is no second judgement: its author knew the first.",
            ),
            tables=(
                table(
                    "agreement",
                    "Two judgements on one incident",
                    (count("n", "incidents"), count("agreed"), share("agreed_share"), number("kappa")),
                    [row],
                ),
            ),
        )


def _shares(outcomes: Counter[str]) -> tuple[Value, ...]:
    """Decided, judged, confirmed and upheld incidents, the share confirmed with its interval, the share upheld."""
    decided = outcomes.total()
    judged = decided - sum(outcomes[one] for one in UNJUDGED)
    confirmed, upheld = (sum(outcomes[one] for one in kind) for kind in (CONFIRMED, UPHELD))
    estimate = wilson(confirmed, judged)
    if estimate is None:
        return (decided, judged, confirmed, upheld, None, None, None, None)
    return (decided, judged, confirmed, upheld, estimate.share, estimate.low, estimate.high, upheld / judged)


def _quantiles(sketches: Mapping[str, DurationSketch], of: str) -> tuple[Value, ...]:
    sketch = sketches.get(of, DurationSketch())
    return (sketch.n, sketch.quantile(0.5), sketch.quantile(0.95))
