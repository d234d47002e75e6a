"""Evaluation of rules on one sample: with all of its matches, and with parts of them."""

from collections.abc import Collection, Iterable
from dataclasses import replace

from config.facts import Hit, ListMatch, SampleFacts, Severity, StreamFacts, Surroundings, VideoFrame
from config.policy.cel.cost import MAX_MATCHES
from config.policy.cel.expressions import Condition, Context
from config.policy.cel.mistakes import ConditionError
from config.policy.cel.references import NOTES, NOTES_INSIDE
from config.policy.rules import Rule


class SampleEvaluator:
    """The sample as conditions see it, with all of its matches or, where a rule needs it, with parts of them."""

    def __init__(
        self, stream: StreamFacts, sample: SampleFacts, around: Surroundings | None, names: Collection[str]
    ) -> None:
        """`names`: those that the rules use."""
        self._around = around
        self._names = frozenset(names)
        self.problems: tuple[str, ...] = ()
        """Slugs of what a rule will not see."""
        self._sample = sample
        self._views: dict[tuple[ListMatch, ...], Context] = {}
        """The context for parts of the matches, without the stream's metadata."""
        self._noted: Context | None = None
        """With them, for one part after the other."""
        try:
            self._whole = Context(stream, sample, around, names=names)
        except ValueError:  # CEL has no text with lone surrogates, JSON of a platform's notes may
            self.problems = ("metadata-unusable",)
            stream = replace(stream, metadata={})
            self._whole = Context(stream, sample, around, names=names)
        self._stream = stream

    def hit(self, rule: Rule) -> Hit | None:
        """The hit of a rule, before persistence; None: it does not hold.

        Raises:
            ConditionError: it cannot be evaluated.
        """
        sample, condition = self._sample, rule.condition
        if not self.holds(condition):
            return None
        grounds = self.grounds(condition)
        frames: tuple[VideoFrame, ...] = ()
        if rule.persistence.video_frames is not None:
            grounds = self.frames(condition)
            frames = tuple(VideoFrame(match.list, match.video or "", match.entry) for match in grounds)
            if not frames:
                return None
        lowered = any(match.allowed for match in sample.matches) and (
            all(match.allowed for match in grounds) if frames else not self.holds_unallowed(condition)
        )
        return Hit(
            rule=rule.name,
            severity=Severity.REVIEW if lowered else rule.severity,
            capture_ms=sample.capture_ms,
            pts_seconds=sample.pts_seconds,
            reason=sample.reason,
            principles=rule.serves(
                matched=bool(sample.matches) or self._matched_before(condition), scored=bool(sample.scores)
            ),
            matches=sample.matches,
            scores=dict(sample.scores),
            grounds=grounds,
            frames=frames,
            pdq=sample.pdq,
        )

    def holds(self, condition: Condition) -> bool:
        """Evaluates the condition on the sample.

        Raises:
            ConditionError: it cannot be evaluated.
        """
        return self._whole.holds(condition)

    def grounds(self, condition: Condition) -> tuple[ListMatch, ...]:
        """The matches each of which alone makes a condition hold, of one that holds.

        Without them all it would not hold. None where it holds without any match, or only for several together.
        """
        part = condition.of_matches
        if not condition.uses_matches or not self._sample.matches or self._holds_for((), part):
            return ()
        return tuple(match for match in self._sample.matches if self._holds_for((match,), part))

    def frames(self, condition: Condition) -> tuple[ListMatch, ...]:
        """For a condition that holds, and each listed video for which it holds alone: the frames nearest to the
        picture.

        Several are equally near where a video stands still.
        """
        alone = tuple(match for match in self._sample.matches if match.video is None)
        videos: dict[tuple[str, str | None], list[ListMatch]] = {}
        for match in self._sample.matches:
            if match.video is not None:
                videos.setdefault((match.list, match.video), []).append(match)
        return tuple(
            match
            for matches in videos.values()
            if self._holds_for((*alone, *matches), condition.of_matches)
            for match in _nearest(matches)
        )

    def holds_unallowed(self, condition: Condition) -> bool:
        """True if a condition that holds would hold without the matches that a lead found harmless, too."""
        unallowed = tuple(match for match in self._sample.matches if not match.allowed)
        return self._holds_for(unallowed, condition.of_matches)

    def _matched_before(self, condition: Condition) -> bool:
        calls = (call for call in condition.windows if call.function == "matched")
        return self._around is not None and any(self._around.answers[call.variable] > 0 for call in calls)

    def _holds_for(self, matches: tuple[ListMatch, ...], condition: Condition) -> bool:
        try:
            return self._view(matches, condition.names).holds(condition)
        except ConditionError:
            return False  # it is reported for the whole sample

    def _view(self, matches: tuple[ListMatch, ...], names: frozenset[str]) -> Context:
        """Valid until the next call."""
        if matches == self._sample.matches:
            return self._whole
        if not names.isdisjoint(_NOTES):
            # A stream may have a thousand notes: telling them again for each match would take longer than the rules.
            if self._noted is None:
                self._noted = self._context((), self._names)
            self._noted.show_matches(matches)
            return self._noted
        view = self._views.get(matches)
        if view is None:
            view = self._views[matches] = self._context(matches, self._names - _NOTES)
        return view

    def _context(self, matches: tuple[ListMatch, ...], names: frozenset[str]) -> Context:
        return Context(self._stream, replace(self._sample, matches=matches), self._around, names=names)


_NOTES = frozenset({NOTES, NOTES_INSIDE})


def _nearest(matches: Iterable[ListMatch]) -> list[ListMatch]:
    found = list(matches)
    distance = min(match.distance for match in found)
    return [match for match in found if match.distance == distance]


def most_telling(matches: Iterable[ListMatch]) -> tuple[ListMatch, ...]:
    """At most MAX_MATCHES, nearest first: of more, the nearest of each list, then of each video, then the nearest."""
    ordered = sorted(matches, key=lambda match: match.order)
    if len(ordered) <= MAX_MATCHES:
        return tuple(ordered)
    lists: dict[str, ListMatch] = {}
    videos: dict[tuple[str, str | None], ListMatch] = {}
    for match in ordered:
        lists.setdefault(match.list, match)
        videos.setdefault((match.list, match.video), match)
    chosen = list(dict.fromkeys([*lists.values(), *videos.values(), *ordered]))[:MAX_MATCHES]
    return tuple(sorted(chosen, key=lambda match: match.order))
