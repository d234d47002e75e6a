"""The coverage ledger as people see it."""

from worker.ingest.coverage.ledger import Provisional, summary, with_owed


def test_all_time_is_accounted_for() -> None:
    """An operator would read less failed or missed time than there was."""
    ledger = {
        "elapsed": "20000",
        "moderated": "12000",
        "skipped: stream_backlog": "2000",
        "failed: http_404": "1000",
        "failed: no_video": "2000",
        "missed: left_window": "1000",
    }
    shown = summary(ledger, pending_ms=2_000, provisional=Provisional(reason="stalled", since_ms=0, ms=4_000))
    kinds = ("moderated", "skipped", "failed", "missed", "pending")
    assert shown["elapsed_seconds"] == sum(shown[f"{kind}_seconds"] for kind in kinds) == 24
    assert (shown["failed_seconds"], shown["missed_seconds"]) == (3, 5)
    assert shown["reasons"]["missed: stalled"] == 4


def test_counts_of_an_older_version_go_on() -> None:
    """After an upgrade, or while both versions run, the pictures of a model would be counted under two names."""
    ledger = {
        "count: looked at by m": "3",
        "count: classified by m": "4",
        "count: passed over by m": "2",
        "count: segments": "5",
    }
    assert summary(ledger, pending_ms=0)["counts"] == {"classified by m": 7, "segments": 5, "skipped by m": 2}


def test_damaged_numbers_count_as_none() -> None:
    """One damaged field would keep the ledger of its stream from being shown."""
    ledger = {"elapsed": "x", "moderated": "9" * 40, "failed: timeout": "", "count: segments": "1.5"}
    shown = summary(ledger, pending_ms=0)
    assert (shown["elapsed_seconds"], shown["moderated_seconds"], shown["failed_seconds"]) == (0, 0, 0)
    assert shown["counts"] == {"segments": 0}


def test_time_that_an_unwatch_left_is_shown_before_it_is_added() -> None:
    """A stream that was unwatched during an outage would seem to have missed nothing."""
    ledger = with_owed({"elapsed": "1000", "moderated": "1000"}, {"owed_missed_ms": "3000", "owed_after_end": "1"})
    shown = summary(ledger, pending_ms=0)
    assert (shown["elapsed_seconds"], shown["missed_seconds"]) == (4, 3)
    assert shown["counts"] == {"after_end": 1}
