"""The moderation policy: which findings a person must see, how soon, and what follows.

A YAML file of rules; `config/policy.yaml` is the one that ships, and explains itself to an operator.
"""

import hashlib
import math
from dataclasses import replace
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, field_validator, model_validator

from config.asking import Asked
from config.cascade import Stage, check_cascade
from config.errors import PolicyError
from config.expressions import Condition, ConditionError, compile_condition
from config.facts import FLOOD_RULE, SELFTEST, Evaluation, Hit, SampleFacts, Severity, StreamFacts, VideoFrame
from config.persistence import Persistence
from config.profiles import PROFILES, SamplingProfile

MAX_POLICY_BYTES = 1_000_000
"""A policy is written by people; a larger file is a wrong path."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Rule(_Model):
    """When a person must look at a stream, and how soon."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")
    when: str = Field(min_length=1, max_length=4096)
    """Condition in CEL over one sample; config/expressions.py has the names."""
    severity: Severity
    persistence: Persistence = Persistence()
    cooldown_seconds: float = Field(default=300.0, ge=0, le=86_400)
    """After a decision, what was captured up to this much later belongs to the decided incident, unless it is more
    severe."""
    mode: Literal["shadow", "live"] = "live"
    """A shadow rule is evaluated and counted, and calls nobody."""
    action: Literal["none", "interrupt"] = "none"
    """`interrupt` asks the platform to interrupt the stream; only where two frames matched one of `lists`."""
    lists: tuple[str, ...] = ()
    """The hash lists whose matches may interrupt a stream."""

    @field_validator("when")
    @classmethod
    def _compiles(cls, value: str) -> str:
        compile_condition(value)
        return value

    @model_validator(mode="after")
    def _interrupts_only_for_lists(self) -> Self:
        if self.action == "interrupt" and not self.lists:
            raise ValueError(
                "lists: a rule with `action: interrupt` must name the hash lists that it acts on: lists: [confirmed]"
            )
        if self.lists and self.action != "interrupt":
            raise ValueError("lists: only a rule with `action: interrupt` has them; `when` says what a rule looks at")
        return self

    @cached_property
    def condition(self) -> Condition:
        return compile_condition(self.when)

    def principles(self, *, matched: bool, scored: bool) -> tuple[int, ...]:
        """The Voluntary Principles that a hit of this rule serves (DOMAIN: 1 known, 2 new material, 5 livestreams)."""
        known = (1,) if matched and self.condition.uses_matches else ()
        new = (2,) if scored and self.condition.uses_scores else ()
        return (*known, *new, 5)


class Flood(_Model):
    """When a listed hash matches so many streams that it is one incident, and not one a stream."""

    streams: int = Field(ge=2, le=10_000)
    """Distinct streams on which it matches."""
    within_seconds: float = Field(default=600.0, gt=0, le=86_400)
    """The last match on each of them is at most (<=) this old, by the clock of Redis."""


class Policy(_Model):
    """What an operator has decided. Frozen; `load_policy` makes one."""

    stated_version: str = Field(alias="version", pattern=r"^[A-Za-z0-9._-]{1,64}$", coerce_numbers_to_str=True)
    sampling: str = "balanced"
    """Name of the sampling profile."""
    profiles: dict[str, SamplingProfile] = Field(default_factory=dict)
    """The operator's own profiles, and changed built-in ones."""
    update_seconds: float = Field(default=30.0, ge=1, le=3600)
    """Further hits of an open incident are published at most this often; a rise in severity at once."""
    flood: Flood | None = None
    """None: each stream has its own incident, however many there are."""
    cascade: tuple[Stage, ...] | None = None
    """Which classifier looks at which picture, in order. None: all of them at all pictures."""
    rules: tuple[Rule, ...]
    _digest: str = PrivateAttr(default="")
    """SHA-256 of the file, hex."""

    @field_validator("profiles", mode="before")
    @classmethod
    def _fill_in(cls, value: object) -> object:
        """A profile says what differs from the built-in one of its name, or from `balanced`."""
        if not isinstance(value, dict):
            return value
        return {
            name: {**PROFILES.get(name, PROFILES["balanced"]).model_dump(), **given, "name": name}
            if isinstance(given, dict)
            else given
            for name, given in value.items()
        }

    @field_validator("cascade")
    @classmethod
    def _asks_only_before(cls, value: tuple[Stage, ...] | None) -> tuple[Stage, ...] | None:
        if value is not None:
            check_cascade(value)
        return value

    @model_validator(mode="after")
    def _names_are_known_once(self) -> Self:
        if not self.rules:
            raise ValueError("rules: at least one is needed: without any, nobody is ever called")
        names = [rule.name for rule in self.rules]
        if FLOOD_RULE in names:
            raise ValueError(f"rules: {FLOOD_RULE}: livewarden names incidents of `flood` so: expected another name")
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"rules: {', '.join(twice)}: a name may be given to one rule only")
        if self.sampling not in PROFILES | self.profiles:
            known = ", ".join(sorted(PROFILES | self.profiles))
            raise ValueError(f"sampling: no profile {self.sampling!r}: known are {known}")
        return self

    @property
    def version(self) -> str:
        """The stated version with the file's digest: two files that state the same are told apart."""
        return f"{self.stated_version}+{self._digest[:12]}"

    @property
    def profile(self) -> SamplingProfile:
        """The sampling profile in force."""
        return (PROFILES | self.profiles)[self.sampling]

    def rule(self, name: str) -> Rule:
        """The rule of that name; KeyError if there is none."""
        return self._rules[name]

    @cached_property
    def _rules(self) -> dict[str, Rule]:
        return {rule.name: rule for rule in self.rules}

    @property
    def asked_scores(self) -> frozenset[str]:
        """Scores that rules name; one that no classifier gives is always 0.0, and probably a typing error."""
        return frozenset().union(*(rule.condition.scores for rule in self.rules))

    @property
    def asked_lists(self) -> frozenset[str]:
        """Hash lists that rules name."""
        return frozenset().union(*(rule.condition.lists | set(rule.lists) for rule in self.rules))

    def evaluate(self, stream: StreamFacts, sample: SampleFacts) -> Evaluation:
        """Which rules hold for a sample. Never raises: a rule that cannot be evaluated is a problem, not the end."""
        # The test card is nothing to a live stream, whatever the rules say: showing it gains a broadcaster nothing.
        matches = tuple(
            match for match in sorted(sample.matches, key=lambda m: m.order) if stream.drill or match.list != SELFTEST
        )
        scores = {name: score for name, score in sample.scores.items() if math.isfinite(score)}
        problems = [f"score-not-finite:{name}" for name in sorted(sample.scores.keys() - scores.keys())]
        sample = replace(sample, matches=matches, scores=scores)
        asked = Asked(stream, sample)
        problems += asked.problems
        hits: list[Hit] = []
        for rule in self.rules:
            try:
                hit = _ask(rule, sample, asked)
            except ConditionError:
                problems.append(f"rule-failed:{rule.name}")
                continue
            if hit is not None:
                hits.append(hit)
        return Evaluation(hits=tuple(hits), problems=tuple(problems))


def _ask(rule: Rule, sample: SampleFacts, asked: Asked) -> Hit | None:
    if not asked.holds(rule.condition):
        return None
    grounds = asked.grounds(rule.condition)
    frames: tuple[VideoFrame, ...] = ()
    if rule.persistence.video_frames is not None:
        grounds = asked.frames(rule.condition)
        frames = tuple(VideoFrame(match.list, match.video or "", match.entry) for match in grounds)
        if not frames:
            return None
    return Hit(
        rule=rule.name,
        severity=rule.severity,
        capture_ms=sample.capture_ms,
        pts_seconds=sample.pts_seconds,
        reason=sample.reason,
        principles=rule.principles(matched=bool(sample.matches), scored=bool(sample.scores)),
        matches=sample.matches,
        scores=dict(sample.scores),
        grounds=grounds,
        frames=frames,
    )


class _Loader(yaml.SafeLoader):
    """YAML without repeated keys, of which the last would win silently, and without dates: versions look like them."""

    yaml_implicit_resolvers = {  # noqa: RUF012 (as the base class has it)
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is given twice", key.start_mark)
            if isinstance(key, yaml.ScalarNode):
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def load_policy(path: Path | None = None) -> Policy:
    """Reads and checks a policy; None reads the one that ships with livewarden.

    Raises:
        PolicyError: naming the file, the field, the rule, and what was expected; of several mistakes, all.
    """
    name = "config/policy.yaml" if path is None else str(path)
    try:
        data = files("config").joinpath("policy.yaml").read_bytes() if path is None else _read(path)
        document = yaml.load(data.decode("utf-8-sig"), Loader=_Loader)  # noqa: S506 (derives from SafeLoader)
    except OSError as error:
        raise PolicyError(f"{name}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PolicyError(f"{name}: byte {error.start}: expected UTF-8 text") from error
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f"line {error.problem_mark.line + 1}: "
        raise PolicyError(f"{name}: {line}{error.problem}: expected YAML") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise PolicyError(f"{name}: {' '.join(str(error).split())}: expected YAML") from error
    if not isinstance(document, dict):
        raise PolicyError(f"{name}: expected a mapping with version and rules, got {type(document).__name__}")
    try:
        policy = Policy.model_validate(document)
    except ValidationError as error:
        problems = "; ".join(_explain(dict(problem), document) for problem in error.errors())
        raise PolicyError(f"{name}: {problems}") from error
    policy._digest = hashlib.sha256(data).hexdigest()
    return policy


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(MAX_POLICY_BYTES + 1)
    if len(data) > MAX_POLICY_BYTES:
        raise PolicyError(f"{path}: over {MAX_POLICY_BYTES} bytes: expected a policy")
    return data


_KNOWN_FIELDS: dict[str, tuple[str, ...]] = {
    "": tuple(field.alias or name for name, field in Policy.model_fields.items()),
    "rules": tuple(Rule.model_fields),
    "persistence": tuple(Persistence.model_fields),
    "flood": tuple(Flood.model_fields),
    "cascade": tuple(Stage.model_fields),
    "profiles": tuple(SamplingProfile.model_fields),
}


def _explain(problem: dict[str, Any], document: dict[str, Any]) -> str:
    """One mistake that pydantic found, as the field's path in the file, the rule's name, and what is wrong."""
    location: tuple[str | int, ...] = problem["loc"]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(".")
    rule = ""
    if location[:1] == ("rules",) and len(location) > 1 and isinstance(location[1], int):
        entry = document["rules"][location[1]]
        rule = f" (rule {entry['name']!r})" if isinstance(entry, dict) and "name" in entry else ""
    text = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        owner = next((part for part in reversed(location[:-1]) if part in _KNOWN_FIELDS), "")
        text = f"unknown field: known are {', '.join(_KNOWN_FIELDS[str(owner)])}"
    return f"{path}{rule}: {text}" if path else text
