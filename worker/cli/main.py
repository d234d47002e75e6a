"""The command `livewarden`: registers the subcommands, and turns errors into one line and a status.

Each subcommand imports heavy modules (decoders, models, Celery) when it runs, so that `livewarden queue next` is quick.
"""

import errno
import logging
import os
import sys
from importlib.metadata import entry_points, version
from typing import Annotated, Final, NoReturn

import typer

from config.errors import LivewardenError, SettingsError
from worker.cli.audit import app as audit
from worker.cli.bank import app as bank
from worker.cli.demo import demo
from worker.cli.doctor import doctor
from worker.cli.ending import FAILED, UNREAD
from worker.cli.evidence import app as evidence
from worker.cli.hash import hash_images
from worker.cli.models import app as models
from worker.cli.people import app as people
from worker.cli.policy import app as policy
from worker.cli.queue import app as queue
from worker.cli.redis_users import redis_users
from worker.cli.report import app as report
from worker.cli.sample import sample
from worker.cli.scan import scan
from worker.cli.statistics import statistics
from worker.cli.streams import app as streams
from worker.cli.testcard import write_testcard
from worker.errors import DemoError
from worker.logs.printable import PrintableStream, printable
from worker.logs.setup import log_format_of, set_up_logging
from worker.processes.blas_threads import keep_numpy_to_one_thread
from worker.processes.core_dumps import forbid_dumps
from worker.runtime.environment import log_unknown

PLUGIN_GROUP = "livewarden.commands"
"""Entry points of other packages: each names a `typer.Typer` or a function, and becomes the subcommand of its name."""

_UNWRITABLE: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""Errors of standard output. Those of files that a command names are translated where they occur."""

app = typer.Typer(
    name="livewarden",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Watches live streams for child sexual exploitation and abuse, and brings what it finds to people who decide.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"livewarden {version('livewarden')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Options before the subcommand."""


app.command("scan")(scan)
app.command("hash")(hash_images)
app.command("testcard")(write_testcard)
app.command("sample")(sample)
app.command("doctor")(doctor)
app.command("demo")(demo)
app.command("redis-users")(redis_users)
app.command("statistics")(statistics)
app.add_typer(streams, name="streams")
app.add_typer(queue, name="queue")
app.add_typer(people, name="people")
app.add_typer(evidence, name="evidence")
app.add_typer(report, name="report")
app.add_typer(bank, name="bank")
app.add_typer(models, name="models")
app.add_typer(policy, name="policy")
app.add_typer(audit, name="audit")


def _add_plugins() -> None:
    for entry in entry_points(group=PLUGIN_GROUP):
        try:
            found = entry.load()
        except Exception as error:  # a broken plug-in must not take the other commands away
            sys.stderr.write(f"livewarden: plug-in {entry.name} ({entry.value}) cannot be loaded: {error}\n")
            continue
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=entry.name)
        else:
            app.command(entry.name)(found)


def main() -> None:
    """Runs the command line of this process and ends it with a status: 130 after Ctrl-C, 2 after an error, 141 where
    nobody reads its output any more."""
    keep_numpy_to_one_thread(os.environ)
    forbid_dumps()
    for name in ("stdout", "stderr"):
        # The locale of a terminal may lack a character that tables have.
        getattr(sys, name).reconfigure(errors="backslashreplace")
        # Subcommands print texts of streams, files and messages: control characters in them are escaped here.
        setattr(sys, name, PrintableStream(getattr(sys, name)))
    set_up_logging(logging.WARNING, log_format_of(os.environ))
    log_unknown(os.environ)
    _add_plugins()
    try:
        app()
    except SettingsError as error:
        for mistake in error.mistakes:
            sys.stderr.write(f"livewarden: {printable(mistake)}\n")
        sys.exit(FAILED)
    except LivewardenError as error:
        text = str(error)
        # The only text of several lines: the end of a log.
        sys.stderr.write(f"livewarden: {text if isinstance(error, DemoError) else printable(text)}\n")
        sys.exit(FAILED)
    except OSError as error:
        if error.errno not in _UNWRITABLE or error.filename is not None:
            raise
        _end_unwritten(error)
    except SystemExit as end:
        # click and rich end with status 1 then, which is an answer of `scan`, `doctor` and others.
        if isinstance(end.__context__, BrokenPipeError):
            sys.exit(UNREAD)
        raise
    finally:
        _flush()


def _flush() -> None:
    """Flushes standard output while an error can still be handled; a closed pipe (`| head`) is not reported."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
        sys.exit(UNREAD)
    except OSError as error:
        _end_unwritten(error)


def _end_unwritten(error: OSError) -> NoReturn:
    """Ends the command where standard output is a file on a full disk, say: what was printed is not there."""
    _discard_output()
    sys.stderr.write(f"livewarden: standard output cannot be written: {error.strerror}\n")
    sys.exit(FAILED)


def _discard_output() -> None:
    """The rest of the buffer would raise again when the interpreter ends: it goes to /dev/null."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
