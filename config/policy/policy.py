"""The moderation policy: which findings a person must see, how soon, and what follows.

A YAML file of rules; `config/policy.yaml` is the one that ships, and explains itself to an operator.
"""

import hashlib
import math
from collections.abc import Collection, Iterable
from dataclasses import replace
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from time import perf_counter
from typing import Final

from pydantic import Field, PrivateAttr, ValidationError, field_validator

from config.documents.loading import MAX_BYTES, MAX_TOKENS
from config.documents.mistakes import Location, Mistake, Problem, YamlText, mistake_at, mistakes_of
from config.documents.reading import DocumentError, parse_document, read_bytes
from config.errors import PolicyError
from config.facts import SELFTEST, Evaluation, Hit, SampleFacts, StreamFacts, Surroundings
from config.policy.budget import excesses, over_budget
from config.policy.cascade import Stage
from config.policy.cel.expressions import Context
from config.policy.cel.mistakes import ConditionError
from config.policy.cel.windows import Windows
from config.policy.contradictions import contradictions
from config.policy.evidence import EvidenceLimits
from config.policy.judging import JudgingChoice
from config.policy.retention import Retention
from config.policy.risk_settings import DEFAULT_RISK, RiskSettings
from config.policy.rules import CoverageGap, Flood, Rule
from config.policy.sample_evaluation import SampleEvaluator, most_telling
from config.policy.sampling import SEEN, SamplingChoice
from config.policy.section_fields import SECTION_FIELDS
from config.profiles import PROFILES, SamplingProfile

MAX_POLICY_BYTES = MAX_BYTES
"""A policy is written by people; a larger file is a wrong path."""

SLOW_SECONDS = 0.25
"""A rule that takes longer (>) for one sample is reported as `rule-slow`. The bound on its cost is a fifth of it."""


class Policy(JudgingChoice):
    """The moderation policy of an operator. Frozen; `load_policy` makes one."""

    stated_version: str = Field(alias="version", pattern=r"^[A-Za-z0-9._-]{1,64}$", coerce_numbers_to_str=True)
    """Yours to choose; events name it with the file's digest."""
    sampling: str = "balanced"
    """Name of the sampling profile."""
    sampling_for: tuple[SamplingChoice, ...] = ()
    """Other profiles for some streams; the first that holds counts."""
    profiles: dict[str, SamplingProfile] = Field(default_factory=dict)
    """The operator's own profiles, and changed built-in ones."""
    update_seconds: float = Field(default=30.0, ge=1, le=3600, strict=True)
    """Further hits of an open incident are published at most this often; a rise in severity at once."""
    silence_seconds: float = Field(default=900.0, ge=60, le=86_400, strict=True)
    """An incident that had no hit for so long ends; it stays in the queue until a person decides. Further hits are a
    new incident, which names it. By default longer than the 10 minutes for which a person holds an incident and the 5
    for which a decision silences its rule, so that none ends while it is being judged."""
    flood: Flood | None = None
    """None: each stream has its own incident, however many there are."""
    coverage_gap: CoverageGap | None = CoverageGap()
    """Condition under which a stream that alone cannot be seen is an incident. `null`: never; operators hear of it all
    the same."""
    cascade: tuple[Stage, ...] | None = None
    """Classifiers in order, each with the pictures that it classifies. None: all classify all pictures."""
    retention: Retention = Retention()
    """Time for which evidence is kept, by the outcome of its incident."""
    evidence: EvidenceLimits = EvidenceLimits()
    """Pictures that are kept for incidents, sealed for reviewers."""
    risk: RiskSettings = DEFAULT_RISK
    """Parts of a stream's risk, by which its segments go first and conditions may choose (`stream.risk`)."""
    rules: tuple[Rule, ...]
    _digest: str = PrivateAttr(default="")
    """SHA-256 of the file, hex."""
    _shadow_scores: frozenset[str] = PrivateAttr(default=frozenset())
    """Scores that are not shown to moderators: they are measured in shadow rules only."""
    _name: str = PrivateAttr(default="policy")
    _document: YamlText = PrivateAttr(default_factory=lambda: YamlText(""))
    """The file itself, for the places of mistakes that show only beside the models."""

    @field_validator("profiles", mode="before")
    @classmethod
    def _fill_in(cls, value: object) -> object:
        """Completes profiles by the built-in one of their name, or by `balanced`."""
        if not isinstance(value, dict):
            return value
        return {
            name: {**PROFILES.get(name, PROFILES["balanced"]).model_dump(), **given, "name": name}
            if isinstance(given, dict)
            else given
            for name, given in value.items()
        }

    @field_validator("rules")
    @classmethod
    def _calls_somebody(cls, value: tuple[Rule, ...]) -> tuple[Rule, ...]:
        if not value:
            raise ValueError("expected at least one: without rules, no person is ever called")
        return value

    @property
    def version(self) -> str:
        """The stated version with the file's digest: two files that state the same differ."""
        return f"{self.stated_version}+{self._digest[:12]}"

    @property
    def profile(self) -> SamplingProfile:
        """The sampling profile of streams for which no other one is named."""
        return (PROFILES | self.profiles)[self.sampling]

    def profile_for(self, stream: StreamFacts) -> SamplingProfile:
        """The sampling profile of a stream."""
        if not self.sampling_for:
            return self.profile
        nothing = SampleFacts(capture_ms=0, pts_seconds=0.0, reason="", pdq_quality=0)
        context = Context(stream, nothing, names=SEEN)
        name = next((choice.profile for choice in self.sampling_for if choice.holds(context)), self.sampling)
        return (PROFILES | self.profiles)[name]

    def placed(self, where: Location, text: str, offset: int | None = None) -> Mistake:
        """A mistake in a field, with its place in the file; `offset` is into its text, in characters."""
        return mistake_at(where, text, self._document, offset)

    def refused(self, problems: Iterable[Problem]) -> PolicyError:
        """The error for problems that a caller finds who knows more than the file does."""
        return _refused(self._name, *(mistake_at(where, text, self._document, at) for where, text, at in problems))

    @property
    def silence_ms(self) -> int:
        """The time without a hit after which an incident ends, in milliseconds."""
        return round(self.silence_seconds * 1000)

    def rule(self, name: str) -> Rule:
        """The rule of that name; KeyError if there is none."""
        return self._rules[name]

    @cached_property
    def _rules(self) -> dict[str, Rule]:
        return {rule.name: rule for rule in self.rules}

    @cached_property
    def windows(self) -> Windows:
        """Calls of `window` in rules."""
        return Windows(call for rule in self.rules for call in rule.condition.windows)

    @cached_property
    def at_once(self) -> tuple[Rule, ...]:
        """Rules that one sample answers."""
        return tuple(rule for rule in self.rules if not rule.in_order)

    @cached_property
    def in_order(self) -> tuple[Rule, ...]:
        """Rules that are judged in capture order, when all that came before is known."""
        return tuple(rule for rule in self.rules if rule.in_order)

    @cached_property
    def _names(self) -> tuple[frozenset[str], frozenset[str]]:
        """Names that the rules evaluated immediately use, and those judged in order."""
        at_once, in_order = (
            frozenset().union(*(rule.condition.names for rule in rules)) for rules in (self.at_once, self.in_order)
        )
        return at_once, in_order

    @property
    def names_in_order(self) -> frozenset[str]:
        """Names that the rules judged in order use."""
        return self._names[1]

    @property
    def cascade_models(self) -> list[str] | None:
        """Names of the models in the cascade, in order; None: there is no cascade."""
        return None if self.cascade is None else [stage.model for stage in self.cascade]

    @property
    def referenced_scores(self) -> frozenset[str]:
        """Scores that rules name; one that no classifier gives is always 0.0, and probably a typing error."""
        return frozenset().union(*(rule.condition.scores for rule in self.rules))

    @property
    def referenced_lists(self) -> frozenset[str]:
        """Hash lists that rules name."""
        return frozenset().union(*(rule.condition.lists | set(rule.lists) for rule in self.rules))

    def evaluate(self, stream: StreamFacts, sample: SampleFacts, around: Surroundings | None = None) -> Evaluation:
        """The rules that hold for a sample. Never raises: a rule that cannot be evaluated is a problem, not the end.

        A rule that holds only because of matches that a lead allowed raises no more than a review.

        Args:
            around: for rules that are judged in order, which alone are evaluated then. None: the others are.
        """
        sample, problems = self.usable(stream, sample)
        evaluator = SampleEvaluator(stream, sample, around, self._names[around is not None])
        problems += evaluator.problems
        hits: list[Hit] = []
        for rule in self.at_once if around is None else self.in_order:
            started = perf_counter()
            try:
                hit = evaluator.hit(rule)
            except ConditionError:
                problems.append(f"rule-failed:{rule.name}")
                continue
            if perf_counter() - started > SLOW_SECONDS:
                problems.append(f"rule-slow:{rule.name}")
            if hit is not None:
                hits.append(hit if rule.mode == "shadow" else self._told(hit))
        return Evaluation(hits=tuple(hits), problems=tuple(problems))

    def usable(self, stream: StreamFacts, sample: SampleFacts) -> tuple[SampleFacts, list[str]]:
        """The sample as rules see it, and slugs for `degraded`: finite scores, and the most telling matches."""
        # The test card is nothing to a live stream, whatever the rules say: showing it gains a broadcaster nothing.
        matches = most_telling([match for match in sample.matches if stream.drill or match.list != SELFTEST])
        scores = {name: score for name, score in sample.scores.items() if math.isfinite(score)}
        problems = [f"score-not-finite:{name}" for name in sorted(sample.scores.keys() - scores.keys())]
        if matches != sample.matches or problems:
            sample = replace(sample, matches=matches, scores=scores)
        return sample, problems

    def _told(self, hit: Hit) -> Hit:
        """A live rule's hit, which people may come to see: without scores that are for shadow rules."""
        if not self._shadow_scores & hit.scores.keys():
            return hit
        return replace(hit, scores={name: of for name, of in hit.scores.items() if name not in self._shadow_scores})


def load_policy(path: Path | None = None, *, known_scores: Collection[str] | None = None) -> Policy:
    """Reads and checks a policy; None reads the one that ships with livewarden.

    Args:
        known_scores: "<model>/<label>" of all classifiers there are; a rule may name no other. None: any.

    Raises:
        PolicyError: naming the file, line, column, field, rule, and what was expected; of several mistakes, all.
    """
    return parse_policy(read_policy(path), policy_name(path), known_scores=known_scores)


def policy_name(path: Path | None) -> str:
    """The name of a policy's file in messages."""
    return "config/policy.yaml" if path is None else str(path)


def read_policy(path: Path | None) -> bytes:
    """A policy's bytes; None: of the one that ships.

    Raises:
        PolicyError: they cannot be read, or there are too many of them.
    """
    if path is None:
        return files("config").joinpath("policy.yaml").read_bytes()
    try:
        return read_bytes(path, max_bytes=MAX_POLICY_BYTES, expected="a policy")
    except DocumentError as error:
        raise PolicyError(f"{path}: {error}") from error


def parse_policy(
    data: bytes, name: str, *, known_scores: Collection[str] | None = None, shadow_scores: Collection[str] = ()
) -> Policy:
    """Checks a policy that was read from a file called `name`; raises as `load_policy`.

    `shadow_scores`: of those, the ones that no hit of a live rule is to carry, and that add to no stream's risk.
    """
    try:
        document = parse_document(data, max_tokens=MAX_TOKENS)
    except DocumentError as error:
        raise _refused(name, error.mistake) from error
    if not isinstance(document.value, dict):
        raise _refused(name, Mistake(text=f"expected a mapping with version and rules, found {document.kind}"))
    excessive = [mistake_at(where, what, document) for where, what, _ in excesses(document.value)]
    if excessive:
        raise _refused(name, *excessive)
    context = {"scores": None if known_scores is None else frozenset(known_scores)}
    contrary = [mistake_at(where, what, document, at) for where, what, at in contradictions(document.value)]
    try:
        policy = Policy.model_validate(document.value, context=context)
    except ValidationError as error:
        raise _refused(name, *mistakes_of(error, document, _KNOWN_FIELDS), *contrary) from error
    if contrary:
        raise _refused(name, *contrary)
    policy = policy.model_copy(update={"risk": policy.risk.without_scores(shadow_scores)})
    policy._digest = hashlib.sha256(data).hexdigest()
    policy._name, policy._document, policy._shadow_scores = name, document, frozenset(shadow_scores)
    excess = over_budget(policy.rules)
    if excess is not None:
        raise policy.refused([excess])
    return policy


def _refused(name: str, *found: Mistake) -> PolicyError:
    mistakes = sorted(found, key=lambda mistake: (mistake.line or 0, mistake.column or 0))
    return PolicyError(f"{name}: {'; '.join(map(str, mistakes))}", mistakes=mistakes)


_KNOWN_FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "": tuple(field.alias or name for name, field in Policy.model_fields.items()),
    **SECTION_FIELDS,
}
