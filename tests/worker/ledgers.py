"""Ledgers and escalations of a deployment's streams."""

import json

import pytest
from redis import Redis

from worker.ingest.status import stream_status

DRILLS = "lw:escalations:high"
PARTS = ("moderated", "skipped", "failed", "missed", "pending")


def escalated(redis: Redis) -> set[str]:
    return {json.loads(fields["event"])["subject"] for _, fields in redis.xrange(DRILLS)}


def ledger(redis: Redis, name: str) -> str:
    record = stream_status(redis, name)
    return f"{name}: { {part: record[f'{part}_seconds'] for part in ('elapsed', *PARTS)} }, {record['reasons']}"


def check_equation(redis: Redis, name: str) -> None:
    record = stream_status(redis, name)
    assert sum(record[f"{part}_seconds"] for part in PARTS) == pytest.approx(record["elapsed_seconds"], abs=1e-9), (
        ledger(redis, name)
    )
