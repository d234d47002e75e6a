"""The connections, models and lists of one worker process, built once, after the fork."""

import hmac
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from redis import Redis

from config.policy.policy import Policy, read_policy
from config.settings import Settings
from sampler.child.decoder import Decoder
from sampler.limits import Limits
from worker.bank.follower import BankFollower
from worker.bank.lists_in_force import ListsInForce
from worker.bank.snapshot_storage import SnapshotStorage
from worker.evidence.recipients_file import RecipientsFile
from worker.evidence.spool import Spool
from worker.health.redis_epoch import SEED as SEED
from worker.health.redis_epoch import plant_seed
from worker.ingest.http.fetch import Fetcher
from worker.ingest.http.origins import AllowedOrigins
from worker.lookback.file_search import IN_A_TASK
from worker.lookback.late_files import registered
from worker.lookback.search import Lookback
from worker.moderation.pipeline import Pipeline
from worker.policyload.active_policy import ActivePolicy
from worker.policyload.checked_policy import read_policy_and_models
from worker.policyload.follower import PolicyFollower
from worker.policyload.trial import try_in_subprocess
from worker.policyload.watch import follow_policy
from worker.processes.periodic import start_thread
from worker.runtime.degraded_marks import DegradedMarks
from worker.runtime.evidence_writer import EvidenceWriter
from worker.runtime.segment_end import SegmentEnd
from worker.runtime.stuck_model import StuckModelEnd
from worker.store.object_store import ObjectStore
from worker.store.redis_client import connect, drop_idle_connections
from worker.verdictlog.writer import VerdictWriter

SEGMENT_LIMITS = Limits(wall_seconds=5.0)
"""With the fetches before it, decoding has to stay under the task's soft time limit."""

LEAVE_SECONDS = 1.0
"""For which a process that ends waits until its entries in Redis are removed."""


@dataclass(frozen=True)
class WorkerProcess:
    """Connections, models and lists of one process, each made at its first use."""

    settings: Settings
    limits: Limits = SEGMENT_LIMITS
    """Limits of the decoder child, for one segment."""

    @cached_property
    def redis(self) -> Redis:
        """Connects at its first command."""
        return connect(self.settings.redis_url.get_secret_value())

    @cached_property
    def fetcher(self) -> Fetcher:
        """The only way to origins."""
        return Fetcher(AllowedOrigins.parse(self.settings.allowed_origins))

    @cached_property
    def verdict_log(self) -> VerdictWriter:
        """Writes verdicts to their log."""
        return VerdictWriter(
            lambda: ObjectStore(self.settings.store_url),
            registered=lambda path, mark: registered(self.redis, path, mark),
        )

    @cached_property
    def stuck_model(self) -> StuckModelEnd:
        """Ends this process where a model's run does not end."""
        return StuckModelEnd(
            redis=self.redis, deployment=self.settings.deployment, close_log=lambda: self.verdict_log.close()
        )

    @cached_property
    def evidence(self) -> EvidenceWriter:
        """Keeps sealed pictures."""
        return EvidenceWriter(RecipientsFile(self.settings.evidence_recipients), Spool.of(self.settings))

    @cached_property
    def degraded_marks(self) -> DegradedMarks:
        """The marks of this process's verdicts."""
        return DegradedMarks()

    @cached_property
    def policies(self) -> PolicyFollower[ActivePolicy]:
        """Follows the policy in force."""
        return PolicyFollower(self.settings.policy_file, self.policy_from, quiet=True)

    @property
    def active(self) -> ActivePolicy:
        """The policy in force with its models; a segment keeps one from its beginning to its end."""
        return self.policies.in_force

    @property
    def policy(self) -> Policy:
        """The moderation policy in force."""
        return self.active.policy

    @cached_property
    def bank(self) -> BankFollower:
        """The hash lists in force."""
        return BankFollower(self.redis, SnapshotStorage.of(self.settings), self.settings.lists_dir)

    def lookback(self) -> Lookback:
        """Returns what a look-back needs."""

        def bank() -> ListsInForce:
            self.bank.refresh()
            return self.bank.in_force()

        return Lookback(
            redis=self.redis,
            store=ObjectStore(self.settings.store_url),
            policy=self.policy,
            bank=bank,
            deployment=self.settings.deployment,
            hours=self.settings.verdict_log_hours,
            pace=IN_A_TASK,
        )

    def segment_end(self, active: ActivePolicy) -> SegmentEnd:
        """The end of a segment that was begun with `active`."""
        return SegmentEnd(
            redis=self.redis,
            active=active,
            bank=self.bank.in_force,
            deployment=self.settings.deployment,
            verdict_log=self.verdict_log,
            degraded_marks=self.degraded_marks,
            evidence=self.evidence,
        )

    def policy_from(self, data: bytes) -> ActivePolicy:
        """Builds a policy from its bytes, with its models.

        Raises:
            LivewardenError: the policy, or a model that it needs, is not usable.
        """
        policy, classifiers = read_policy_and_models(data, self.settings.policy_file, self.settings)
        pipeline = Pipeline(decoder=self._decoder, bank=self.bank.in_force, classifiers=classifiers, policy=policy)
        if self._moderates.is_set():
            pipeline.warm_up(when_stuck=self.stuck_model.end)
        return ActivePolicy(policy=policy, classifiers=classifiers, pipeline=pipeline)

    @cached_property
    def _moderates(self) -> threading.Event:
        """This process moderates: policies are made ready before they come into force, so that no segment waits."""
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
    def decoder(self) -> Decoder:
        """The decoder of this process's segments."""
        return self._decoder

    @property
    def pipeline(self) -> Pipeline:
        """Sampler, models and policy, joined."""
        return self.active.pipeline

    def forked(self) -> None:
        """Continues in a forked process: with new connections, and with the bank as it was read before.

        A thread of the parent may have held a lock of its client or follower, which stays locked here for good.
        """
        bank = self.bank
        left = [self.__dict__.pop(name, None) for name in ("redis", "bank", "stuck_model")]
        self._of_the_parent.extend(left)
        self.bank.inherit(bank)

    @cached_property
    def _of_the_parent(self) -> list[Any]:
        """Never touched again: a client that is collected closes itself, for which it takes its lock."""
        return []

    def warm_up(self) -> None:
        """Opens the bank, builds models' sessions, and follows bank and policy: now, not within the first segment's
        time limit.

        A policy file whose models build no session counts as broken: the last good one stays in force.

        Raises:
            LivewardenError: the bank, the policy or a model is not usable.
        """
        self.bank.start()
        self._moderates.set()
        self.pipeline.warm_up(when_stuck=self.stuck_model.end)
        self._threads.append(start_thread("policy", partial(follow_policy, self.policies, self.redis, self._stopping)))

    def leave(self) -> None:
        """Writes the log before this process ends, and removes its entries from Redis. It does not wait for Redis: what
        dead processes leave expires."""
        self._stopping.set()
        self.bank.stop()
        self.verdict_log.close()
        until = time.monotonic() + LEAVE_SECONDS
        for thread in (*self._threads, *self.bank.threads):
            thread.join(max(0.0, until - time.monotonic()))
        self._decoder.close()

    def close(self) -> None:
        """Writes the log, and ends threads, decoder child and connections."""
        self._stopping.set()
        while self._threads:
            self._threads.pop().join()
        self.verdict_log.close()
        self.bank.close()
        self._decoder.close()
        self.fetcher.close()
        self.redis.close()

    def drop_connections(self) -> None:
        """Drops connections after an interruption at any place: see `drop_idle_connections`."""
        drop_idle_connections(self.redis)

    def seed(self, segment: str) -> bytes:
        """Returns bytes for the audits of one segment, the same on every worker: HMAC-SHA256 of its name.

        The decoder child sees them: they reveal neither the deployment's secret nor another segment's audits.
        """
        return self.seeds(segment)[0]

    def seeds(self, *names: str) -> tuple[bytes, ...]:
        """Returns such bytes for each name."""
        # Gone where Redis lost its state since this worker started.
        secret = str(self.redis.get(SEED) or plant_seed(self.redis)).encode()
        return tuple(hmac.digest(secret, name.encode(), "sha256") for name in names)


@dataclass(frozen=True, kw_only=True)
class Ready:
    """The bank and the policy that a worker starts with, which its forked processes inherit."""

    bank: BankFollower
    policy: bytes
    """Its bytes."""
    policy_version: str
    models: Mapping[str, str]
    """Name to version."""


def check_ready(settings: Settings, redis: Redis) -> Ready:
    """Checks that nothing a worker needs is missing, altered or broken; builds no session in this process.

    Raises:
        LivewardenError: the policy, a list, the bank, a model's manifest, its weights or its session are not usable.
    """
    data = read_policy(settings.policy_file)
    policy, classifiers = read_policy_and_models(data, settings.policy_file, settings)
    try_in_subprocess(data)
    bank = BankFollower(redis, SnapshotStorage.of(settings), settings.lists_dir)
    bank.refresh()
    AllowedOrigins.parse(settings.allowed_origins)
    return Ready(
        bank=bank,
        policy=data,
        policy_version=policy.version,
        models={classifier.name: classifier.manifest.version for classifier in classifiers},
    )
