"""Looks: a person asks for what an incident's stream shows at this moment, and a worker seals one picture of it.

The request is in the audit log before anything is fetched. A stream has one look at a time, and rests between two.
"""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from redis import Redis

from worker.audit.entries import Act, audit_entry
from worker.errors import LookError
from worker.incidents.keys import incident_key
from worker.people.actor import Actor, Role
from worker.people.roster import unproven
from worker.queue.leases import unknown
from worker.store import redis_keys
from worker.store.redis_client import now_ms, run_script_to_disk, store_errors

LOOKS: Final = redis_keys.LOOKS.name
look_key: Final = redis_keys.LOOK.of
looking_key: Final = redis_keys.LOOKING.of
SENT: Final = redis_keys.LOOKS_SENT.name

MAY_LOOK: Final = (Role.MODERATOR, Role.LEAD)

MOST_WAITING: Final = 50
"""Looks of all streams that wait for a worker, <=: each takes a process for under a second."""

LOOK_SECONDS: Final = 20
"""For which a look keeps others of its stream away, until it ends: longer than any takes."""

REST_SECONDS: Final = 5
"""Between the end of a look and the next one of the stream: its newest segment is another one by then."""

KEPT_SECONDS: Final = redis_keys.LOOK.seconds

ASK_AGAIN_SECONDS: Final = 0.05

REASONS: Final = {
    "ended": "the stream has ended, or is not watched any more: it shows nothing now",
    "not-yet": "the stream was not read yet, or its playlist lists no segment",
    "encrypted": "the stream is encrypted: nobody here can see it",
    "undecodable": "its newest segment cannot be decoded",
    "no-recipients": "no picture is kept here: LIVEWARDEN_EVIDENCE_RECIPIENTS is not set for workers",
    "recipients": "workers cannot use the file of LIVEWARDEN_EVIDENCE_RECIPIENTS: `livewarden doctor` says why",
    "spool-full": "the spool of the worker is full",
    "spool": "the worker cannot write its spool",
    "spool-slow": "the worker's disk does not answer",
    "forgotten": "the stream's data is being erased",
    "time": "its origin took too long",
}
"""Reasons that there is no picture, by the slug that the worker gives; others are those of a failed fetch."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """A look that has ended, with its picture."""

    look_id: str
    incident_id: str
    stream_id: str
    ref: str
    """Reference of the sealed picture."""
    seconds: float
    """From the request to the sealed picture."""


def ask(redis: Redis, incident_id: str, actor: Actor) -> str:
    """Asks for a look, and puts it on record; returns its id. A person who asks again while it waits gets the same one.

    Raises:
        LookError: the incident is decided, the stream has a look already, or too many wait.
        QueueError: the incident is unknown.
        BankRequestError, PeopleError: the person may not.
        StoreError: Redis failed; it may have been asked for.
    """
    actor.must_be(*MAY_LOOK, to="look at a stream")
    with store_errors():
        found = redis.hget(incident_key(incident_id), "stream_id")
    if found is None:
        raise unknown(incident_id)
    stream_id = str(found)
    look_id = secrets.token_hex(16)
    entry = audit_entry(
        Act.LOOK, by=actor.name, verified=actor.verified, subject=incident_id, stream=stream_id, look=look_id
    )
    answer = run_script_to_disk(
        redis,
        "look_ask",
        keys=[incident_key(incident_id), look_key(look_id), looking_key(stream_id), LOOKS],
        args=[
            look_id,
            incident_id,
            stream_id,
            actor.name,
            actor.role,
            actor.proof,
            MOST_WAITING,
            KEPT_SECONDS,
            LOOK_SECONDS,
            entry,
        ],
    )
    match answer[0]:
        case "unproven":
            raise unproven(actor)
        case "unknown":
            raise unknown(incident_id)
        case "decided":
            raise LookError(
                f"incident {incident_id} is decided ({answer[1]}): no more pictures are added to it", reason="decided"
            )
        case "busy":
            raise LookError(
                f"stream {stream_id}: another look is under way, or was just taken: try again in {answer[1]} s",
                reason="busy",
                wait_seconds=int(answer[1]),
            )
        case "full":
            raise LookError(f"{MOST_WAITING} looks wait for a worker: try again later", reason="full")
        case "forgotten":
            raise LookError(f"stream {stream_id}: its data is being erased", reason="forgotten")
    return str(answer[1])


def read_look(redis: Redis, look_id: str) -> Look | None:
    """Returns a look that has ended with a picture; None: it has not ended.

    Raises:
        LookError: there is no picture, and why.
        StoreError: Redis failed.
    """
    with store_errors():
        found = {str(name): str(value) for name, value in redis.hgetall(look_key(look_id)).items()}
    if found.get("state") == "done":
        return Look(
            look_id=look_id,
            incident_id=found["incident"],
            stream_id=found["stream"],
            ref=found["ref"],
            seconds=(int(found["done_ms"]) - int(found["asked_ms"])) / 1000,
        )
    if found.get("state") == "failed":
        reason = found.get("reason", "")
        said = REASONS.get(reason, f"its origin does not give it ({reason})")
        raise LookError(f"stream {found['stream']}: {said}", reason=reason)
    with store_errors():
        late = not found or now_ms(redis) - int(found["asked_ms"]) > LOOK_SECONDS * 1000
    if late:
        raise no_worker(LOOK_SECONDS)
    return None


def no_worker(seconds: float) -> LookError:
    """No worker ended the look in time."""
    return LookError(
        f"no worker ended the look within {seconds:g} s: `livewarden doctor` says whether any works",
        reason="no-worker",
    )


def wait_for(
    redis: Redis, look_id: str, *, seconds: float = float(LOOK_SECONDS), pause: Callable[[float], None] = time.sleep
) -> Look:
    """Waits until a worker has ended a look.

    Raises:
        LookError: there is no picture, and why; or no worker ended it in time (`no-worker`).
        StoreError: Redis failed.
    """
    until = time.monotonic() + seconds
    while (look := read_look(redis, look_id)) is None:
        if time.monotonic() >= until:
            raise no_worker(seconds)
        pause(ASK_AGAIN_SECONDS)
    return look
