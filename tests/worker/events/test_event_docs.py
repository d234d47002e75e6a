"""docs/events.md: its tables match the schemas, and its reader works as written."""

import json
import re
import subprocess
import sys
import threading
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis_between import Command, Send, redis_between
from scene import Scene

from config.schemas import SCHEMAS, schema
from tools.event_docs import with_tables
from worker.ingest.registry.platform_events import STREAM_EVENTS
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import unwatch, watch
from worker.queue.decisions import decide_incident

TEXT = (Path(__file__).parents[3] / "docs" / "events.md").read_text()
PLATFORM = (Path(__file__).parents[3] / "docs" / "platform.md").read_text()
(READER,) = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
STREAMS = ("lw:escalations:critical", "lw:decisions", STREAM_EVENTS)


def test_tables_match_the_schemas() -> None:
    """A platform would read about fields and types that do not exist, or miss some.

    To fix the tables: `python -m tools.event_docs docs/events.md`.
    """
    assert with_tables(TEXT) == TEXT
    for name in SCHEMAS:
        for kind in schema(name)["properties"]["type"]["enum"]:
            assert f"\n### `{kind}`\n" in TEXT
    assert "|  |\n" not in TEXT, "each field says what it is"
    targets = {
        heading.replace("`", "").replace(".", "") for heading in re.findall(r"^### (.*)$", TEXT, flags=re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([^)]*)\)", TEXT)) <= targets


class Reader:
    """The document's reader, in this process."""

    def __init__(self, redis: Redis, folder: Path) -> None:
        self.redis = redis
        self.names: dict[str, Any] = {"__name__": "read_events"}
        exec(READER, self.names)  # what the document says, and nothing else
        self.db = self.names["open_database"](folder / "seen.sqlite")
        self.names["make_groups"](redis, "mine", STREAMS)

    def read(self, consumer: str = "one", **options: int) -> list[str]:
        times = {"block_ms": 1} | options
        acted: list[str] = []
        self.names["read"](self.redis, self.db, "mine", consumer, STREAMS, acted.append, **times)
        return acted

    def close(self) -> None:
        self.db.close()


@pytest.fixture
def reader(redis: Redis, tmp_path: Path) -> Any:
    reader = Reader(redis, tmp_path)
    yield reader
    reader.close()


def happen(scene: Scene) -> None:
    """Causes a real event of each kind that the reader handles."""
    registered = register("cam-2", "https://cdn.example/2.m3u8", url_template="", legal_basis="")
    watch(scene.redis, registered)
    unwatch(scene.redis, "cam-2")
    scene.settle("cam-1", scene.hits([1000, 2000], lists=["stop"], purpose="drill"), purpose="drill")
    (incident,) = {event["data"]["incident_id"] for event in scene.published(STREAMS[0])}
    decide_incident(scene.redis, incident, "csea_suspected", by="ann", deployment="test")


HAPPENED = {
    "[drill] cam-1: critical: stop (segment unknown)",
    "[drill] cam-1: closed: csea_suspected",
    "[drill] cam-1: asked to interrupt by the policy",
    "[drill] cam-1: decided: csea_suspected (rule stop, by ann)",
    "cam-2: stream: removed",
}


def test_reader_handles_each_event_once(reader: Reader, scene: Scene) -> None:
    """A platform that uses the reader would miss events, or interrupt a stream repeatedly."""
    happen(scene)
    assert sorted(reader.read()) == sorted(HAPPENED)
    for name in STREAMS:
        for _, fields in scene.redis.xrange(name):
            scene.redis.xadd(name, fields)
    assert reader.read() == [], "the same events again, as after a failover"
    assert [scene.redis.xpending(name, "mine")["pending"] for name in STREAMS] == [0, 0, 0]


def test_reader_survives_later_versions_and_dead_readers(reader: Reader, scene: Scene) -> None:
    """The reader would stop at the first event of the next version, or skip events taken by a dead reader."""
    happen(scene)
    for name in STREAMS:
        scene.redis.xreadgroup("mine", "dead", {name: ">"})
    for number, name in enumerate(STREAMS):
        ((_, fields), *_) = scene.redis.xrange(name)
        event = json.loads(fields["event"])
        event["data"] |= {"of_a_later_version": {"a": 1}}
        for later in ({"id": f"{number:064}", "more": 1}, {"id": "f" * 64, "type": "livewarden.stream.frozen.v1"}):
            scene.redis.xadd(name, {"event": json.dumps(event | later)})
    assert len(reader.read()) == 3, "those of a later version, without the types that nobody knows"
    assert len(reader.read(idle_ms=0)) == 5
    assert reader.read(idle_ms=0) == []


def test_reader_recreates_its_groups(reader: Reader, scene: Scene) -> None:
    """After Redis lost its state the reader would end, or read nothing any more."""
    scene.redis.flushall()
    happen(scene)
    assert reader.read() == []
    assert len(reader.read()) == 5


def test_reader_acts_again_when_killed_before_its_note(reader: Reader, scene: Scene) -> None:
    """An event whose reader was killed between its note and the effect would never be acted on."""
    happen(scene)

    def killed(line: str) -> None:
        raise KeyboardInterrupt(line)

    with pytest.raises(KeyboardInterrupt):
        reader.names["read"](scene.redis, reader.db, "mine", "one", STREAMS, killed, block_ms=1)
    assert sorted(reader.read("two", idle_ms=0)) == sorted(HAPPENED)


def test_reader_continues_after_bad_entries(reader: Reader, scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    """One bad entry would end every reader that takes it, and block all later ones."""
    bad: tuple[dict[Any, Any], ...] = (
        {"other": "secret"},
        {"event": "{secret"},
        {"event": json.dumps({"source": "s", "id": "i", "type": "livewarden.decision.made.v1", "data": {}})},
    )
    happen(scene)
    for name in STREAMS:
        good = [fields for _, fields in scene.redis.xrange(name)]
        scene.redis.xtrim(name, maxlen=0, approximate=False)
        for fields in (*bad, *good):
            scene.redis.xadd(name, fields)
    assert sorted(reader.read()) == sorted(HAPPENED)
    said = capsys.readouterr().err
    assert len(said.splitlines()) == len(bad) * len(STREAMS)
    assert "secret" not in said
    assert [scene.redis.xpending(name, "mine")["pending"] for name in STREAMS] == [len(bad)] * len(STREAMS)
    assert reader.read(idle_ms=0) == []


def test_readers_survive_a_quiet_stream(reader: Reader, redis_url: str) -> None:
    """A platform's reader would end with a traceback after five quiet seconds, and miss later events."""
    client = reader.names["connect"](redis_url)
    block_seconds = signature(reader.names["read"]).parameters["block_ms"].default / 1000
    assert client.get_connection_kwargs()["socket_timeout"] > block_seconds
    client.close()
    (short,) = [text for text in re.findall(r"```python\n(.*?)```", PLATFORM, flags=re.DOTALL) if "xreadgroup" in text]
    (timeout,) = re.findall(r"socket_timeout=(\d+)", short)
    (block_ms,) = re.findall(r"block=(\d+)", short)
    assert int(timeout) > int(block_ms) / 1000


def test_reader_sets_aside_entries_that_it_never_handles(
    reader: Reader, scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    """An entry that cannot be handled would be retried for ever; or be acknowledged, and lost for inspection."""
    reader.names["MOST_DELIVERIES"] = 3
    scene.redis.xadd("lw:decisions", {"event": "{secret"})
    for _ in range(3):
        assert reader.read(idle_ms=0) == []
        assert scene.redis.xpending("lw:decisions", "mine")["pending"] == 1
    reader.read(idle_ms=0)
    assert scene.redis.xpending("lw:decisions", "mine")["pending"] == 0
    ((name, fields),) = reader.db.execute("SELECT stream, fields FROM set_apart").fetchall()
    assert (name, json.loads(fields)) == ("lw:decisions", {"event": "{secret"})
    said = capsys.readouterr().err
    assert [line.rpartition(": ")[2] for line in said.splitlines()] == ["JSONDecodeError"] * 3 + ["set apart"]
    assert "secret" not in said


def test_an_entry_that_kills_its_reader_is_set_aside_alone(reader: Reader, scene: Scene) -> None:
    """An entry that kills every process which takes it would have its neighbours set aside too, untried."""
    reader.names["MOST_DELIVERIES"] = 3
    happen(scene)
    acted: list[str] = []

    def act(line: str) -> None:
        if "closed" in line:
            raise SystemExit
        acted.append(line)

    for _ in range(3):
        with pytest.raises(SystemExit):
            reader.names["read"](scene.redis, reader.db, "mine", "one", STREAMS, act, block_ms=1, idle_ms=0)
    reader.names["read"](scene.redis, reader.db, "mine", "one", STREAMS, act, block_ms=1, idle_ms=0)
    assert len(reader.db.execute("SELECT 1 FROM set_apart").fetchall()) == 1
    assert sorted(acted) == sorted(HAPPENED - {"[drill] cam-1: closed: csea_suspected"})


def test_unhandled_entries_hide_none_behind_them(reader: Reader, scene: Scene) -> None:
    """Entries taken by a dead reader would never be handled behind a hundred that cannot be."""
    happen(scene)
    for name in STREAMS:
        good = [fields for _, fields in scene.redis.xrange(name)]
        scene.redis.xtrim(name, maxlen=0, approximate=False)
        for fields in ({"event": "{"},) * 150 + tuple(good):
            scene.redis.xadd(name, fields)
        scene.redis.xreadgroup("mine", "dead", {name: ">"})
    assert sorted(reader.read(idle_ms=0)) == sorted(HAPPENED)


def test_reader_runs_as_a_program(scene: Scene, redis_url: str, tmp_path: Path) -> None:
    """A copied reader would not start, or would forget at its end which events it has handled."""
    (tmp_path / "read_events.py").write_text(READER)
    command = [sys.executable, "read_events.py", redis_url, "mine", "one", *STREAMS]

    def lines(number: int) -> list[str]:
        with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as program:
            assert program.stdout is not None
            found = [program.stdout.readline().strip() for _ in range(number)]
            program.terminate()
        return found

    happen(scene)
    assert set(lines(5)) == HAPPENED
    for name in STREAMS:
        for _, fields in scene.redis.xrange(name):
            scene.redis.xadd(name, fields)
    scene.raise_incident("cam-9")
    assert lines(1) == ["cam-9: critical: known (segment unknown)"]


def test_reader_goes_on_when_redis_comes_back(scene: Scene, redis_url: str, tmp_path: Path) -> None:
    """A platform's reader would end with each restart of Redis, and decisions would stay unread until somebody
    notices."""
    (tmp_path / "read_events.py").write_text(READER)
    away = threading.Event()

    def between(_command: Command, send: Send) -> bytes | None:
        return None if away.is_set() else send()

    with (
        redis_between(redis_url, between) as url,
        subprocess.Popen(
            [sys.executable, "read_events.py", url, "mine", "one", *STREAMS],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as program,
    ):
        assert program.stdout is not None
        assert program.stderr is not None
        try:
            scene.raise_incident("cam-8")
            assert program.stdout.readline() == "cam-8: critical: known (segment unknown)\n"
            away.set()
            scene.raise_incident("cam-9")
            assert program.stderr.readline() == "Redis: ConnectionError\n"
            away.clear()
            assert program.stdout.readline() == "cam-9: critical: known (segment unknown)\n"
        finally:
            program.terminate()
