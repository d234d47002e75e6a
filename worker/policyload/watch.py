"""The policy of a worker: looked after by a thread of each of its processes, and told to operators."""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from redis import Redis
from redis.exceptions import RedisError

from config.errors import LivewardenError
from config.policy.dead_references import dead_references
from config.policy.policy import policy_name
from config.settings import Settings
from worker.logs.failure_log import Troubles
from worker.logs.fields import fields
from worker.policyload.active_policy import ActivePolicy
from worker.policyload.dead_rules import tell_dead
from worker.policyload.follower import LOOK_SECONDS, PolicyFollower
from worker.policyload.refusals import ALIVE_MS, MAX_PROBLEM_LENGTH, process_name, tell_of_file
from worker.store import redis_keys
from worker.store.redis_client import now_ms, store_errors, unless_full

_log = logging.getLogger(__name__)
_trouble = Troubles(_log)

IN_FORCE: Final = redis_keys.POLICIES.name
"""Hash: process, as host:pid, to JSON: what it judges by."""

ListNames = Callable[[], Set[str] | None]
"""Gives the names of all lists of the deployment; None: nobody knows now."""

REPORT_SECONDS: Final = 10.0
"""How often a process says what it judges by, or finds, where that does not change."""


@dataclass(frozen=True, kw_only=True)
class PolicyReport:
    """What one process judges by."""

    process: str
    version: str
    problem: str
    """Of the file as it is now; empty: nothing is wrong."""


def keep_policy(follower: PolicyFollower[ActivePolicy], redis: Redis, stopping: threading.Event) -> None:
    """Looks at the policy's file every second, until `stopping` is set, for a process that moderates, and says what it
    judges by."""
    follower.followed = True
    reported, reported_at = ("", ""), 0.0
    while not stopping.wait(LOOK_SECONDS):
        with _survived():
            if follower.look():
                _log.debug("policy %s is in force in this process", follower.in_force.policy.version)
            state = (follower.in_force.policy.version, follower.problem)
            if state != reported or time.monotonic() - reported_at > REPORT_SECONDS:
                _report(redis, *state)
                reported, reported_at = state, time.monotonic()
    if reported_at:
        with _survived():
            redis.hdel(IN_FORCE, process_name())


def watch_policy(
    follower: PolicyFollower[ActivePolicy],
    heirs: PolicyFollower[ActivePolicy],
    redis: Redis,
    settings: Settings,
    stopping: threading.Event,
    list_names: ListNames = lambda: None,
) -> None:
    """Looks at the policy's file every second, until `stopping` is set, for the process that forks those that
    moderate, and has operators told when it breaks and when it is usable again, and what rules ask for in vain.

    Args:
        follower: for this thread alone.
        heirs: what is forked begins with.
        list_names: of all lists of the deployment; None: nobody knows now.
    """
    follower.followed = True
    told, told_at, begun = "", float("-inf"), False
    dead = _DeadRules(redis, settings, list_names)
    while not stopping.wait(LOOK_SECONDS):
        with _survived():
            if follower.look() and begun:
                version = follower.in_force.policy.version
                _log.info("policy %s is in force", version, extra=fields(policy=version))
            begun = True  # with what the worker's own line has named
            heirs.good = follower.good
            if follower.refused != told or time.monotonic() - told_at > REPORT_SECONDS:
                told_at = time.monotonic()  # of what is no news: it is not tried each second while Redis is away
                _tell(redis, settings, follower)
                told = follower.refused
        with _survived():
            dead.look(follower.in_force)


class _DeadRules:
    """What rules ask for in vain: looked for as often as a process reports, and at once where the policy changes."""

    def __init__(self, redis: Redis, settings: Settings, list_names: ListNames) -> None:
        self._redis = redis
        self._settings = settings
        self._list_names = list_names
        self._version = ""
        self._looked_at = float("-inf")
        self._told: frozenset[tuple[str, str]] = frozenset()

    def look(self, active: ActivePolicy) -> None:
        """Tells operators of what is new.

        Raises:
            LivewardenError: it is looked for again.
        """
        version = active.policy.version
        if version == self._version and time.monotonic() - self._looked_at <= REPORT_SECONDS:
            return
        if version != self._version:
            self._told = frozenset()
        self._version, self._looked_at = version, time.monotonic()
        scores = {key for classifier in active.classifiers for key in classifier.keys}
        dead = list(dead_references(active.policy, lists=self._list_names(), scores=scores))
        found = frozenset((one.rule, one.name) for one in dead)
        if found - self._told:
            file, deployment = policy_name(self._settings.policy_file), self._settings.deployment
            if tell_dead(self._redis, dead, version=version, file=file, deployment=deployment):
                _log.warning(
                    "policy %s: %s", version, "; ".join(f"rule {one.rule!r}: {one.place.text}" for one in dead)
                )
        self._told = found


def _tell(redis: Redis, settings: Settings, follower: PolicyFollower[ActivePolicy]) -> None:
    tell_of_file(
        redis,
        worker=process_name(),
        file=str(settings.policy_file),
        refused=follower.refused,
        problem=follower.problem,
        in_force=follower.in_force.policy.version,
        deployment=settings.deployment,
    )


@contextmanager
def _survived() -> Iterator[None]:
    """A thread that ended would leave the policy as it is, for ever."""
    try:
        yield
        _trouble.over("policy", "the policy is followed again")
    except (LivewardenError, RedisError, OSError) as error:
        _trouble.met("policy", "the policy is not followed: %s", error)
    except Exception:
        _trouble.met("policy", "the policy is not followed", level=logging.ERROR, exc_info=True)


def _report(redis: Redis, version: str, problem: str) -> None:
    now = now_ms(redis)
    said = {"version": version, "problem": problem[:MAX_PROBLEM_LENGTH], "at_ms": now}
    with unless_full():
        redis.hset(IN_FORCE, process_name(), json.dumps(said))
    gone = [one for one, text in redis.hgetall(IN_FORCE).items() if not _alive(str(text), now)]
    if gone:
        redis.hdel(IN_FORCE, *gone)


def policy_reports(redis: Redis) -> list[PolicyReport]:
    """What the processes that moderate judge by.

    Raises:
        StoreError: Redis failed.
    """
    with store_errors():
        known, now = redis.hgetall(IN_FORCE), now_ms(redis)
    reports = [(str(name), json.loads(text)) for name, text in known.items() if _alive(str(text), now)]
    return [
        PolicyReport(process=name, version=str(said.get("version", "")), problem=str(said.get("problem", "")))
        for name, said in sorted(reports, key=lambda report: report[0])
    ]


def _alive(text: str, now: int) -> bool:
    try:
        # What was reported in the future was so before Redis's clock went back: who lives reports again soon.
        return abs(now - int(json.loads(text)["at_ms"])) <= ALIVE_MS
    except (ValueError, TypeError, KeyError):  # of another version, or damaged
        return False
