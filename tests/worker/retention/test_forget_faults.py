"""Erasures beside faults of one stream's data: the others go on."""

from collections.abc import Callable

import pytest
from kept_evidence import LEAD, KeptEvidence

from config.policy.retention import Retention
from worker.errors import ObjectStoreError
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import unwatch, watch
from worker.retention.forget import ErasedRows, ErasureWork, begin_erasure, erasures, go_on

DAMAGED, OTHER = "cam-1", "cam-2"


class Log:
    """A verdict log that has a file of one stream that the store refuses."""

    refuses = False

    def __call__(self, stream_id: str, *, after: str, until: float) -> ErasedRows:
        if self.refuses and stream_id == DAMAGED:
            raise ObjectStoreError("store: verdicts/1.parquet: denied")
        return ErasedRows(rows=0, after=after, complete=True)


@pytest.fixture
def begun(kept: KeptEvidence) -> KeptEvidence:
    """Two streams whose erasure has begun."""
    for stream in (DAMAGED, OTHER):
        watch(
            kept.redis, register(stream, "http://127.0.0.1:9/a.m3u8", purpose="live", url_template="", legal_basis="")
        )
        kept.incident(stream, outcome="harmless", pictures=1)
        assert unwatch(kept.redis, stream)
        begin_erasure(kept.redis, stream, LEAD, retention=Retention())
    return kept


def deny(_: KeptEvidence, log: Log) -> None:
    log.refuses = True


def damage(kept: KeptEvidence, _: Log) -> None:
    (incident,) = erasures(kept.redis)[0].incidents
    kept.redis.delete(f"lw:evidence:{incident}")
    kept.redis.set(f"lw:evidence:{incident}", "foreign")


@pytest.mark.parametrize("fault", [deny, damage])
def test_a_stream_that_cannot_be_erased_keeps_no_other(
    begun: KeptEvidence, fault: Callable[[KeptEvidence, Log], None], caplog: pytest.LogCaptureFixture
) -> None:
    """One foreign key, or one file, would keep the data of everybody else who has to be forgotten, for good."""
    log = Log()
    fault(begun, log)
    work = ErasureWork(purge=begun.purge(Retention()), erase_log=log, late_ms=0)
    for _ in range(3):
        go_on(work)
    assert [erasure.stream_id for erasure in erasures(begun.redis)] == [DAMAGED]
    assert not begun.redis.exists(f"lw:stream:{OTHER}")
    assert f"stream {DAMAGED}" in caplog.text
