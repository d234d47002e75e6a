"""What one worker process works with, built once, after the fork."""

import hmac
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from redis import Redis

from config.policy.policy import Policy, read_policy
from config.settings import Settings
from sampler.child.decoder import Decoder
from sampler.limits import Limits
from worker.bank.follower import Follower, InForce
from worker.bank.place import SnapshotPlace
from worker.health.redis_epoch import SEED as SEED
from worker.health.redis_epoch import plant_seed
from worker.incidents.segment_context import Versions
from worker.ingest.http.fetch import Fetcher
from worker.ingest.http.origins import AllowedOrigins
from worker.lookback.file_search import IN_A_TASK, SearchPace
from worker.lookback.late import registered
from worker.lookback.search import Lookback
from worker.moderation.pipeline import Pipeline
from worker.policyload.active_policy import ActivePolicy, read_policy_and_models
from worker.policyload.follower import PolicyFollower
from worker.policyload.trial import try_apart
from worker.policyload.watch import keep_policy
from worker.runtime.degraded_marks import DegradedMarks
from worker.runtime.stuck_model import StuckModelEnd
from worker.store.object_store import ObjectStore
from worker.store.redis_client import connect, drop_idle_connections
from worker.verdictlog.writer import VerdictWriter

SEGMENT_LIMITS = Limits(wall_seconds=5.0)
"""With the fetches before it, decoding has to stay under the task's soft time limit."""

LEAVE_SECONDS = 1.0
"""For which a process that ends waits until it is forgotten in Redis."""


@dataclass(frozen=True)
class WorkerProcess:
    """Connections, models and lists of one process, each made at its first use."""

    settings: Settings
    limits: Limits = SEGMENT_LIMITS
    """Of the decoder child, for one segment."""

    @cached_property
    def redis(self) -> Redis:
        """Connects at its first command."""
        return connect(self.settings.redis_url.get_secret_value())

    @cached_property
    def fetcher(self) -> Fetcher:
        """The one way to an origin."""
        return Fetcher(AllowedOrigins.parse(self.settings.allowed_origins))

    @cached_property
    def verdict_log(self) -> VerdictWriter:
        """The way of verdicts into their log."""
        return VerdictWriter(
            lambda: ObjectStore(self.settings.store_url),
            registered=lambda path, mark: registered(self.redis, path, mark),
        )

    @cached_property
    def last_words(self) -> StuckModelEnd:
        """What is done where a model's run does not end."""
        return StuckModelEnd(
            redis=self.redis, deployment=self.settings.deployment, close_log=lambda: self.verdict_log.close()
        )

    @cached_property
    def degraded_marks(self) -> DegradedMarks:
        """What this process's verdicts are marked with."""
        return DegradedMarks()

    @cached_property
    def policies(self) -> PolicyFollower[ActivePolicy]:
        """The way to the policy in force."""
        return PolicyFollower(self.settings.policy_file, self.policy_from, quiet=True)

    @property
    def active(self) -> ActivePolicy:
        """What is judged by now; a segment is judged by one from its beginning to its end."""
        return self.policies.in_force

    @property
    def policy(self) -> Policy:
        """The moderation policy in force."""
        return self.active.policy

    @cached_property
    def bank(self) -> Follower:
        """The hash lists in force."""
        return Follower(self.redis, SnapshotPlace.of(self.settings), self.settings.lists_dir)

    def lookback(self, *, pace: SearchPace = IN_A_TASK) -> Lookback:
        """What a look-back works with."""

        def bank() -> InForce:
            self.bank.look()
            return self.bank.in_force()

        return Lookback(
            redis=self.redis,
            store=ObjectStore(self.settings.store_url),
            policy=self.policy,
            bank=bank,
            deployment=self.settings.deployment,
            hours=self.settings.verdict_log_hours,
            pace=pace,
        )

    def versions(self, active: ActivePolicy, lists: Mapping[str, str] | None = None, *, drill: bool) -> Versions:
        """Of everything that a verdict rests on; every event names them. `lists`: those that it was found with.

        `drill`: models for self-tests looked too.
        """
        return Versions(
            policy=active.policy.version,
            lists=dict(self.bank.in_force().versions if lists is None else lists),
            models=dict(active.models(drill=drill)),
        )

    def policy_from(self, data: bytes) -> ActivePolicy:
        """What is judged by, of a policy's bytes.

        Raises:
            LivewardenError: the policy is not usable, or a model that it is about.
        """
        policy, classifiers = read_policy_and_models(data, self.settings.policy_file, self.settings)
        pipeline = Pipeline(decoder=self._decoder, bank=self.bank.in_force, classifiers=classifiers, policy=policy)
        if self._moderates.is_set():
            pipeline.warm_up(when_stuck=self.last_words.say)
        return ActivePolicy(policy=policy, classifiers=classifiers, pipeline=pipeline)

    @cached_property
    def _moderates(self) -> threading.Event:
        """This process moderates: what comes into force is made ready before, so that no segment waits for it."""
        return threading.Event()

    @cached_property
    def _threads(self) -> list[threading.Thread]:
        return []

    @cached_property
    def _stopping(self) -> threading.Event:
        return threading.Event()

    @cached_property
    def _decoder(self) -> Decoder:
        return Decoder(limits=self.limits)

    @property
    def pipeline(self) -> Pipeline:
        """Sampler, models and policy, joined."""
        return self.active.pipeline

    def forked(self) -> None:
        """Goes on in a process that was forked: with connections of its own, and what was read of the bank before.

        A thread of the other one may have held a lock of its client or follower, which stays locked here for ever.
        """
        bank = self.bank
        left = [self.__dict__.pop(name, None) for name in ("redis", "bank", "last_words")]
        self._of_the_other.extend(left)
        self.bank.inherit(bank)

    @cached_property
    def _of_the_other(self) -> list[Any]:
        """What is never touched again; a client that is collected closes itself, for which it wants its lock."""
        return []

    def warm_up(self) -> None:
        """Opens the bank, builds models' sessions, and follows bank and policy: now, not within the first segment's
        time limit.

        A policy file whose models build no session is as one that is broken: the last good one is judged by.

        Raises:
            LivewardenError: something of it is not usable.
        """
        self.bank.start()
        self._moderates.set()
        self.pipeline.warm_up(when_stuck=self.last_words.say)
        thread = threading.Thread(
            target=keep_policy,
            args=(self.policies, self.redis, self._stopping),
            name="livewarden-policy",
            daemon=True,
        )
        thread.start()
        self._threads.append(thread)

    def leave(self) -> None:
        """Writes the log before this process ends, and has others know at once that it is no more. Redis is not waited
        for: what is known of a process is forgotten in time."""
        self._stopping.set()
        self.bank.stop()
        self.verdict_log.close()
        until = time.monotonic() + LEAVE_SECONDS
        for thread in (*self._threads, *self.bank.threads):
            thread.join(max(0.0, until - time.monotonic()))
        self._decoder.close()

    def close(self) -> None:
        """Writes the log, ends the decoder child and the connections; what is used later is made anew by its owner."""
        self._stopping.set()
        while self._threads:
            self._threads.pop().join()
        self.verdict_log.close()
        self.bank.close()
        self._decoder.close()
        self.fetcher.close()
        self.redis.close()

    def drop_connections(self) -> None:
        """After something broke in at any place: see `drop_idle_connections`."""
        drop_idle_connections(self.redis)

    def seed(self, segment: str) -> bytes:
        """Bytes for the audits of one segment, the same on every worker: HMAC-SHA256 of it.

        The decoder child sees them: they tell nothing of the deployment's secret, nor of another segment's audits.
        """
        # Gone where Redis lost its state since this worker started.
        secret = self.redis.get(SEED) or plant_seed(self.redis)
        return hmac.digest(str(secret).encode(), segment.encode(), "sha256")


@dataclass(frozen=True, kw_only=True)
class Ready:
    """What a worker begins with; processes that are forked now go on with it."""

    bank: Follower
    policy: bytes
    """As it was read."""
    policy_version: str
    models: Mapping[str, str]
    """Name to version."""


def check_ready(settings: Settings, redis: Redis) -> Ready:
    """Refuses to start with something that is missing, altered or does not work, and says which; builds no session in
    this process.

    Raises:
        LivewardenError: the policy, a list, the bank, a model's manifest, its weights or its session are not usable.
    """
    data = read_policy(settings.policy_file)
    policy, classifiers = read_policy_and_models(data, settings.policy_file, settings)
    try_apart(data)
    bank = Follower(redis, SnapshotPlace.of(settings), settings.lists_dir)
    bank.look()
    AllowedOrigins.parse(settings.allowed_origins)
    return Ready(
        bank=bank,
        policy=data,
        policy_version=policy.version,
        models={classifier.name: classifier.manifest.version for classifier in classifiers},
    )
