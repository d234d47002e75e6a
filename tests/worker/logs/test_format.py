"""Log records in both formats, and what must never be in them."""

import io
import json
import logging
import subprocess
import sys
import textwrap
from datetime import datetime

import pytest

from worker.logs.fields import MAX_ITEMS, fields
from worker.logs.format import LogFormat
from worker.logs.redaction import MAX_CHARACTERS, loggable
from worker.logs.setup import format_records
from worker.runtime.celery_log import format_celery
from worker.runtime.degraded_marks import GONE_SECONDS, DegradedMarks


class Written:
    """A logger configured as in our processes."""

    def __init__(self, log_format: LogFormat) -> None:
        self.out = io.StringIO()
        handler = logging.StreamHandler(self.out)
        handler.setFormatter(logging.Formatter("[%(levelname)s] %(message)s"))
        self.log = logging.Logger("worker.test")
        self.log.addHandler(handler)
        format_records(self.log, log_format)

    def text(self) -> str:
        return self.out.getvalue()


def test_fields_follow_the_message_and_are_keys_of_json() -> None:
    """Searching all lines of an incident or a stream would mean guessing our wording."""
    told = fields(incident_id="3f0c", lists=["ncmec", "own"], media_sequence=7, reason="", note="two words", none=None)
    console, of_json = Written("console"), Written("json")
    for written in (console, of_json):
        written.log.warning("incident raised", extra=told)
    assert console.text() == (
        '[WARNING] incident raised incident_id=3f0c lists=ncmec,own media_sequence=7 note="two words"\n'
    )
    record = json.loads(of_json.text())
    assert datetime.fromisoformat(record.pop("time")).utcoffset() is not None
    assert record == {
        "level": "warning",
        "logger": "worker.test",
        "process": "MainProcess",
        "message": "incident raised",
        "incident_id": "3f0c",
        "lists": ["ncmec", "own"],
        "media_sequence": 7,
        "note": "two words",
    }


def test_a_line_about_a_stream_has_its_id_and_segment_as_keys() -> None:
    """A search for a stream would miss lines that name it only in their message."""
    written = Written("json")
    written.log.warning("stream %s segment %s: %s", "cam-1", "3.0.1280x720.4711.00ff", "no")
    record = json.loads(written.text())
    assert (record["stream_id"], record["media_sequence"]) == ("cam-1", 4711)


def test_json_is_one_line_even_with_a_traceback_and_hostile_names() -> None:
    """A collector would drop or misread the lines after a broken one; or a field could pass for the time."""
    written = Written("json")
    try:
        raise ValueError('x\n{"forged": 1}\x1b\x7f\u2028 http://h/p?token=s3cret')
    except ValueError:
        written.log.exception(
            "a\nb\x00\ud800 %s",
            "\x85",
            extra=fields(time="never", score=float("nan"), level="x\ny", name="\x1b]0;\x07"),
        )
    (line,) = written.text().splitlines()
    assert line.isascii()
    assert line.isprintable()
    record = json.loads(line)
    assert record["level"] == "error"
    assert record["time"] != "never"
    assert "ValueError" in record["exception"]
    assert "s3cret" not in line


def test_an_uncaught_exception_is_json_too() -> None:
    """The one line that explains why a process ended would not be found by its level."""
    script = """
        import logging
        from worker.logs.setup import log_format_of, set_up_logging
        set_up_logging(logging.WARNING, log_format_of({"LIVEWARDEN_LOG_FORMAT": "json"}))
        logging.getLogger("worker.x").warning("stream %s: no", "cam-1")
        raise ValueError("at http://u:s3cret@h/")
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, timeout=60, check=False)
    warned, ended = [json.loads(line) for line in done.stderr.splitlines()]
    assert (warned["stream_id"], warned["level"]) == ("cam-1", "warning")
    assert (ended["level"], ended["message"]) == ("critical", "ValueError: at http://**@h/")
    assert "Traceback" in ended["exception"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at redis://worker:hunter2@redis:6379/0.", "at redis://**@redis:6379/0."),
        ("Transport://worker:**@127.0.0.1:1/0", "Transport://worker:**@127.0.0.1:1/0"),
        ("'https://u:p@ss@cdn.example/a.m3u8?token=hunter2', 200", "'https://**@cdn.example/a.m3u8?… 200"),
        ("got 'seg.ts?sig=hunter2&x=1'", "got 'seg.ts?…"),
        ("https://cdn.example/a?hunter2", "https://cdn.example/a?…"),
        ("why? because", "why? because"),
        ("http://h/p?a=hunter\n2&b=hunter2", "http://h/p?…"),
    ],
)
def test_user_and_query_of_a_url_are_not_logged(text: str, shown: str) -> None:
    """Readers of logs could watch private streams, or log in to Redis."""
    assert loggable(text) == shown


def test_long_texts_are_truncated() -> None:
    """A name of megabytes would fill the disk in a few lines."""
    written = Written("console")
    written.log.warning("x" * 10**6, extra=fields(name="y" * 10**6, lists=[str(number) for number in range(10**4)]))
    assert len(written.text()) < MAX_CHARACTERS + 1_000
    assert f"… {10**4 - MAX_ITEMS} more" in written.text()


@pytest.mark.expected_errors("raised unexpected")
@pytest.mark.parametrize("level", [logging.INFO, logging.DEBUG])
def test_celerys_lines_about_single_tasks_are_at_debug(level: int) -> None:
    """Of 1,600 lines a minute, 1,540 would be about received and succeeded tasks."""
    out = io.StringIO()
    celery = logging.getLogger("celery")
    handler, before = logging.StreamHandler(out), celery.level
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    celery.addHandler(handler)
    celery.setLevel(level)
    try:
        for _ in range(2):
            format_celery(celery, "console")
        logging.getLogger("celery.worker.strategy").info("Task %s received", "a")
        logging.getLogger("celery.app.trace").info("Task %s succeeded", "a")
        logging.getLogger("celery.app.trace").error("Task %s raised unexpected", "a")
        logging.getLogger("celery.beat").info("Scheduler: Sending due task %s", "tick")
        logging.getLogger("celery.beat").info("beat: Starting...")
    finally:
        celery.removeHandler(handler)
        celery.setLevel(before)
    of_tasks = ["DEBUG Task a received", "DEBUG Task a succeeded", "DEBUG Scheduler: Sending due task tick"]
    others = ["ERROR Task a raised unexpected", "INFO beat: Starting..."]
    assert sorted(out.getvalue().splitlines()) == sorted(others + of_tasks * (level == logging.DEBUG))


@pytest.mark.expected_errors("Cannot connect")
@pytest.mark.expected_errors("another")
def test_celery_logs_once_that_it_cannot_connect() -> None:
    """A night without Redis would be a thousand errors a worker."""
    out = io.StringIO()
    log = logging.getLogger("celery.worker.consumer.consumer")
    handler = logging.StreamHandler(out)
    log.addHandler(handler)
    format_celery(log, "console")
    try:
        for seconds in range(100):
            log.error("consumer: Cannot connect to %s: away. Trying again in %d seconds", "redis://:**@r", seconds)
        log.error("another")
    finally:
        log.removeHandler(handler)
    assert len(out.getvalue().splitlines()) == 2


def test_a_degraded_mark_is_logged_when_it_appears_and_when_it_is_gone(caplog: pytest.LogCaptureFixture) -> None:
    """Verdicts would be degraded for hours, with marks in Redis only and nothing in the log."""
    now = [0.0]
    marks = DegradedMarks(clock=lambda: now[0])

    def judged(*of_segment: str) -> list[str]:
        caplog.clear()
        marks.note(of_segment, stream_id="cam-1", segment_sequence=7)
        return [record.getMessage() for record in caplog.records]

    assert judged("model-stuck:m") == ["verdicts are degraded: model-stuck:m"]
    for marked in ((), ("model-stuck:m",)) * 3:  # not each segment runs each model
        now[0] += GONE_SECONDS / 2
        assert judged(*marked) == []
    for _ in range(100):
        now[0] += GONE_SECONDS / 2
        assert judged("model-stuck:m", *(["x"] if now[0] == GONE_SECONDS else [])) in (
            [],
            ["verdicts are degraded: x"],
            ["verdicts are not degraded any more: x"],
        )
    now[0] += GONE_SECONDS + 1
    assert judged() == ["verdicts are not degraded any more: model-stuck:m"]
    now[0] += 1_000
    assert len([line for number in range(1_000) for line in judged(f"hostile-{number}")]) <= 60
