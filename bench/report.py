"""Tables and goals of the sampler."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table

from bench.clips import ENCODERS, FRAMES_PER_SECOND, INTRA_REFRESH
from bench.fidelity import Fidelity
from bench.material import MONTAGE
from bench.methods import KeyframesOnly, Livewarden, VideoCapture
from bench.score import Recall, Results

INSERT_SECONDS = (0.25, 0.5, 1.0, 2.0)


@dataclass(frozen=True, kw_only=True)
class StillScene:
    """Samples of a still scene."""

    encoder: str
    taken: int
    classified: int
    """Samples that the near-duplicate gate passes to the classifiers."""


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A goal and its measured value."""

    text: str
    bound: float
    at_least: bool
    """True if the bound is a lower one; both kinds include it."""
    measured: float
    detail: str = ""

    @property
    def met(self) -> bool:
        """True if the goal is met."""
        return self.measured >= self.bound if self.at_least else self.measured <= self.bound


def goals(
    hidden: Results,
    clean: Results,
    expensive: Results,
    still: Sequence[StillScene],
    fidelity: Sequence[Fidelity],
    *,
    max_gap_seconds: float,
) -> tuple[Goal, ...]:
    """All goals of the sampler.

    Args:
        hidden: of all clips with inserts.
        clean: of natural clips without, and of a montage, which has cuts of its own.
        expensive: of clips with inserts, at the size that CPU is measured at.
        still: of still scenes, one for each encoder's setting.
        fidelity: of clips with inserts.
        max_gap_seconds: of the profile that was measured.
    """
    ours = hidden.where(method=Livewarden.name)
    by_encoder = {encoder.name: ours.where(encoder=encoder.name).recall(_half_a_second) for encoder in ENCODERS}
    worst = min(by_encoder, key=lambda name: by_encoder[name].share)
    steady = clean.with_gops().without(MONTAGE)
    costliest, costliest_clip = _costliest(expensive, clean)
    ours_everywhere = [
        *ours.rows,
        *clean.where(method=Livewarden.name).rows,
        *expensive.where(method=Livewarden.name).rows,
    ]
    wrong, taken = sum(one.wrong for one in fidelity), sum(one.taken for one in fidelity)
    with_gops = [one for one in still if one.encoder != INTRA_REFRESH]
    loosest = max(ours_everywhere, key=lambda row: row.longest_gap_seconds)
    return (
        Goal(
            text="recall of inserts ≥ 0.5 s, worst encoder",
            bound=0.97,
            at_least=True,
            measured=by_encoder[worst].share,
            detail=f"{worst}: {_counts(by_encoder[worst])}",
        ),
        _recall_goal("recall of inserts ≥ 0.5 s, all", 0.99, ours.recall(_half_a_second)),
        _recall_goal("recall of 0.25 s inserts, all", 0.95, ours.recall(lambda seconds: seconds == 0.25)),
        Goal(
            text="frames decoded, clean natural, 2 s GOPs",
            bound=0.25,
            at_least=False,
            measured=steady.where(method=Livewarden.name).decoded_share,
        ),
        *(_clean_cpu_goal(steady.in_segments(seconds), seconds) for seconds in steady.segment_durations),
        Goal(
            text="CPU on the most expensive clip, VideoCapture = 1",
            bound=0.8,
            at_least=False,
            measured=costliest,
            detail=costliest_clip,
        ),
        Goal(
            text="longest gap, seconds",
            bound=round(max_gap_seconds + 1 / FRAMES_PER_SECOND, 3),
            at_least=False,
            measured=round(loosest.longest_gap_seconds, 3),
            detail=f"{loosest.encoder}, {loosest.base}, GOP {loosest.gop_seconds} s",
        ),
        Goal(
            text="still scene: classified, settings with GOPs",
            bound=0.1,
            at_least=False,
            measured=sum(one.classified for one in with_gops) / sum(one.taken for one in with_gops),
            detail=", ".join(f"{one.encoder}: {one.classified}/{one.taken}" for one in still),
        ),
        Goal(
            text="pictures that are not what a player shows",
            bound=0,
            at_least=False,
            measured=wrong / taken,
            detail=f"{wrong}/{taken} {', '.join(sorted({one.encoder for one in fidelity if one.wrong}))}",
        ),
    )


def _clean_cpu_goal(steady: Results, segment_seconds: float) -> Goal:
    ours, keyframes = (steady.where(method=method) for method in (Livewarden.name, KeyframesOnly.name))
    return Goal(
        text=f"CPU there, {segment_seconds} s segments, keyframes only = 1",
        bound=1.5,
        at_least=False,
        measured=ours.cpu_seconds / keyframes.cpu_seconds,
        detail="both with the same probing",
    )


def _half_a_second(seconds: float) -> bool:
    return seconds >= 0.5


def _counts(recall: Recall) -> str:
    low, high = recall.wilson()
    return f"{recall.seen}/{recall.total}; 95 %: {low:.3f}–{high:.3f}"


def _recall_goal(text: str, bound: float, recall: Recall) -> Goal:
    return Goal(text=text, bound=bound, at_least=True, measured=recall.share, detail=_counts(recall))


def _costliest(expensive: Results, clean: Results) -> tuple[float, str]:
    """The highest cost of the sampler on any one clip, relative to full decoding, and the name of that clip."""
    found = (0.0, "")
    for results in (expensive, clean):
        full = {row.clip: row for row in results.where(method=VideoCapture.name).rows}
        for row in results.where(method=Livewarden.name).rows:
            ratio = row.cpu_seconds / full[row.clip].cpu_seconds
            clip = f"{row.encoder}, {row.base}, GOP {row.gop_seconds} s, segments {row.segment_seconds} s"
            found = max(found, (ratio, clip))
    return found


def print_report(
    console: Console,
    hidden: Results,
    clean: Results,
    reached: Sequence[Goal],
    *,
    methods: Sequence[str],
    picture_seconds: float,
) -> None:
    """Prints all tables; `picture_seconds`: CPU of classifying a picture."""
    console.print(_recall_table(hidden, methods, picture_seconds))
    console.print(
        "Recall in per cent with its Wilson 95 % interval; n: hidden inserts. No insert of 2 s hides in a GOP of 2 s.\n"
        "CPU: full decoding with VideoCapture in the same row's encoder setting = 1. ms/s: CPU for a second of video, "
        f"with\n{1000 * picture_seconds:.1f} ms for classifying each picture taken.\n"
    )
    console.print(_clean_table(clean))
    console.print("A montage has cuts of its own: its shots hide between keyframes, and are decoded like inserts.\n")
    console.print(goal_table(reached))
    failed = sum(row.segments_failed for results in (hidden, clean) for row in results.rows)
    if failed:
        console.print(f"livewarden could not decode {failed} segments: nothing in them counts as seen")


def _recall_table(hidden: Results, methods: Sequence[str], picture_seconds: float) -> Table:
    table = Table(title="Inserts hidden between keyframes", box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("method", no_wrap=True)
    table.add_column("x264", no_wrap=True)
    for heading in ("n", *(f"{seconds:g} s" for seconds in INSERT_SECONDS), "decoded", "CPU", "ms/s"):
        table.add_column(heading, justify="right", no_wrap=True)
    for method in methods:
        for encoder in (*(setting.name for setting in ENCODERS), None):
            results = hidden.where(method=method, encoder=encoder)
            full = hidden.where(method=VideoCapture.name, encoder=encoder)
            table.add_row(
                method if encoder == ENCODERS[0].name else "",
                encoder if encoder is not None else "all",
                *_recall_cells(results),
                f"{results.decoded_share:.1%}" if results.rows else "-",
                f"{results.cpu_seconds / full.cpu_seconds:.2f}" if results.rows else "-",
                f"{results.milliseconds(picture_seconds):.0f}" if results.rows else "-",
                style="bold" if encoder is None else "",
                end_section=encoder is None,
            )
            if not results.rows:
                break
    return table


def _recall_cells(results: Results) -> list[str]:
    if not results.rows:
        return ["not installed", *("-" for _ in INSERT_SECONDS)]
    cells = [str(results.recall().total)]
    for wanted in INSERT_SECONDS:
        recall = results.recall(_exactly(wanted))
        low, high = recall.wilson()
        cells.append(f"{100 * recall.share:.0f} ({100 * low:.0f}–{100 * high:.0f})")
    return cells


def _exactly(wanted: float) -> Callable[[float], bool]:
    return lambda seconds: seconds == wanted


def _clean_table(clean: Results) -> Table:
    table = Table(title="Clean natural material, 2 s GOPs, livewarden", box=box.SIMPLE_HEAD)
    table.add_column("x264; film, all settings with GOPs", no_wrap=True)
    for heading in ("decoded", "CPU ms/s", "÷ keyframes only", "÷ VideoCapture", "longest gap s"):
        table.add_column(heading, justify="right", no_wrap=True)
    steady = clean.without(MONTAGE)
    with_gops = steady.with_gops()
    parts = {encoder.name: steady.where(encoder=encoder.name) for encoder in ENCODERS}
    parts |= {base: with_gops.where(base=base) for base in dict.fromkeys(row.base for row in steady.rows)}
    parts |= {f"segments of {seconds} s": with_gops.in_segments(seconds) for seconds in with_gops.segment_durations}
    parts["all with GOPs"] = with_gops
    parts[f"{MONTAGE}, a montage"] = clean.with_gops().where(base=MONTAGE)
    for name, part in parts.items():
        ours, keyframes, full = (
            part.where(method=method) for method in (Livewarden.name, KeyframesOnly.name, VideoCapture.name)
        )
        table.add_row(
            name,
            f"{ours.decoded_share:.1%}",
            f"{1000 * ours.cpu_seconds / ours.stream_seconds:.2f}",
            f"{ours.cpu_seconds / keyframes.cpu_seconds:.2f}",
            f"{ours.cpu_seconds / full.cpu_seconds:.2f}",
            f"{max(row.longest_gap_seconds for row in ours.rows):.2f}",
            style="bold" if part is with_gops else "",
            end_section=name == ENCODERS[-1].name,
        )
    return table


def goal_table(reached: Sequence[Goal]) -> Table:
    """The table of goals, and whether each is met."""
    table = Table(title="Goals", box=box.SIMPLE_HEAD)
    for heading in ("goal", "bound", "measured", "", "of"):
        table.add_column(heading, no_wrap=heading != "of")
    for goal in reached:
        table.add_row(
            goal.text,
            f"{'≥' if goal.at_least else '≤'} {goal.bound:g}",
            f"{goal.measured:.4g}",
            "[green]met[/]" if goal.met else "[bold red]missed[/]",
            goal.detail,
        )
    return table
