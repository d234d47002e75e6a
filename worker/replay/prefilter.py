"""The prefilter of a replay: finds the rows for which rules can hold or fail, so that most of a log is skipped.

Rules that only compare scores with numbers depend on the side of each number on which a score lies, and on nothing
else of it. So rows fall into a few classes, and rules are evaluated on one row of each class. For rules over windows,
rows near one that may count in a window are kept as well.
"""

import json
import re
from collections.abc import Sequence
from itertools import product

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from config.facts import Evaluation, Surroundings
from config.policy.policy import Policy
from worker.replay.near import Mask, RuleReach, near
from worker.replay.rows import coverage_of
from worker.replay.thresholds import only_compares, sample_counts, thresholds
from worker.verdictlog.rows import Row, sample_facts_of, stream_facts_of

_OF_STREAM = ("stream_id", "purpose", "audience", "risk_prior", "metadata")
_OF_COVERAGE = ("segment_ms", "moderated_ms", "unhashable_ms")
MOST_POPULATIONS = 64
"""Combinations of sample counts in windows; with more, rules are evaluated on each picture instead."""

_RISK = re.compile(r"\brisk\b")
"""`stream.risk` in a condition, and not `risk_prior`."""

_UNLIKE = {"sample"}
"""Variables that differ from picture to picture."""

Codes = npt.NDArray[np.int64]
"""(n,): rows with the same code are equal in some respect."""


class Prefilter:
    """The prefilter for one policy."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        conditions = [rule.condition for rule in policy.rules]
        self._passes_all = any(
            condition.names & _UNLIKE or not only_compares(condition.tree) for condition in conditions
        )
        self._populations = _populations(policy)
        self._passes_all |= len(self._populations) > MOST_POPULATIONS
        self._names = frozenset[str]().union(*(condition.names for condition in conditions))
        # It differs from segment to segment: taken into account for all policies, hardly any two rows would be alike.
        self._uses_risk = any(_RISK.search(rule.when) for rule in policy.rules)
        self._numbers: dict[str, list[float]] = {}
        self._lowest: dict[str, float] = {}
        """By score: the least value (>=) that may count in a window."""
        for rule in policy.rules:
            for threshold in thresholds(rule):
                self._numbers.setdefault(threshold.score, []).append(threshold.value)
                if threshold.behind:
                    known = self._lowest.get(threshold.score, threshold.value)
                    self._lowest[threshold.score] = min(known, threshold.value)
        self._reach = RuleReach.of(policy)

    def rows(self, table: pa.Table) -> Mask:
        """(n,): the rows of `table` for which some rule may hold or fail, and those that contribute to that; for the
        others no rule does."""
        if self._passes_all or table.num_rows == 0:
            return np.ones(table.num_rows, np.bool_)
        scores = score_columns(table["scores"], tuple(self._numbers))
        _, first, classes = np.unique(self._classes(table, scores), return_index=True, return_inverse=True)
        examples = table.take(pa.array(first)).to_pylist()
        matched = pc.greater(pc.list_value_length(table["matches"]), 0).to_numpy(zero_copy_only=False)
        held: Mask = _of_classes([self._matters(row) for row in examples], classes) | matched
        if self._policy.in_order:
            seeds = _of_classes([self._matters_in_windows(row) for row in examples], classes) | matched
            for name, lowest in self._lowest.items():
                seeds |= np.nan_to_num(scores[name], nan=0.0, posinf=0.0, neginf=0.0) >= lowest
            held |= near(table, seeds, self._reach)
        return held

    def _classes(self, table: pa.Table, scores: dict[str, npt.NDArray[np.float64]]) -> Codes:
        codes = np.zeros(table.num_rows, np.int64)
        for name in _OF_STREAM:
            codes = _combined(codes, _codes(table[name]))
        if self._uses_risk:
            codes = _combined(codes, _codes(table["risk"]))
        if self._names & {"signal", "signals"}:
            codes = _combined(codes, _codes(_texts(table["signals"])))
        if "coverage" in self._names:
            for name in _OF_COVERAGE:
                codes = _combined(codes, _codes(table[name]))
            codes = _combined(codes, _codes(_texts(table["failed_ms"])))
        for name, values in scores.items():
            codes = _combined(codes, _sides(values, self._numbers[name]))
        return codes

    def _matters(self, row: Row) -> bool:
        """Returns whether a rule over this picture alone holds or fails, without its matches."""
        return _has_effect(self._policy.evaluate(stream_facts_of(row), sample_facts_of({**row, "matches": []})))

    def _matters_in_windows(self, row: Row) -> bool:
        """Returns whether a rule over windows holds or fails where all pictures around are of this class."""
        stream, sample = stream_facts_of(row), sample_facts_of({**row, "matches": []})
        windows = self._policy.windows
        answers = windows.answers((), windows.of(sample))
        coverage = coverage_of(row)
        return any(
            _has_effect(
                self._policy.evaluate(stream, sample, Surroundings(answers=answers | samples, coverage=coverage))
            )
            for samples in self._populations
        )


def _has_effect(evaluation: Evaluation) -> bool:
    """Returns whether a rule holds or fails: both are counted."""
    return bool(evaluation.hits or evaluation.problems)


def _populations(policy: Policy) -> list[dict[str, int]]:
    """All sample counts of windows that make a difference to rules."""
    counts_of: dict[str, set[int]] = {}
    for rule in policy.rules:
        for call in rule.condition.windows:
            if call.function == "samples":
                counts_of.setdefault(call.variable, set()).update(sample_counts(rule))
    return [dict(zip(counts_of, counts, strict=True)) for counts in product(*counts_of.values())]


def _of_classes(held: Sequence[bool], classes: npt.NDArray[np.intp]) -> Mask:
    mask: Mask = np.asarray(held, np.bool_)[classes]
    return mask


def score_columns(scores: pa.ChunkedArray, names: Sequence[str]) -> dict[str, npt.NDArray[np.float64]]:
    """The scores of those names, each (n,), NaN where a row has none."""
    found = {name: np.full(len(scores), np.nan) for name in names}
    begin = 0
    for chunk in scores.chunks:
        offsets = chunk.offsets.to_numpy()
        keys = chunk.keys[offsets[0] : offsets[-1]].dictionary_encode()
        items = chunk.items[offsets[0] : offsets[-1]].to_numpy(zero_copy_only=False)
        rows = begin + np.repeat(np.arange(len(chunk)), np.diff(offsets))
        known = keys.dictionary.to_pylist()
        indices = keys.indices.to_numpy(zero_copy_only=False)
        for name in names:
            if name in known:
                here = indices == known.index(name)
                found[name][rows[here]] = items[here]
        begin += len(chunk)
    return found


def _sides(values: npt.NDArray[np.float64], numbers: Sequence[float]) -> Codes:
    """The side of each number: below, at or above; values that are not finite have a code of their own."""
    cuts = np.unique(numbers)
    finite = np.isfinite(values)
    clean = np.where(finite, values, 0.0)
    sides = np.searchsorted(cuts, clean, "left") + np.searchsorted(cuts, clean, "right") + 1
    return np.where(finite, sides, 0).astype(np.int64)


def _texts(values: pa.ChunkedArray) -> pa.Array:
    """Maps as texts, which can be compared."""
    return pa.array([json.dumps(sorted(value or ())) for value in values.to_pylist()])


def _codes(values: pa.ChunkedArray | pa.Array) -> Codes:
    combined = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    indices = pc.fill_null(combined.dictionary_encode().indices, -1).to_numpy(zero_copy_only=False)
    return np.asarray(indices, np.int64) + 1


def _combined(one: Codes, other: Codes) -> Codes:
    """Codes that are equal where both codes are."""
    mixed = one * (int(other.max(initial=0)) + 1) + other
    return np.asarray(np.unique(mixed, return_inverse=True)[1], np.int64)
