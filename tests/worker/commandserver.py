"""`python commandserver.py DESCRIPTOR`: imports livewarden, and forks a process for each requested run.

Importing decoders, models and Arrow takes longer than most runs. Each run is still a separate process, with its own
environment, folder, output and exit status.
"""

import gc
import importlib
import json
import os
import pkgutil
import socket
import struct
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

LENGTH = struct.Struct(">I")


def send(sock: socket.socket, message: object, descriptors: list[int] | None = None) -> None:
    """One message, its length in front."""
    body = json.dumps(message).encode()
    framed = LENGTH.pack(len(body)) + body
    sent = socket.send_fds(sock, [framed], descriptors) if descriptors else 0
    sock.sendall(framed[sent:])


def receive(sock: socket.socket, descriptors: int = 0) -> tuple[dict, list[int]]:
    """The next message; EOFError if the peer has closed."""
    head, received, _, _ = socket.recv_fds(sock, LENGTH.size, descriptors)
    if len(head) < LENGTH.size:
        raise EOFError
    (length,) = LENGTH.unpack(head)
    body = b""
    while len(body) < length:
        part = sock.recv(length - len(body))
        if not part:
            raise EOFError
        body += part
    return json.loads(body), received


NOT_IMPORTED = {"worker.app", "worker.runtime.celery_app", "worker.runtime.lifecycle", "worker.runtime.tasks"}
"""They read the environment, or make a Celery worker of the process, when they are imported."""

USED_LATER = (
    "celery.app.routes",
    "celery.apps.beat",
    "celery.apps.worker",
    "celery.bin.celery",
    "celery.concurrency.prefork",
    "celery.events.receiver",
    "celery.worker.components",
    "celery.worker.consumer",
    "cffi.cparser",
    "desk.command",
    "encodings.idna",
    "fsspec.implementations.local",
    "kombu.transport.redis",
    "rich.markdown",
    "typer.rich_utils",
)
"""Modules that are imported when a command, or a Celery worker, runs."""


def _become(request: dict, descriptors: list[int]) -> None:
    """Makes the forked process the requested one; what Python's own start would have set is set here."""
    if request["new_session"]:
        os.setsid()
    for target, descriptor in enumerate(descriptors):
        os.dup2(descriptor, target)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    tempfile.tempdir = None
    sys.argv = request["arguments"]


def _run_command() -> NoReturn:
    """Runs `livewarden`, and skips the interpreter's end, which takes longer than some commands."""
    from worker.cli.main import main

    status = 1
    try:
        main()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
    except BaseException:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except OSError:
                status = status or 120
        os._exit(status)


def _run_celery() -> None:
    """Runs `python -m celery`, for which the current folder is the first in which modules are searched."""
    from celery.__main__ import __file__, main

    sys.path[0] = str(Path.cwd())
    sys.argv.insert(0, __file__)
    main()


def _import_all() -> None:
    """Imports what some command or worker imports when it runs, which takes more CPU than most runs."""
    import worker

    for module in pkgutil.walk_packages(worker.__path__, "worker."):
        if module.name not in NOT_IMPORTED:
            importlib.import_module(module.name)
    for name in USED_LATER:
        importlib.import_module(name)
    assert not NOT_IMPORTED & set(sys.modules)


def serve(sock: socket.socket) -> Callable[[], object]:
    """Forks for each request, and answers with the process ID; answers how one has ended. Returns in the forked
    processes, with what they run, and raises SystemExit when the peer has closed."""
    while True:
        try:
            request, descriptors = receive(sock, descriptors=3)
        except EOFError:
            sys.exit()
        if "ended" in request:
            send(sock, {"status": os.waitstatus_to_exitcode(os.waitpid(request["ended"], 0)[1])})
            continue
        begun, begins = os.pipe()
        # Python warns of the thread of Arrow's memory pool, which is made for forks.
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            pid = os.fork()
        if not pid:
            sock.close()
            os.close(begun)
            _become(request, descriptors)
            os.close(begins)
            return _run_celery if request["program"] == "celery" else _run_command
        for descriptor in (*descriptors, begins):
            os.close(descriptor)
        # Until it has become what was requested: it may be killed, with its group, as soon as it is known.
        os.read(begun, 1)
        os.close(begun)
        send(sock, {"pid": pid})


if __name__ == "__main__":
    from worker.processes.blas_threads import keep_numpy_to_one_thread

    keep_numpy_to_one_thread(os.environ)
    _import_all()

    from config.policy.policy import load_policy

    load_policy()  # builds the parser of conditions
    gc.freeze()  # so that no collection in a forked process writes to, and thus copies, what they share

    control = socket.socket(fileno=int(sys.argv[1]))
    send(control, {"ready": True})
    serve(control)()
