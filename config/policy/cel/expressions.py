"""Conditions of rules: CEL, compiled once, checked when the policy is loaded, evaluated once a sample.

CEL finds an unknown name only when it comes across it. A policy that is wrong must not be found out on the night when
its rule is needed, so all parts of a condition are checked before, whatever hides them from a sample.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import cel

from config.facts import ListMatch, SampleFacts, StreamFacts, Surroundings
from config.policy.cel.checking import kinds_of
from config.policy.cel.comparisons import check_comparisons
from config.policy.cel.foreign_syntax import corrected
from config.policy.cel.mistakes import ConditionError, check_texts, together
from config.policy.cel.parsing import read_syntax
from config.policy.cel.references import (
    NOTES,
    NOTES_INSIDE,
    call_names,
    referenced_lists,
    used,
    uses_metadata,
    with_metadata_apart,
)
from config.policy.cel.syntax import Call, Node, concerns_matches, conjuncts, nodes
from config.policy.cel.types import FIELDS, OF_NAMES, Sizes, names
from config.policy.cel.values import match_value, sample_value, stream_value
from config.policy.cel.windows import WindowCall, read_calls, with_variables

_OF_THE_PICTURE = frozenset({"score", "scores", "matched", "matches", "sample"})

_POSITION = re.compile(r"<input>:(\d+):(\d+): (?:Syntax error: )?([^\n]*)")


@dataclass(frozen=True, kw_only=True)
class Condition:
    """A compiled condition. Equal if its text is."""

    text: str
    tree: Node
    scores: frozenset[str]
    """Scores that the text names, "<model>/<label>"."""
    signals: frozenset[str]
    """Signals that the text names."""
    lists: frozenset[str]
    """Hash lists that the text names."""
    names: frozenset[str]
    """Variables and Livewarden's functions that it uses; NOTES and NOTES_INSIDE among them."""
    windows: tuple[WindowCall, ...]
    """Its calls of `window`."""
    uses_matches: bool
    uses_scores: bool
    uses_coverage: bool
    program: Any
    matches_program: Any
    """The parts joined by `&&` that are about the matches of the picture."""
    matches_names: frozenset[str]
    """Names that these use."""
    alone_text: str
    """The parts joined by `&&` that need neither windows nor coverage, ready to be compiled: few conditions need it."""
    alone_names: frozenset[str]
    """Names that these use."""
    alone_tells: bool
    """One of these is about the picture itself, and not about its stream alone."""

    @cached_property
    def of_matches(self) -> "Condition":
        """The condition on part of a picture's matches, for a picture on which the whole holds."""
        return replace(self, program=self.matches_program, names=self.matches_names)

    @cached_property
    def of_sample_alone(self) -> "Condition":
        """The part of the condition that one sample decides: it holds wherever the whole holds."""
        if not self.needs_surroundings:
            return self
        return replace(self, program=_compiled(self.alone_text), names=self.alone_names)

    @property
    def needs_surroundings(self) -> bool:
        """It needs more than one sample to be evaluated."""
        return bool(self.windows) or self.uses_coverage


class Context:
    """The names that conditions see, for one sample; several rules share it. With all of them it costs 36 µs."""

    def __init__(
        self,
        stream: StreamFacts,
        sample: SampleFacts,
        around: Surroundings | None = None,
        *,
        names: Collection[str] = (*FIELDS, NOTES, NOTES_INSIDE),
    ) -> None:
        """Without `around`, conditions on windows or coverage cannot be evaluated.

        Args:
            names: those that the conditions use; others are not there.
        """
        lists = set[str]()
        scores = {name: float(score) for name, score in sample.scores.items()}
        signals = {name: float(number) for name, number in stream.signals.items()}
        self._misuse = misuse = list[str]()

        # None of them holds `self`: cel.Context holds them, and a cycle through it is never collected, 5 kB a sample.
        def matched(*arguments: Any) -> bool:
            return _one_text("matched", arguments, misuse) and arguments[0] in lists

        def score(*arguments: Any) -> float:
            return scores.get(arguments[0], 0.0) if _one_text("score", arguments, misuse) else 0.0

        def signal(*arguments: Any) -> float:
            return signals.get(arguments[0], 0.0) if _one_text("signal", arguments, misuse) else 0.0

        variables: dict[str, Any] = {} if around is None else {**around.answers}
        if "scores" in names:
            variables["scores"] = scores
        if "signals" in names:
            variables["signals"] = signals
        if "stream" in names:
            variables["stream"] = stream_value(stream, with_metadata=NOTES_INSIDE in names)
        if NOTES in names:
            variables[NOTES] = dict(stream.metadata)
        if "sample" in names:
            variables["sample"] = sample_value(sample)
        if "coverage" in names and around is not None:
            variables["coverage"] = vars(around.coverage)
        self._context = cel.Context(
            variables=variables, functions={"matched": matched, "score": score, "signal": signal}
        )
        self._lists = lists
        self._tells_matches = "matches" in names
        self.show_matches(sample.matches)

    def show_matches(self, matches: Iterable[ListMatch]) -> None:
        """Sets the matches that conditions see: much less work than another context, where a stream has metadata."""
        shown = tuple(matches)
        self._lists.clear()
        self._lists.update(match.list for match in shown)
        if self._tells_matches:
            self._context.add_variable("matches", [match_value(match) for match in shown])

    def holds(self, condition: Condition) -> bool:
        """Evaluates the condition. It does not hold if it uses a score, signal or metadata key that is missing.

        Raises:
            ConditionError: it cannot be evaluated on this sample.
        """
        try:
            return self.evaluate(condition)
        except KeyError:
            return False

    def evaluate(self, condition: Condition) -> bool:
        """As `holds`, but raises for a missing key.

        Raises:
            KeyError: a map lacks a key that the condition uses.
            ConditionError: it cannot be evaluated on this sample.
        """
        self._misuse.clear()
        try:
            result = condition.program.execute(self._context)
        except KeyError:
            raise
        except Exception as error:
            raise ConditionError(str(error).partition(". ")[0]) from error
        if self._misuse:
            raise ConditionError(self._misuse[0])
        if not isinstance(result, bool):
            kind = type(result).__name__
            raise ConditionError(f"expected true or false, it gives {'an' if kind[0] in 'aeiou' else 'a'} {kind}")
        return result


def _one_text(function: str, arguments: tuple[Any, ...], misuse: list[str]) -> bool:
    """A function that raises makes the CEL binding write to stderr, so wrong calls are noted here instead."""
    fits = len(arguments) == 1 and isinstance(arguments[0], str)
    if not fits:
        misuse.append(f'{function}() takes one text, as in {function}("NAME")')
    return fits


@lru_cache(maxsize=1_000)
def parse_condition(text: str) -> Condition:
    """Compiles a condition and checks its names; `config.policy.cel.trial` tries it out as well.

    Raises:
        ConditionError: syntax, an unknown name, what does not fit together, or a score that is compared with what none
            is; with its place in the text, and with what else is wrong (`further`).
    """
    try:
        return _parsed(text)
    except ConditionError as error:
        meant = corrected(text)
        if meant is None:
            raise
        mistakes, scores = list(meant.mistakes), error.scores
    try:
        scores |= _parsed(meant.text).scores
    except ConditionError as error:
        mistakes += map(meant.moved, error.every)
        scores |= error.scores
    raise together(mistakes, scores)


def _parsed(text: str) -> Condition:
    check_texts(text)
    _compiled(text)  # the engine's messages on syntax are those that people find elsewhere, too
    tree = read_syntax(text)
    calls = _checked(tree)
    windows = tuple(dict.fromkeys(calls.values()))
    plain, notes = with_metadata_apart(with_variables(text, calls), tree)
    about_matches = [part for part in conjuncts(tree) if concerns_matches(part)]
    alone = [
        part
        for part in conjuncts(tree)
        if "coverage" not in used(part) and not any(isinstance(node, Call) and node in calls for node in nodes(part))
    ]
    known = {*FIELDS, *OF_NAMES}

    def joined(parts: Iterable[Node]) -> str:
        return " && ".join(plain[part.start : part.end] for part in parts) or "true"

    def names_in(parts: Iterable[Node]) -> frozenset[str]:
        return frozenset[str]().union(
            *(used(part) & known | (notes if uses_metadata(part) else frozenset()) for part in parts)
        )

    scored = [call.name for call in windows if call.function not in ("matched", "samples")]
    matched = [call.name for call in windows if call.function == "matched"]
    uses = used(tree)
    return Condition(
        text=text,
        tree=tree,
        scores=call_names(tree, "score", "scores").union(scored),
        signals=call_names(tree, "signal", "signals"),
        lists=referenced_lists(tree).union(matched),
        names=(uses & known) | notes,
        windows=windows,
        uses_matches=bool(matched or about_matches),
        uses_scores=bool(scored) or not uses.isdisjoint(("score", "scores")),
        uses_coverage="coverage" in uses,
        program=_compiled(plain),
        matches_program=_compiled(joined(about_matches)),
        matches_names=names_in(about_matches),
        alone_text=joined(alone),
        alone_names=names_in(alone),
        alone_tells=any(not used(part).isdisjoint(_OF_THE_PICTURE) for part in alone),
    )


def _checked(tree: Node) -> dict[Call, WindowCall]:
    """Its calls of `window`, by their parts of the tree.

    Raises:
        ConditionError: something is wrong with it; with all that is.
    """
    calls: dict[Call, WindowCall] = {}
    mistakes: list[ConditionError] = []
    try:
        calls = read_calls(tree)
        check_comparisons(tree)
    except ConditionError as error:
        mistakes.append(error)
    try:
        kinds_of(tree, names(Sizes(matches=1, tags=1)))
    except ConditionError as error:
        mistakes.append(error)
    if mistakes:
        raise together(mistakes, call_names(tree, "score", "scores"))
    return calls


def _compiled(plain: str) -> Any:
    try:
        return cel.compile(plain)
    except ValueError as error:
        position = _POSITION.search(str(error))
        if position is None:
            raise ConditionError(str(error)) from error
        line, column, what = position.groups()
        raise ConditionError(what.partition(" expecting ")[0], _offset(plain, int(line), int(column))) from error


def _offset(text: str, line: int, column: int) -> int:
    """The offset of a line and column, both from 1."""
    return sum(len(one) + 1 for one in text.split("\n")[: line - 1]) + column - 1
