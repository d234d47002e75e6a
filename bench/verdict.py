"""The cost of a verdict: `make bench`, or `python -m bench.verdict`. The parts of a ratio are measured alternately in
one process.

Goals: preprocessing and run of a classifier beside a bare `session.run` (at most 1.20 at 720p, 1.12 at 360p); 20 rules
on one sample (at most 100 µs); a cascade beside its first stage on benign films (at most 1.15); the pipeline's CPU
beside its bare parts on busy films (at most 1.25). And, without a goal, the cost of still material, and how scores
depend on the order in which a large picture is shrunk and converted to RGB.
"""

from statistics import mean

import numpy as np
import typer
from rich import box
from rich.console import Console
from rich.table import Table

from bench.material import NATURAL
from bench.one_thread import on_one_thread
from bench.pipeline_cost import CAUSE, SEGMENT_SECONDS, PipelineCost, measure_cascade, measure_pipeline
from bench.resize_order import Moved, measure_order
from bench.rule_cost import RULES, microseconds_alone, microseconds_in_order
from models.classifiers.classifier import Classifier
from models.classifiers.registry import DEFAULT, known_packages
from models.errors import ClassifierError
from worker.cli.model_report import time_model

PICTURES = ((1280, 720, 1.20), (640, 360, 1.12))
"""Width and height in pixels, and the goal."""
ROUNDS = 60
BENIGN = (*NATURAL, "pan", "handheld", "discs")
"""All films: natural, handheld, drawn."""
BUSY, QUIET = ("bikes", "handheld"), "still"
FILM_SECONDS = 10
REPORT_COLUMNS = 120


def main() -> None:
    """Measures and prints all tables, goals first."""
    on_one_thread("bench.verdict")
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = REPORT_COLUMNS
    goals = _table("Goals", "what", "measured", "wanted", "")
    details = _table(
        "Models, a picture from the decoder's planes to scores", "model", "picture", "network ms", "in all ms", "ratio"
    )
    for name in (DEFAULT, "safety-s", "age"):
        _models(name, goals, details)
    alone, in_order = microseconds_alone(), microseconds_in_order()
    _goal(goals, f"policy: {RULES} rules on one sample, µs", alone, 100)
    goals.add_row(
        f"  the same with windows, in order: {RULES} rules, a segment a sample, µs", f"{in_order:.1f}", "", ""
    )
    cascade = measure_cascade(BENIGN, FILM_SECONDS)
    measured = f"cascade on {cascade.pictures} benign pictures beside {DEFAULT} alone"
    _goal(goals, f"{measured}; {cascade.skip_rate:.1%} skipped by {cascade.second_name} ({CAUSE})", cascade.ratio, 1.15)
    costs = {film: measure_pipeline(film) for film in (*BUSY, QUIET)}
    for film in BUSY:
        _goal(goals, f"pipeline's CPU beside its bare parts, busy film ({film})", costs[film].ratio, 1.25)
    films = _table("The cascade's second stage, film by film", "film", "pictures", "skipped")
    for film, (pictures, skipped) in cascade.films.items():
        films.add_row(film, str(pictures), f"{skipped / pictures:.0%}")
    for table in (goals, details, films, _pipeline_table(costs), _order_table(measure_order())):
        console.print(table)


def _models(name: str, goals: Table, details: Table) -> None:
    classifier = Classifier(known_packages(None)[name])
    for width, height, wanted in PICTURES:
        try:
            timing = time_model(classifier, width=width, height=height, rounds=ROUNDS)
        except ClassifierError as error:
            details.add_row(name, "", "", "", str(error).partition(":")[0])
            return
        if name == DEFAULT:
            _goal(goals, f"{name}: picture to scores beside a bare run, {height}p", timing.ratio, wanted)
        details.add_row(name, f"{height}p", f"{timing.run_ms:.2f}", f"{timing.scores_ms:.2f}", f"{timing.ratio:.3f}")


def _pipeline_table(costs: dict[str, PipelineCost]) -> Table:
    table = _table(
        f"Pipeline, CPU in ms a segment of {SEGMENT_SECONDS} s at 360p",
        *("film", "pipeline", "decode", "hash", "match", "run", "parts", "packet scan", "samples", "run on", "decoded"),
    )
    for film, cost in costs.items():
        each = cost.segments
        numbers = (cost.pipeline, cost.decode, cost.hash, cost.match, cost.classify, cost.parts, cost.packets)
        table.add_row(
            film,
            *(f"{1000 * seconds / each:.1f}" for seconds in numbers),
            f"{cost.samples / each:.1f}",
            f"{cost.classified / each:.1f}",
            f"{cost.decoded_share:.0%}",
        )
    return table


def _order_table(moved: list[Moved]) -> Table:
    table = _table(
        "How far open-nsfw's score moves at 720p, over skimage's pictures",
        *("by", "mean", "worst", "picture"),
    )
    for what, of in (("shrinking before colours", "order"), ("noise of one grey level", "noise")):
        amounts = [getattr(one, of) for one in moved]
        worst = int(np.argmax(amounts))
        table.add_row(what, f"{mean(amounts):.4f}", f"{amounts[worst]:.4f}", moved[worst].picture)
    return table


def _goal(table: Table, what: str, measured: float, wanted: float) -> None:
    met = "[green]met[/]" if measured <= wanted else "[red]missed[/]"
    table.add_row(what, f"{measured:.3f}" if wanted < 10 else f"{measured:.1f}", f"<= {wanted:g}", met)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD)
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place else "left")
    return table


if __name__ == "__main__":
    typer.run(main)
