"""Log lines for degraded verdicts: each mark that is reported as gone was reported before."""

import pytest

from worker.runtime.degraded_marks import GONE_SECONDS, LINES_A_MINUTE, MOST_MARKS, DegradedMarks


def test_a_mark_is_logged_as_gone_only_if_it_is_gone_and_was_logged(caplog: pytest.LogCaptureFixture) -> None:
    """An operator would read that a failing model works again, or that marks are gone which were never reported."""
    now = [1_000.0]
    marks = DegradedMarks(clock=lambda: now[0])

    def marks_of(*of_segment: str) -> list[str]:
        caplog.clear()
        marks.note(of_segment, stream_id="cam-1", segment_sequence=7)
        return [record.getMessage() for record in caplog.records]

    marks_of("oldest")
    many = [f"mark-{number}" for number in range(MOST_MARKS)]
    came = marks_of(*many)
    assert len(came) == LINES_A_MINUTE - 1
    now[0] += GONE_SECONDS  # another minute of lines; none is gone yet
    left_out = MOST_MARKS - LINES_A_MINUTE + 1
    assert marks_of("news") == [f"verdicts are degraded: news ({left_out} more lines are left out)"]
    now[0] += GONE_SECONDS + 1
    gone = marks_of()
    assert all("not degraded any more" in line for line in gone)
    assert {line.rpartition(" ")[2] for line in gone} <= {line.rpartition(" ")[2] for line in came} | {"news"}
    assert not any("oldest" in line for line in gone)
