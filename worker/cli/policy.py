"""`livewarden policy`: checks, tests and replays a policy before it goes live."""

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from config.counts import counted
from config.documents.mistakes import Mistake
from config.errors import LivewardenError, PolicyError
from config.settings import Settings
from worker.cli.json_lines import print_json, print_result
from worker.cli.options import Json
from worker.logs.printable import printable
from worker.runtime.environment import settings_of

if TYPE_CHECKING:
    from config.policy.dead_references import DeadReference

app = typer.Typer(no_args_is_help=True, help="Check, test and try a policy before it goes live.")

FOUND = 1
"""Exit status: a policy has mistakes, or cases fail."""

MAX_DAYS = 3_650
"""Ten years: no log reaches further back, and an instant much longer ago has no date."""

_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}

PolicyFile = Annotated[
    Path | None, typer.Option("--policy", metavar="FILE", help="The policy to try; default: the one in force.")
]


@app.command()
def check(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="The policy; default: the one in force.")] = None,
    as_json: Json = False,
) -> None:
    """Report all mistakes of a policy, with line and column; without any, show what its rules do.

    Status 1: it has mistakes, and workers refuse it. Else 0, also with warnings: a rule names a score that is always
    0.0, or a list that the deployment does not have.
    """
    from config.policy.dead_references import dead_references
    from config.policy.policy import policy_name, read_policy
    from worker.policyload.checked_policy import read_policy_and_models
    from worker.policytests.report import describe

    settings = settings_of(os.environ)
    path = settings.policy_file if file is None else file
    name = policy_name(path)
    try:
        policy, classifiers = read_policy_and_models(read_policy(path), path, settings)
    except PolicyError as error:
        if not _print_mistakes(error, name, as_json=as_json):
            raise
        raise typer.Exit(FOUND) from error
    lists, why_not = _list_names(settings)
    given = {key for classifier in classifiers for key in classifier.keys}
    dead = list(dead_references(policy, lists=lists, scores=given))
    if as_json:
        rules = [{"rule": rule.name, "severity": rule.severity, "mode": rule.mode} for rule in policy.rules]
        record = {"type": "policy", "file": name, "ok": True, "version": policy.version, "rules": rules}
        print_json(*(_dead_record(one, name) for one in dead), record | {"lists_compared": lists is not None})
    else:
        from worker.cli.screen import Screen

        Screen().print(describe(policy, name))
        for one in dead:
            # The line of a score stays as it was: programs may parse it.
            at = "" if one.kind == "score" else f":{one.place.line}:{one.place.column}"
            typer.echo(f"{name}{at}: rule {one.rule!r}: {one.place.text}")
    if lists is None:
        typer.echo(f"livewarden: {printable(f'lists that rules name were not compared: {why_not}')}", err=True)


def _list_names(settings: Settings) -> tuple[frozenset[str] | None, str]:
    """Lists of the deployment that the environment names; None and the reason: it cannot be reached."""
    from worker.bank.lists_in_force import deployment_list_names
    from worker.store.redis_client import connect

    redis = connect(settings.redis_url.get_secret_value(), retries=0)
    try:
        return deployment_list_names(redis, settings), ""
    except LivewardenError as error:
        return None, str(error)
    finally:
        redis.close()


def _dead_record(one: "DeadReference", name: str) -> dict[str, Any]:
    return {
        "type": "warning",
        "file": name,
        "rule": one.rule,
        "text": one.place.text,
        "line": one.place.line,
        "column": one.place.column,
        "kind": one.kind,
        "name": one.name,
        "nearest": one.nearest,
        "never_fires": one.never_fires,
    }


def _print_mistakes(error: PolicyError, name: str, *, as_json: bool) -> bool:
    """Prints a line for each on stdout, as compilers do; False: the file could not be read."""
    if not error.mistakes and str(error).startswith(name):
        return False
    mistakes = error.mistakes or (Mistake(text=str(error)),)
    for one in mistakes:
        place = ":".join(str(part) for part in (name, one.line, one.column) if part is not None)
        of = f"rule {one.rule!r}: " if one.rule else f"{one.field}: " if one.field else ""
        print_result({"type": "mistake", "file": name, **asdict(one)}, f"{place}: {of}{one.text}", as_json=as_json)
    record = {"type": "policy", "file": name, "ok": False, "mistakes": len(mistakes)}
    print_result(record, f"{counted(len(mistakes), 'mistake')}: workers refuse this policy", as_json=as_json)
    return True


@app.command("test")
def run_cases(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE", help="Cases in YAML; default: those that ship with livewarden."),
    ] = None,
    policy: PolicyFile = None,
    as_json: Json = False,
) -> None:
    """Run the test cases of a policy: made-up streams, and the incidents that it must raise on them.

    Status 1: a case fails. Else 0.
    """
    from worker.policyload.checked_policy import known_scores, load_checked_policy
    from worker.policytests.case_format import lines_of, read_cases
    from worker.policytests.case_names import check_names
    from worker.policytests.cases import SHIPPED_CASES, run_case
    from worker.policytests.report import case_lines, case_record

    settings = settings_of(os.environ)
    given = None if policy is None else load_checked_policy(policy, settings)
    failed = total = 0
    for path in files or [SHIPPED_CASES]:
        cases, document = read_cases(path)
        named = settings.policy_file if cases.policy is None else path.parent / cases.policy
        tried = load_checked_policy(named, settings) if given is None else given
        for doubtful in check_names(tried, cases, document, str(path), given_scores=known_scores(settings)):
            text = f"{path}:{doubtful.line}:{doubtful.column}: {doubtful.text}"
            print_result({"type": "warning", "file": str(path), **asdict(doubtful)}, text, as_json=as_json)
        for case, line in zip(cases.cases, lines_of(cases, document), strict=True):
            try:
                outcome = run_case(tried, case, line=line)
            except PolicyError as error:
                raise PolicyError(f"{path}: line {line}: {error}") from error
            total += 1
            failed += not outcome.passed
            if as_json:
                print_json(case_record(outcome, str(path), tried.version))
            else:
                for text in case_lines(outcome, str(path)):
                    typer.echo(text)
    record = {"type": "summary", "cases": total, "failed": failed}
    print_result(record, f"{total - failed} of {total} cases passed", as_json=as_json)
    raise typer.Exit(FOUND if failed else 0)


@app.command()
def replay(
    policy: PolicyFile = None,
    since: Annotated[str, typer.Option(metavar="AGO", help="How far back: 90s, 30m, 24h or 2d.")] = "24h",
    until: Annotated[
        str, typer.Option(metavar="AGO", help="Up to when; newer pictures may not be in the log yet.")
    ] = "1m",
    as_json: Json = False,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Draw the distribution of scores, with the thresholds of rules: .png, .pdf, .webp …"
        ),
    ] = None,
) -> None:
    """Compare the incidents that a policy would have raised on logged pictures with those that were raised.

    Reads the verdict log in LIVEWARDEN_STORE_URL only: it changes nothing, and raises nothing.
    """
    from worker.replay import replaying
    from worker.replay.old_policy import load_tried_policy
    from worker.replay.report import report
    from worker.replay.score_plot import format_of, score_plot
    from worker.store.local_file import expect_writable, write_file

    settings = settings_of(os.environ)
    now_ms = round(time.time() * 1000)
    since_ms = now_ms - 1000 * _seconds_of(since, "--since")
    until_ms = now_ms - 1000 * _seconds_of(until, "--until")
    if since_ms >= until_ms:
        raise typer.BadParameter("expected more time ago than --until", param_hint="--since")
    drawn_as = "PNG"
    if plot is not None:
        drawn_as = format_of(plot)
        expect_writable(plot)
    file = settings.policy_file if policy is None else policy
    tried, gone = load_tried_policy(file, settings, since_ms=since_ms, until_ms=until_ms)
    replaying.expect_log(settings.store_url)
    if gone:
        note = f"{', '.join(sorted(gone))}: not installed here: its scores are those in the log"
        typer.echo(f"livewarden: {printable(note)}", err=True)
    period = replaying.period_of(tried, since_ms=since_ms, until_ms=until_ms)
    rows = replaying.rows_to_read(settings.store_url, period)
    with _progress(2 * rows) as advance:
        result = replaying.replay(settings.store_url, tried, period, rows=rows, advance=advance)
    if as_json:
        print_json(*result.records())
    else:
        from worker.cli.screen import Screen

        Screen().print(report(result))
    if result.damaged:
        problem = next(iter(result.damaged.values()))
        number = counted(len(result.damaged), "file")
        note = f"{number} of the verdict log cannot be read, and its pictures are left out: {problem}"
        typer.echo(f"livewarden: {printable(note)}", err=True)
    if plot is not None:
        title = f"Policy {tried.version}, from {since} ago to {until} ago, {counted(result.rows, 'picture')}"
        write_file(plot, score_plot(result.scores, title=title, file_format=drawn_as))


def _seconds_of(text: str, option: str) -> int:
    """Seconds of "90s", "30m", "24h" or "2d".

    Raises:
        typer.BadParameter: the value of `option` is something else, or longer ago than MAX_DAYS.
    """
    found = re.fullmatch(r"(\d{1,12})([smhd])", text)
    if found is None:
        raise typer.BadParameter(f"{text!r}: expected a number and s, m, h or d, as in 24h", param_hint=option)
    seconds = int(found[1]) * _UNIT_SECONDS[found[2]]
    if seconds > MAX_DAYS * _UNIT_SECONDS["d"]:
        raise typer.BadParameter(f"{text!r}: expected at most {MAX_DAYS}d", param_hint=option)
    return seconds


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr, if that is a terminal."""
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from worker.cli.screen import progress_bar

    columns = (TextColumn("replaying"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with progress_bar(*columns, total=total) as update:
        yield lambda rows: update(advance=rows)
