"""The processes of this worker that slow work holds now, by Celery's record of its own requests.

With late acknowledgement and a prefetch multiplier of 1, each message that was taken occupies a process until it ends.
Celery drops a request from its record however that is: done, failed, out of time, its process lost, or cancelled with
the connection. Nothing is counted here, so that nothing can be counted wrong.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

SLOW_SUFFIX = ".slow"
"""Suffix of the names of queues for slow work."""

_TRIES = 10
"""To read a set that other threads change: in the pool `threads` tasks end on separate threads."""


@dataclass(frozen=True, kw_only=True)
class Occupancy:
    """Processes of a worker, and how many of them work."""

    processes: int
    slow: int
    """Those that do slow work."""
    held: int = 0
    """Those that work."""


class _Worker:
    """The worker whose main process this is, if it is one."""

    controller: Any = None
    """Celery's `WorkController`, once it was made."""


def occupy(controller: Any) -> None:
    """Makes this process the main one of that worker; called on Celery's `worker_init`."""
    _Worker.controller = controller


def occupancy_of_this_worker() -> Occupancy:
    """Returns the occupancy that Celery knows now; a process that is no worker has one process, free."""
    # Imported here: every process that sends a message imports this module by way of the queues' order.
    from celery.worker import state

    # `auto` becomes a number only after `worker_init`. Of an autoscaled pool it is the least number that counts.
    processes = getattr(_Worker.controller, "min_concurrency", None)
    held = {*_copied(state.reserved_requests), *_copied(state.active_requests)}
    slow = sum(1 for request in held if str(request.delivery_info.get("routing_key")).endswith(SLOW_SUFFIX))
    return Occupancy(processes=1 if processes is None else int(processes), slow=slow, held=len(held))


def is_ending() -> bool:
    """Returns whether this worker was told to end, or never began."""
    from celery import bootsteps
    from celery.worker import state

    blueprint = getattr(_Worker.controller, "blueprint", None)
    if blueprint is None or blueprint.state != bootsteps.RUN:  # type: ignore[attr-defined]
        return True
    # Exit statuses, of which 0 is one.
    return any(one is not None and one is not False for one in (state.should_stop, state.should_terminate))


def tasks_run_in_children() -> bool:
    """Returns whether this worker's event loop runs beside its tasks: in the pool `solo` a task holds it up."""
    from celery.concurrency.prefork import TaskPool

    return isinstance(getattr(_Worker.controller, "pool", None), TaskPool)


def _copied(requests: Iterable[Any]) -> list[Any]:
    for _ in range(_TRIES):
        try:
            return list(requests)
        except RuntimeError:  # it changed size meanwhile
            continue
    return list(requests)
