"""Shared fixtures of the worker's tests: an origin, a deployment's settings, and a policy with a rule of each kind."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from admitted import draw_alike
from hls_origin import LiveOrigin, serving
from process_server import PROCESS_SERVER
from redis import Redis
from scene import Scene

from config.policy.policy import Policy, load_policy
from config.settings import Settings
from worker.runtime.worker_process import WorkerProcess

RULES = """
version: "1"
update_seconds: 30
rules:
  - {name: known, when: 'matched("known")', severity: critical, cooldown_seconds: 60}
  - {name: nude, when: 'score("m/nsfw") > 0.5', severity: review, persistence: {hits: 3, within_seconds: 10}}
  - {name: likely, when: 'score("m/nsfw") > 0.9', severity: high}
  - {name: tried, when: 'matched("tried")', severity: high, mode: shadow}
  - {name: stop, when: 'matched("stop")', severity: critical, action: interrupt, lists: [stop]}
"""


@pytest.fixture(scope="session", autouse=True)
def _process_server() -> Iterator[None]:
    """Ends, with the session, the process from which commands and workers are forked."""
    yield
    PROCESS_SERVER.close()


@pytest.fixture
def origin() -> Iterator[LiveOrigin]:
    """A live origin that lists nothing yet."""
    with serving(LiveOrigin()) as served:
        yield served


@pytest.fixture
def environment(redis_url: str, redis: Redis, origin: LiveOrigin) -> dict[str, str]:
    """Settings of a deployment on an emptied Redis, allowed to fetch from `origin`."""
    assert redis.ping()
    return {"LIVEWARDEN_REDIS_URL": redis_url, "LIVEWARDEN_ALLOWED_ORIGINS": origin.host}


@pytest.fixture
def process_with(
    environment: dict[str, str], redis: Redis, tmp_path: Path
) -> Iterator[Callable[[str | None], WorkerProcess]]:
    """Makes the state of a pool child, allowed to fetch from `origin`, with a policy by its YAML text or the built-in
    one."""
    draw_alike(redis)
    with ExitStack() as open_processes:

        def make(policy: str | None) -> WorkerProcess:
            settings = environment | {"LIVEWARDEN_STORE_URL": str(tmp_path / "store")}
            if policy is not None:
                path = tmp_path / "policy.yaml"
                path.write_text(policy)
                settings["LIVEWARDEN_POLICY_FILE"] = str(path)
            process = WorkerProcess(Settings.from_mapping(settings))
            open_processes.callback(process.close)
            return process

        yield make


@pytest.fixture
def process(process_with: Callable[[str | None], WorkerProcess]) -> WorkerProcess:
    """The state of a pool child, allowed to fetch from `origin`."""
    return process_with(None)


@pytest.fixture
def policy_of(tmp_path: Path) -> Callable[[str], Policy]:
    """Loads a policy from its YAML text."""

    def load(text: str) -> Policy:
        path = tmp_path / "policy.yaml"
        path.write_text(text)
        return load_policy(path)

    return load


@pytest.fixture
def policy(policy_of: Callable[[str], Policy]) -> Policy:
    """A policy with a rule of each kind."""
    return policy_of(RULES)


@pytest.fixture
def scene(redis: Redis, policy: Policy) -> Scene:
    """A scene without findings."""
    return Scene(redis=redis, policy=policy)


@pytest.fixture
def list_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a CSV file of hashes, id to hex digits; for a number, that many random ones."""

    def write(hashes: dict[str, str] | int, name: str = "list") -> Path:
        if isinstance(hashes, int):
            hashes = {f"{name}-{number}": secrets.token_hex(32) for number in range(hashes)}
        path = tmp_path / f"{name}.csv"
        path.write_text("hash,id\n" + "".join(f"{value},{entry}\n" for entry, value in hashes.items()))
        return path

    return write
