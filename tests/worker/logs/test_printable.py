"""Foreign texts in a log, on standard output and in tables."""

import io
import json
import logging
import subprocess
import sys
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from worker.cli.screen import Screen, progress_bar
from worker.logs.format import PrintableFormatter
from worker.logs.printable import PrintableStream, printable, printable_lines
from worker.logs.setup import STREAM_LINES_A_MINUTE, StreamLines, format_records

HOSTILE = "\x1b[2J\x9b31m\x07\x7f\u202e\u2066\u200e\u200f\u061c\u2028\u2029\x85\ud800\udc9b\U000e0001\n\r\t"
texts = st.text(st.characters())


@pytest.mark.parametrize("character", sorted(set(HOSTILE) - set("[2J31m")))
def test_each_steering_character_is_escaped(character: str) -> None:
    """A stream's name could clear an operator's screen, or show it reversed."""
    shown = printable(f"a{character}b")
    assert shown == ("a\\udb40\\udc01b" if character == "\U000e0001" else f"a\\u{ord(character):04x}b")


@pytest.mark.parametrize("text", ["plain", "Füße", "直播", "x y", "a\\b", "{}[]", ""])
def test_readable_text_stays(text: str) -> None:
    """Names of streams in other scripts would not be readable."""
    assert printable(text) == text


@given(texts)
def test_printable_text_is_one_line_that_encodes(text: str) -> None:
    """A log that is not valid UTF-8 could not be read by its collector."""
    shown = printable(text)
    assert shown.isprintable()
    assert shown.encode().decode() == shown
    assert printable_lines(text).count("\n") == text.count("\n")


@given(st.recursive(texts, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=5))
def test_json_stays_json(record: object) -> None:
    """Scripts that read `--json` would fail on a stream's name."""
    assert json.loads(printable(json.dumps(record))) == record


@given(st.text(st.characters(codec="utf-8")))
def test_json_that_is_not_ascii_stays_json(text: str) -> None:
    """As above, for the commands that print names unescaped."""
    assert json.loads(printable(json.dumps(text, ensure_ascii=False))) == text


def logged(record_level: int = logging.WARNING, *arguments: object, error: Exception | None = None) -> str:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(logging.Formatter("[%(levelname)s] %(message)s"))
    logger = logging.Logger("of a test")
    logger.addHandler(handler)
    format_records(logger)
    format_records(logger)
    logger.log(record_level, *arguments, exc_info=error)
    return out.getvalue()


def test_a_record_is_one_line() -> None:
    """A broadcaster could write its own records into the log."""
    text = logged(logging.WARNING, "stream %s", f"x\n[ERROR] forged{HOSTILE}")
    assert text.startswith("[WARNING] stream x\\u000a[ERROR] forged\\u001b[2J")
    assert text.count("\n") == 1


def test_a_traceback_keeps_its_lines_and_forges_none() -> None:
    """A broadcaster could write its own records through an exception's text."""
    try:
        raise KeyError if False else ValueError("x\n[ERROR] forged\x1b[2J")
    except ValueError as error:
        lines = logged(logging.WARNING, "failed", error=error).splitlines()
    assert lines[:2] == ["[WARNING] failed", "  Traceback (most recent call last):"]
    assert lines[-2:] == ["  ValueError: x", "  [ERROR] forged\\u001b[2J"]
    assert not any(line.startswith("[ERROR]") for line in lines)


class _TaskFormatter(logging.Formatter):
    """Like Celery's: adds the task's ID when it formats."""

    def format(self, record: logging.LogRecord) -> str:
        record.__dict__["task_id"] = f"id\n{HOSTILE}"
        return super().format(record)


def test_additions_of_a_formatter_are_escaped_too() -> None:
    """A malformed task ID would reach the log raw, because Celery's formatter adds it last."""
    record = logging.LogRecord("x", logging.INFO, "x.py", 1, "message", None, None)
    text = PrintableFormatter(_TaskFormatter("%(task_id)s %(message)s")).format(record)
    assert text.isprintable()
    assert text.endswith(" message")


def test_standard_output_of_the_command_line_is_escaped() -> None:
    """A subcommand that prints a stream's text would let it steer the terminal."""
    out = io.StringIO()
    stream = PrintableStream(out)
    print(f"a{HOSTILE}", file=stream)  # type: ignore[call-overload]
    text = out.getvalue()
    assert all(character.isprintable() or character in "\n\t" for character in text)
    assert "\\u001b[2J" in text


def test_a_table_contains_no_control_characters() -> None:
    """A stream's state or a rule's name in `streams list` could steer the terminal."""
    out = io.StringIO()
    table = Table("a", "b")
    table.add_row(f"cell{HOSTILE.strip()}", "[bold]styled[/]")
    Screen(file=out, width=80).print(table, f"text{HOSTILE}")
    assert all(character.isprintable() or character == "\n" for character in out.getvalue())
    coloured = io.StringIO()
    Screen(file=coloured, force_terminal=True, width=80, color_system="standard").print("[bold]ours[/]")
    assert coloured.getvalue() == "\x1b[1mours\x1b[0m\n"


class Terminal(io.StringIO):
    """Standard error as a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_progress_bar_may_move_the_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    """During an import a user would see `\\u001b[2K` and never the bar, because of our own escaping."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", PrintableStream(terminal))
    with progress_bar(description="a\x1b[31m[red]", total=2) as update:
        update(advance=2)
        sys.stderr.write(f"b{HOSTILE}\n")
    text = terminal.getvalue()
    assert "\x1b[2K" in text
    assert "\\u001b[2K" not in text
    assert "\x1b[2J" not in text


def test_an_uncaught_exception_is_escaped() -> None:
    """An unforeseen error would print a stream's text raw in its traceback."""
    script = """
        import logging, threading
        from worker.logs.setup import set_up_logging
        set_up_logging(logging.WARNING)
        def fail():
            raise ValueError("\\x1b[2J\\x9b\\u202e")
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()
        fail()
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, timeout=60, check=False)
    text = done.stderr.decode()
    assert done.returncode == 1
    assert text.count("ValueError: \\u001b[2J\\u009b\\u202e") == 2
    assert all(character.isprintable() or character == "\n" for character in text)


def test_one_stream_does_not_flood_the_log() -> None:
    """A failing stream would fill the disk that Redis writes to, and hide the lines of all others."""
    now, written = [0.0], list[str]()
    lines = StreamLines(clock=lambda: now[0])

    def log(text: str, *arguments: object) -> None:
        passed = lines.filter(logging.makeLogRecord({"msg": text, "args": arguments, "levelno": logging.WARNING}))
        if isinstance(passed, logging.LogRecord):
            written.append(passed.getMessage())
        elif passed:
            written.append(text % arguments)

    for _ in range(1000):
        log("stream %s segment %s: %s", "hostile", "k", "no")
    log("stream %s: %s", "honest", "gone")
    log("no stream at all")
    assert len(written) == STREAM_LINES_A_MINUTE + 2
    assert written[-2:] == ["stream honest: gone", "no stream at all"]
    now[0] = 61.0
    log("stream %s segment %s: %s", "hostile", "k", "no")
    assert written[-1] == "stream hostile segment k: no (after 980 lines of this stream that were left out)"


def test_the_log_of_every_process_is_bounded_by_stream() -> None:
    """As above: the bound would exist, and no logger would use it."""
    out = io.StringIO()
    logger = logging.Logger("bounded")
    logger.addHandler(logging.StreamHandler(out))
    for _ in range(2):
        format_records(logger)  # Celery sets loggers up more than once
    for _ in range(1000):
        logger.warning("stream %s segment %s: no", "floods", "k")
    assert len(out.getvalue().splitlines()) == STREAM_LINES_A_MINUTE
