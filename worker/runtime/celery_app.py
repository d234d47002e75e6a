"""The Celery app, and the process that its tasks work with."""

import os

import click
from celery import Celery

from config.errors import SettingsError
from worker.health.heartbeat import touch_while_alive
from worker.ingest.pending.queues import CONTROL, CONTROL_SLOW
from worker.ingest.poll.schedule import tick
from worker.logs.setup import last_words, log_format_of
from worker.runtime.celery_configuration import CONFIGURATION
from worker.runtime.celery_log import keep_to_lines
from worker.runtime.environment import settings_of_beat, settings_of_worker
from worker.runtime.timed_task import TimedTask
from worker.runtime.worker_process import WorkerProcess


def _is_beat() -> bool:
    """Celery imports this while it reads its command line, before any signal."""
    context = click.get_current_context(silent=True)
    return context is not None and context.invoked_subcommand == "beat"


try:
    settings = settings_of_beat(os.environ) if _is_beat() else settings_of_worker(os.environ)
except SettingsError as error:
    # A line each: Celery would show the traceback of the import.
    lines = "\n".join(f"nothing starts with these settings: {mistake}" for mistake in error.mistakes)
    raise SystemExit(last_words(lines, log_format_of(os.environ))) from error
process = WorkerProcess(settings)
"""The process that imports this; a pool child, forked before anything in it is used, has its own."""


class _Task(TimedTask):
    abstract = True

    def recover(self) -> None:
        process.drop_connections()


app = Celery(
    "livewarden", broker=settings.redis_url.get_secret_value(), include=["worker.runtime.tasks"], task_cls=_Task
)
app.conf.update(CONFIGURATION)

if settings.log_format == "json":
    keep_to_lines(app)
if settings.heartbeat_file is not None:
    touch_while_alive(settings.heartbeat_file)


def tick_now() -> None:
    """Sends the polls and the reconciliation that are due."""
    tick(
        process.redis,
        waiting_polls=process.redis.llen(CONTROL),
        waiting_slow_polls=process.redis.llen(CONTROL_SLOW),
        send=lambda name: app.send_task(f"livewarden.{name}", queue=CONTROL_SLOW if name == "slow_poll" else CONTROL),
    )
