"""docker-compose.yml as an operator runs it: three workers, one of which is killed; and the access rights of Redis.

Run by `make test-compose` with built images and a running Docker engine; not part of `make test`.
"""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tinymodels import constant_model, install, labels

from models import testcard as cards
from models.pdq.pdq import hash_rgb

ROOT = Path(__file__).parents[2]
ORIGIN = "origin:8080"
UP_SECONDS = 300
ROLES = ("platform", "worker", "moderator", "operator")
WITHOUT = ROOT / "tests/worker/without.py"
ALLOWED = f"{ORIGIN} 10.0.0.0/8:8080 172.16.0.0/12:8080 192.168.0.0/16:8080"
"""A name on the list reaches private addresses of a listed network only: Docker takes its networks from these."""
pytestmark = pytest.mark.timeout(900)


POLICY = """
version: the-tests-own
cascade:
  - {model: open-nsfw}
  - {model: brought-model}
rules:
  - {name: selftest, when: 'matched("selftest")', severity: high}
  - {name: brought, when: 'matched("brought-list") && score("brought-model/flag") >= 0.5', severity: critical}
"""


def compose(*arguments: str, check: bool = True, timeout_seconds: float = 120, given: str | None = None) -> str:
    """Output of `docker compose` on the project and our origin, with `given` on standard input."""
    files = os.environ.get("COMPOSE_FILE", str(ROOT / "docker-compose.yml"))
    environment = {
        **os.environ,
        "COMPOSE_FILE": f"{files}:{ROOT / 'tests/compose/compose.yml'}",
        "LIVEWARDEN_ALLOWED_ORIGINS": ALLOWED,
    }
    done = subprocess.run(
        ["docker", "compose", *arguments],
        cwd=ROOT,
        env=environment,
        input=given,
        stdin=subprocess.DEVNULL if given is None else None,
        capture_output=True,
        text=True,
        timeout=timeout_seconds,
        check=False,
    )
    if check and done.returncode:
        pytest.fail(f"docker compose {' '.join(arguments)}: status {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


@pytest.fixture(scope="module", autouse=True)
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The whole stack with three workers and an operator's own policy, list and model, watching one drill; its logs are
    printed where a test fails."""
    brought = tmp_path_factory.mktemp("deployment")
    for folder in ("lists", "manifests"):
        (brought / folder).mkdir()
    (brought / "policy.yaml").write_text(POLICY)
    (brought / "lists/dropped.csv").write_text(f"hash,id\n{'5a' * 32},1\n")
    outputs = [{"labels": labels("flag")}]
    install(brought / "manifests", constant_model([0.9]), name="brought-model", outputs=outputs)
    brought.parent.chmod(0o755)
    brought.chmod(0o755)
    os.environ["LIVEWARDEN_CONFIG_DIR"] = str(brought)
    os.environ["LIVEWARDEN_POLICY_FILE"] = "/etc/livewarden/policy.yaml"
    try:
        compose("up", "-d", "--no-build", "--wait", "--scale", "worker=3", timeout_seconds=UP_SECONDS)
        yield
    finally:
        sys.stdout.write(compose("logs", "--no-color", "--tail", "60", check=False))
        compose("down", "-v", "--remove-orphans", "-t", "5", check=False)


def livewarden(*arguments: str) -> str:
    """Runs the command line in the first worker."""
    return compose("exec", "-T", "worker", "livewarden", *arguments)


def watch(stream_id: str) -> None:
    """Registers the origin's stream as a drill."""
    livewarden("streams", "add", stream_id, "--url", f"http://{ORIGIN}/live.m3u8", "--purpose", "drill")


def next_escalation() -> dict[str, Any]:
    """Takes and decides the next incident, as a moderator does."""
    event: dict[str, Any] = json.loads(livewarden("queue", "next", "--by", "tester", "--wait", "60", "--json"))
    livewarden("queue", "decide", event["data"]["incident_id"], "harmless", "--by", "tester", "--note", "a drill")
    return event


def worker_containers() -> list[str]:
    """IDs of the running workers."""
    return compose("ps", "-q", "--status", "running", "worker").split()


def test_an_escalation_is_published_and_a_killed_worker_stops_nothing() -> None:
    """An operator who follows the manual would get no escalations, or one lost container would take the deployment
    down."""
    assert len(worker_containers()) == 3
    watch("drill-1")
    first = next_escalation()["data"]
    assert (first["stream_id"], first["drill"], first["matches"][0]["list"]) == ("drill-1", True, "selftest")

    # The last one: `exec` uses the first.
    subprocess.run(["docker", "kill", worker_containers()[-1]], check=True, capture_output=True, timeout=30)
    watch("drill-2")
    assert next_escalation()["data"]["stream_id"] == "drill-2"
    ledger = json.loads(livewarden("streams", "show", "drill-1", "--json"))
    assert ledger["state"] == "live"
    lost = (ledger["failed_seconds"], ledger["missed_seconds"], ledger["skipped_seconds"])
    assert lost == (0, 0, 0), ledger["reasons"]


def test_workers_do_not_warn_about_root() -> None:
    """The first line that an operator reads would be a wrong warning about superuser privileges."""
    logs = compose("logs", "--no-color", "worker", "beat")
    assert [line for line in logs.splitlines() if "superuser" in line or "SecurityWarning" in line] == []


def test_a_compromised_container_can_reach_little() -> None:
    """A decoder exploit would find root, a writable disk, capabilities or a compiler in the container."""
    script = """
        id -u
        grep CapEff /proc/self/status | cut -f2
        touch /opt/livewarden/x /x /etc/livewarden/x 2>/dev/null && echo writable
        command -v gcc cc c++ pip
        true
    """
    uid, capabilities, *too_much = compose("exec", "-T", "worker", "sh", "-c", script).split()
    assert (uid, int(capabilities, 16), too_much) == ("10001", 0, [])


def test_workers_require_and_have_confinement() -> None:
    """An engine that forbids seccomp filters would go unnoticed, and pictures would be decoded by an unconfined
    process."""
    confined = """
        from config.environment import load_settings
        from worker.runtime.confinement import check_confinement
        import os
        settings = load_settings(os.environ)
        print(settings.require_confinement, check_confinement(settings))
    """
    assert compose("exec", "-T", "worker", "python", "-c", textwrap.dedent(confined)).strip() == "True ()"
    # Children of workers have it too; some of them end meanwhile.
    look = (
        "grep -l sampler /proc/[0-9]*/cmdline | sed s/cmdline/status/ | xargs grep -shE '^(NoNewPrivs|Seccomp):'; true"
    )
    found = {tuple(line.split()) for line in compose("exec", "-T", "worker", "sh", "-c", look).splitlines()}
    assert found == {("NoNewPrivs:", "1"), ("Seccomp:", "2")}
    # The same worker where no filter can be installed.
    worker = ["/opt/livewarden/bin/celery", "-A", "worker.app", "worker", "--concurrency", "1"]
    held_back = [
        *("env", "LIVEWARDEN_HEARTBEAT_FILE=/tmp/other"),
        "python",
        "-c",
        WITHOUT.read_text(),
        "seccomp",
        *worker,
    ]
    script = 'timeout 100 "$@" 2>&1; echo "status $?"'
    *lines, status = compose("exec", "-T", "worker", "sh", "-c", script, "sh", *held_back).splitlines()
    (line,) = [line for line in lines if "livewarden:" in line]
    assert "this worker does not start: LIVEWARDEN_REQUIRE_CONFINEMENT: the decoder child is not confined" in line
    assert status == "status 1"


def test_redis_persists_and_does_not_evict() -> None:
    """An escalation would be lost with Redis's memory, or be evicted."""
    checks = [json.loads(line) for line in as_person("operator", "doctor", "--json").splitlines()]
    found = {check["name"]: check["found"] for check in checks}
    assert found["redis appendonly"] == "yes"
    assert found["redis appendfsync"] == "always"
    assert found["redis maxmemory-policy"] == "noeviction"
    assert "of 1,074 MB that `maxmemory` allows" in found["redis memory"]
    assert [check for check in checks if check["state"] == "fail"] == []


def as_person(role: str, *arguments: str, given: str | None = None) -> str:
    """Runs the command line as an operator or a moderator does, with that role's password."""
    return compose("run", "--rm", "-T", role, *arguments, given=given)


def as_platform(script: str) -> str:
    """Output of Python code in a container of the platform, with its password in `password`."""
    before = "password = open('/run/livewarden/password').read().strip()\n"
    return compose("run", "--rm", "-T", "platform", before + textwrap.dedent(script)).strip()


def test_a_platform_can_enqueue_and_read_decisions_and_nothing_else() -> None:
    """A platform could not use the deployment, or a leaked password of a platform would expose all of it."""
    enqueue = f"""
        from celery import Celery
        livewarden = Celery(broker=f"redis://platform:{{password}}@redis:6379/0")
        args = ["drill-3", "http://{ORIGIN}/live.m3u8"]
        livewarden.send_task("livewarden.watch_stream", args=args, kwargs={{"purpose": "drill"}}, queue="intake")
    """
    as_platform(enqueue)
    taken = json.loads(as_person("moderator", "queue", "next", "--by", "kim", "--wait", "60", "--json"))
    assert taken["data"]["stream_id"] == "drill-3"
    as_person(
        "moderator", "queue", "decide", taken["data"]["incident_id"], "harmless", "--by", "kim", "--note", "a drill"
    )
    attempts = """
        from redis import Redis
        from redis.exceptions import AuthenticationError, NoPermissionError
        redis = Redis("redis", username="platform", password=password, decode_responses=True)
        redis.xgroup_create("lw:decisions", "platform", id="0")
        for _, entries in redis.xreadgroup("platform", "reader", {"lw:decisions": ">"}):
            print("decided" if entries else "nothing")
        for command in ("KEYS *", "GET lw:seed", "LRANGE intake 0 -1", "LPUSH control x", "FLUSHALL", "CONFIG GET *"):
            try:
                redis.execute_command(*command.split())
            except NoPermissionError:
                print("refused")
        for client in (Redis("redis"), Redis("redis", username="worker", password=password)):
            try:
                client.ping()
            except AuthenticationError:
                print("unknown")
    """
    assert as_platform(attempts).split() == ["decided", *["refused"] * 6, *["unknown"] * 2]


def test_redis_is_unreachable_from_the_network_of_origins() -> None:
    """An origin, or a compromised decoder's network, could try passwords on Redis."""
    container = compose("ps", "-q", "redis").strip()
    addresses = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"
    inspected = subprocess.run(
        ["docker", "inspect", "-f", addresses, container], check=True, capture_output=True, text=True, timeout=30
    )
    script = """
        import socket, sys
        for host in ("redis", *sys.argv[1:]):
            try:
                socket.create_connection((host, 6379), 3).close()
                print("reached")
            except OSError:
                print("away")
    """
    tried = ["python", "-c", textwrap.dedent(script), *inspected.stdout.split()]
    assert compose("exec", "-T", "origin", *tried).split() == ["away", "away"]
    assert compose("exec", "-T", "worker", *tried).split() == ["reached", "reached"]


def test_each_container_has_only_its_own_roles_password() -> None:
    """A decoder exploit would find the passwords of moderators and platforms beside the worker's."""
    look = [
        "sh",
        "-c",
        "find /var/lib/livewarden-secrets -type f | sort; cat /var/lib/livewarden-secrets/redis/users.acl",
    ]
    folder = "/var/lib/livewarden-secrets"
    assert compose("exec", "-T", "worker", *look, check=False).split() == [f"{folder}/worker/password"]
    assert compose("exec", "-T", "beat", *look, check=False).split() == [f"{folder}/worker/password"]
    files, rules = compose("exec", "-T", "redis", *look).split("user default off", 1)
    assert files.split() == [f"{folder}/redis/health", f"{folder}/redis/users.acl"]
    passwords = passwords_of_roles()
    assert passwords["worker"] not in rules
    logs = compose("logs", "--no-color")
    assert [role for role, password in passwords.items() if password in logs] == []


def test_an_operators_policy_list_and_model_raise_an_escalation() -> None:
    """An operator who follows the manual could not add a policy, a list or a model."""
    card = hash_rgb(cards.testcard(640, 360)).bits.hex()
    said = as_person("operator", "bank", "import", "brought-list", "-", "--json", given=f"hash,id\n{card},case-7\n")
    assert json.loads(said)["accepted"] == 1
    lists = [json.loads(line)["list"] for line in as_person("operator", "bank", "list", "--json").splitlines()]
    assert {"brought-list", "dropped"} <= {*lists}
    watch("drill-4")
    for _ in range(8):  # of the rule `selftest` and of the other drills, too
        found = next_escalation()["data"]
        if found["rule"] == "brought":
            break
    assert found["rule"] == "brought"
    assert found["severity"] == "critical"
    assert "brought-list" in {match["list"] for match in found["matches"]}
    assert found["versions"]["policy"].startswith("the-tests-own+")
    assert found["versions"]["models"]["brought-model"]


def test_logs_are_rotated() -> None:
    """The engine's own log files would fill the disk."""
    containers = compose("ps", "-q").split()
    look = ["docker", "inspect", "-f", '{{index .HostConfig.LogConfig.Config "max-size"}}', *containers]
    found = subprocess.run(look, check=True, capture_output=True, text=True, timeout=30).stdout.split()
    # All but the origin, which is ours.
    assert found.count("20m") == len(containers) - 1


def passwords_of_roles() -> dict[str, str]:
    """Each role's password, as read by the deployment's administrator."""
    files = [f"/var/lib/livewarden-secrets/{role}/password" for role in ROLES]
    lines = compose("run", "--rm", "-T", "redis-users", "grep", "-H", "", *files).split()
    return {Path(file).parent.name: password for file, _, password in (line.partition(":") for line in lines)}


def test_passwords_are_generated_once() -> None:
    """Each restart of the stack would lock a platform out."""
    before = passwords_of_roles()
    assert len(set(before.values())) == len(ROLES)
    assert min(map(len, before.values())) >= 40
    compose("down", "-t", "5")
    compose("up", "-d", "--no-build", "--wait", "--scale", "worker=1", timeout_seconds=UP_SECONDS)
    assert passwords_of_roles() == before
    assert json.loads(livewarden("streams", "show", "drill-1", "--json"))["stream_id"] == "drill-1"
