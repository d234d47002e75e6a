"""`python commandserver.py DESCRIPTOR`: loads `livewarden`, and forks a process for each requested run.

Importing decoders, models and Arrow takes longer than most runs. Each run is still a separate process, with its own
environment, folder, output, time limit and exit status.
"""

import gc
import importlib
import json
import os
import pkgutil
import socket
import struct
import sys
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


def _run(request: dict, descriptors: list[int]) -> NoReturn:
    """Becomes the command, in the forked process."""
    for target, descriptor in enumerate(descriptors):
        os.dup2(descriptor, target)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    sys.argv = request["arguments"]
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


def _import_all() -> None:
    """Imports what some command imports when it runs, which takes more CPU than most runs."""
    import worker

    for module in pkgutil.walk_packages(worker.__path__, "worker."):
        if module.name.split(".")[1] not in ("app", "runtime"):  # these make a Celery worker of the process
            importlib.import_module(module.name)
    for name in ("desk.command", "encodings.idna", "fsspec.implementations.local", "rich.markdown", "typer.rich_utils"):
        importlib.import_module(name)


def serve(sock: socket.socket) -> None:
    """Forks for each request, and answers with the process ID, then with the exit status."""
    while True:
        try:
            request, descriptors = receive(sock, descriptors=3)
        except EOFError:
            return
        pid = os.fork()
        if not pid:
            sock.close()
            _run(request, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        send(sock, {"pid": pid})
        send(sock, {"status": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])})


if __name__ == "__main__":
    from worker.processes.blas_threads import keep_numpy_to_one_thread

    keep_numpy_to_one_thread(os.environ)
    _import_all()

    from config.policy.policy import load_policy

    load_policy()  # builds the parser of conditions
    gc.freeze()  # so that no collection in a forked process writes to, and thus copies, what they share

    from worker.cli.main import main

    control = socket.socket(fileno=int(sys.argv[1]))
    send(control, {"ready": True})
    serve(control)
