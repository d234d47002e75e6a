"""Celery's settings. Its messages are hints; the record is in Redis (`worker.ingest.pending.segments`). Hence no result
backend; most settings are about how soon a hint comes again.
"""

from collections.abc import Mapping
from typing import Any, Final

from kombu import Exchange, Queue

from worker.ingest.pending.queues import CONTROL, QUEUES
from worker.ingest.poll.schedule import TICK_SECONDS
from worker.policyload.trial import TRIAL_SECONDS
from worker.runtime.broker import TRANSPORT
from worker.runtime.timed_task import HARD_LIMIT_SECONDS, SOFT_LIMIT_SECONDS

VISIBILITY_SECONDS = 20
"""Just above the hard limit: a message not acknowledged by then has lost its worker, and is delivered again."""

CHILD_TASKS = 10_000
"""After so many tasks a pool child is replaced, so that leaks in libraries do not grow without bound: every three
hours at a task a second. Until the next child has its models a place is empty for some 3 s, at 0.7 s of CPU (measured
with one process and `--max-tasks-per-child=3` against none, on two busy cores). That option sets another number."""

CONFIGURATION: Final[Mapping[str, Any]] = {
    "broker_transport": TRANSPORT,
    "accept_content": ["json"],
    "task_serializer": "json",
    "task_ignore_result": True,
    "task_acks_late": True,
    "task_acks_on_timeout": False,
    # A killed pool child's message comes back immediately, without end; `worker.ingest.pending.segments` counts, and
    # ends it.
    "task_reject_on_worker_lost": True,
    "task_soft_time_limit": SOFT_LIMIT_SECONDS,
    "task_time_limit": HARD_LIMIT_SECONDS,
    "task_queues": [Queue(name, Exchange(name), routing_key=name) for name in QUEUES],
    "task_default_queue": CONTROL,
    "task_create_missing_queues": False,
    "worker_prefetch_multiplier": 1,
    "worker_max_tasks_per_child": CHILD_TASKS,
    # Celery's own limit is 4 s: a child that builds its sessions for longer is killed, and the next one, without end.
    "worker_proc_alive_timeout": TRIAL_SECONDS,
    "worker_hijack_root_logger": True,
    "worker_log_color": False,  # `_format_log` escapes colours
    "worker_cancel_long_running_tasks_on_connection_loss": True,
    "worker_enable_remote_control": False,
    "worker_send_task_events": False,
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "broker_transport_options": {
        "visibility_timeout": VISIBILITY_SECONDS,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        "unacked_mutex_expire": 10,
        "queue_order_strategy": "worker.runtime.queue_order.WeightedQueueOrder",
        "socket_timeout": 15,
        "socket_connect_timeout": 5,
        # The question for the next message has no timeout: a connection that a firewall forgot is dropped 6 to 11 s
        # after it (kombu's own 25 make it 26 to 51 s, for which a worker is idle).
        "health_check_interval": 5,
    },
    "beat_schedule": {
        "tick": {
            "task": "livewarden.tick",
            "schedule": TICK_SECONDS,
            # A tick that no worker took in time is of no use: the next one counts due polls anew.
            "options": {"queue": CONTROL, "expires": 2.0},
        }
    },
    # Its schedule is kept in memory: Livewarden's has nothing to remember, and needs no file.
    "beat_scheduler": "worker.runtime.beat_scheduler:QuietScheduler",
    "beat_max_loop_interval": TICK_SECONDS,
}
