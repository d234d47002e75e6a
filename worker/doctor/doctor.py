"""All checks of a deployment, in the order in which an operator would fix problems.

A check never ends the others: an operator wants the whole list in one run.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import nullcontext
from typing import TypeVar

from redis import Redis

from config.environment import load_settings
from config.errors import LivewardenError
from config.policy.policy import load_policy
from config.settings import Settings
from config.variables import KNOWN
from models.classifiers.classifier import WhenStuck
from worker.doctor.audit import examine_audit
from worker.doctor.deployment import check_store, check_variables, examine_origins
from worker.doctor.diagnosis import Diagnosis, fail
from worker.doctor.evidence import check_evidence, examine_backlog
from worker.doctor.lists import check_lists, examine_bank, examine_log_files, follow_bank, lists_in_force
from worker.doctor.live import examine_live
from worker.doctor.messages import examine_intake, examine_readers
from worker.doctor.people import examine_people
from worker.doctor.policy import (
    check_classifiers,
    check_names,
    check_policy,
    check_test_card,
    examine_policies,
    examine_stuck,
)
from worker.doctor.queue import examine_queue
from worker.doctor.redis import examine_epoch, examine_redis, reach
from worker.doctor.retention import examine_retention
from worker.doctor.streams import examine_danger, examine_failing, examine_slow
from worker.errors import StoreError
from worker.moderation.stages import classifiers_for
from worker.policyload.breaker import stuck_models
from worker.store.redis_client import store_errors

T = TypeVar("T")


def examine(environment: Mapping[str, str], *, when_stuck: WhenStuck | None = None) -> Iterator[Diagnosis]:
    """Runs all checks.

    Args:
        when_stuck: called when a model's run does not end.
    """
    yield check_variables(environment)
    try:
        # Without unknown variables, which are reported by now.
        settings = load_settings({name: value for name, value in environment.items() if name in KNOWN})
    except LivewardenError as error:
        yield fail("settings", str(error), "correct the variables named here")
        return
    yield from examine_origins(settings.allowed_origins)
    redis, unreachable = reach(settings.redis_url.get_secret_value())
    with nullcontext() if redis is None else redis:
        yield from _with_settings(settings, redis, unreachable, when_stuck)


def _with_settings(
    settings: Settings, redis: Redis | None, unreachable: Diagnosis | None, when_stuck: WhenStuck | None
) -> Iterator[Diagnosis]:
    shared = follow_bank(redis, settings)
    policy = yield from _loaded("policy", lambda: load_policy(settings.policy_file), check_policy)
    lists = yield from _loaded("hash lists", lambda: lists_in_force(shared, settings), check_lists)
    classifiers = yield from _loaded("classifiers", lambda: classifiers_for(policy, settings), check_classifiers)
    if policy is not None and lists is not None and classifiers is not None:
        yield check_names(settings, policy, lists, classifiers)
    if lists is not None and classifiers is not None:
        names = [one.name for one in classifiers]
        none: frozenset[str] = frozenset()
        stuck = _read(redis, lambda redis: stuck_models(redis, names), none)
        yield from examine_stuck(stuck)
        running = [one for one in classifiers if one.name not in stuck]
        yield check_test_card(lists, running, when_stuck, required=settings.require_confinement)
    if unreachable is not None:
        yield unreachable
    of_redis = (
        examine_redis,
        examine_epoch,
        examine_live,
        examine_intake,
        examine_readers,
        examine_queue,
        examine_people,
    )
    for check in of_redis:
        yield from _rows(redis, check)
    yield from examine_bank(shared, settings)
    of_streams = (examine_danger, examine_failing, examine_slow, examine_retention)
    for check in (lambda redis: examine_policies(redis, policy), *of_streams):
        yield from _rows(redis, check)
    yield check_store(settings)
    yield from check_evidence(settings)
    if settings.evidence_recipients is not None:
        yield from _rows(redis, examine_backlog)
    yield from _rows(redis, examine_log_files)
    yield from _rows(redis, lambda redis: examine_audit(redis, settings))


def _rows(redis: Redis | None, check: Callable[[Redis], Iterable[Diagnosis]]) -> list[Diagnosis]:
    return _read(redis, lambda redis: list(check(redis)), [])


def _read(redis: Redis | None, read: Callable[[Redis], T], default: T) -> T:
    """`default` where Redis is away or refuses this user: a row about Redis reports that."""
    if redis is None:
        return default
    try:
        with store_errors():
            return read(redis)
    except StoreError:
        return default


def _loaded(name: str, load: Callable[[], T], check: Callable[[T], Diagnosis]) -> Generator[Diagnosis, None, T | None]:
    """Loads a value, yields its row and returns the value; None: it cannot be loaded."""
    try:
        value = load()
    except LivewardenError as error:
        yield fail(name, str(error), "a worker does not start like this: mend it first")
        return None
    yield check(value)
    return value
