"""Follows the policy file in a thread of each of a worker's processes, and reports it to operators."""

import json
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from redis import Redis
from redis.exceptions import RedisError

from config.settings import Settings
from worker.logs.failure_log import FailureLog
from worker.logs.fields import fields
from worker.policyload.active_policy import ActivePolicy
from worker.policyload.dead_rules import REPORT_SECONDS, DeadRules, ListNames
from worker.policyload.follower import REFRESH_SECONDS, PolicyFollower
from worker.policyload.policy_record import record_policy
from worker.policyload.refusals import ALIVE_MS, MAX_PROBLEM_LENGTH, process_name, report_policy_file
from worker.processes.periodic import periodic
from worker.store import redis_keys
from worker.store.redis_client import now_ms, store_errors, unless_full

_log = logging.getLogger(__name__)
_trouble = FailureLog(_log)

IN_FORCE: Final = redis_keys.POLICIES.name
"""Hash: process, as host:pid, to JSON: its policy in force."""


@dataclass(frozen=True, kw_only=True)
class PolicyReport:
    """The policy in force in one process."""

    process: str
    version: str
    problem: str
    """The reason that the file as it is now is refused; empty: it is not."""


def follow_policy(follower: PolicyFollower[ActivePolicy], redis: Redis, stopping: threading.Event) -> None:
    """Follows the policy file, until `stopping` is set, for a process that moderates, and reports its version."""
    follower.followed = True
    reported, reported_at = ("", ""), 0.0

    def step() -> None:
        nonlocal reported, reported_at
        if follower.refresh():
            _log.debug("policy %s is in force in this process", follower.in_force.policy.version)
        state = (follower.in_force.policy.version, follower.problem)
        if state != reported or time.monotonic() - reported_at > REPORT_SECONDS:
            _report(redis, *state)
            reported, reported_at = state, time.monotonic()

    _follow(step, stopping)
    if reported_at:
        with suppress(RedisError, OSError):
            redis.hdel(IN_FORCE, process_name())


def watch_policy(
    follower: PolicyFollower[ActivePolicy],
    heirs: PolicyFollower[ActivePolicy],
    redis: Redis,
    settings: Settings,
    stopping: threading.Event,
    list_names: ListNames,
) -> None:
    """Follows the policy file, until `stopping` is set, for the process that forks those that moderate, and tries its
    models. Publishes to operators when it breaks, when it is usable again, and which references name nothing.

    Args:
        follower: for this thread alone.
        heirs: forked processes begin with its `good` policy.
    """
    follower.followed = True
    published, published_at, begun = "", float("-inf"), False
    recorded, recorded_at = "", float("-inf")
    dead = DeadRules(redis, settings, list_names)

    def step() -> None:
        nonlocal published, published_at, begun, recorded, recorded_at
        try:
            if follower.refresh() and begun:
                version = follower.in_force.policy.version
                _log.info("policy %s is in force", version, extra=fields(policy=version))
            begun = True  # with the version that the worker's start line names
            heirs.good = follower.good
            version = follower.in_force.policy.version
            if version != recorded and time.monotonic() - recorded_at > REPORT_SECONDS:
                recorded_at = time.monotonic()
                record_policy(redis, version, file=str(settings.policy_file or ""), worker=process_name())
                recorded, recorded_at = version, float("-inf")
            if follower.refused != published or time.monotonic() - published_at > REPORT_SECONDS:
                published_at = time.monotonic()  # also where it fails: not each second while Redis is away
                _publish(redis, settings, follower)
                published = follower.refused
        finally:  # dead references are searched for whether or not the file can be read and published
            dead.search(follower.in_force)

    _follow(step, stopping)


def _publish(redis: Redis, settings: Settings, follower: PolicyFollower[ActivePolicy]) -> None:
    report_policy_file(
        redis,
        worker=process_name(),
        file=str(settings.policy_file),
        refused=follower.refused,
        problem=follower.problem,
        in_force=follower.in_force.policy.version,
        deployment=settings.deployment,
    )


def _follow(step: Callable[[], None], stopping: threading.Event) -> None:
    periodic(
        step,
        stopping,
        interval_seconds=REFRESH_SECONDS,
        troubles=_trouble,
        failing="the policy is not followed",
        well_again="the policy is followed again",
    )


def _report(redis: Redis, version: str, problem: str) -> None:
    now = now_ms(redis)
    report = {"version": version, "problem": problem[:MAX_PROBLEM_LENGTH], "at_ms": now}
    with unless_full():
        redis.hset(IN_FORCE, process_name(), json.dumps(report))
    gone = [one for one, text in redis.hgetall(IN_FORCE).items() if not _alive(str(text), now)]
    if gone:
        redis.hdel(IN_FORCE, *gone)


def policy_reports(redis: Redis) -> list[PolicyReport]:
    """Returns the policies in force in the processes that moderate.

    Raises:
        StoreError: Redis failed.
    """
    with store_errors():
        known, now = redis.hgetall(IN_FORCE), now_ms(redis)
    reports = [(str(name), json.loads(text)) for name, text in known.items() if _alive(str(text), now)]
    return [
        PolicyReport(process=name, version=str(found.get("version", "")), problem=str(found.get("problem", "")))
        for name, found in sorted(reports, key=lambda report: report[0])
    ]


def _alive(text: str, now: int) -> bool:
    try:
        # A report of the future is from before Redis's clock went back: a living process reports again soon.
        return abs(now - int(json.loads(text)["at_ms"])) <= ALIVE_MS
    except (ValueError, TypeError, KeyError):  # of another version, or damaged
        return False
