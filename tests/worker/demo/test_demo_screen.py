"""Text output of the demo."""

from typing import Any

from rich.console import Console

from worker.demo.screen import coverage, escalation_line, stream_table

RECORD: dict[str, Any] = {
    "stream_id": "demo",
    "state": "live",
    "counts": {"segments": 14, "samples": 32},
    "elapsed_seconds": 60.0,
    "moderated_seconds": 45.0,
    "pending_seconds": 5.0,
    "lag_seconds": 1.25,
    "last_scores": {"open-nsfw/sfw": 0.9, "open-nsfw/nsfw": 0.1},
}


def shown(renderable: Any) -> list[str]:
    console = Console(width=80)
    with console.capture() as printed:
        console.print(renderable)
    return [line.rstrip() for line in printed.get().splitlines()]


def test_the_table_fits_a_plain_terminal() -> None:
    """On 80 columns a newcomer would see ellipses in place of figures."""
    text = "\n".join(shown(stream_table(RECORD)))
    reported = ("demo", "live", "14", "32", "45 of 60 s moderated, 5 s pending", "1.2 s", "open-nsfw/nsfw 0.100")
    for expected in reported:
        assert expected in text
    assert "…" not in text


def test_coverage_colours_what_was_not_moderated() -> None:
    """A stream of which half was lost would look well moderated."""
    bar = coverage(RECORD)
    cells = {str(span.style): span.end - span.start for span in bar.spans[:3]}
    assert cells == {"green": 18, "cyan": 2, "red": 4}
    assert coverage({**RECORD, "elapsed_seconds": 0.0}).plain == "–"


def test_an_escalation_is_one_line() -> None:
    """An escalation would be printed over several lines, or without the finding."""
    data = {
        "severity": "critical",
        "stream_id": "demo",
        "rule": "selftest",
        "drill": True,
        "matches": [{"list": "other", "entry": "1", "distance": 9}, {"list": "selftest", "entry": "2", "distance": 3}],
    }
    event = {"type": "livewarden.escalation.raised.v1", "time": "2026-01-02T03:04:05.678Z", "data": data}
    assert shown(escalation_line(event)) == [
        "03:04:05  CRITICAL  raised on demo by selftest: selftest at distance 3 (drill)",
    ]
