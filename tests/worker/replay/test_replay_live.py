"""A replay of what real workers moderated, as policy authors run it: real Celery, real Valkey, a real origin."""

import json
from pathlib import Path

from commandline import livewarden
from hls_origin import LiveOrigin, eventually, segment_bytes
from live_stack import celery
from PIL import Image
from redis import Redis

from worker.incidents.keys import incident_key
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import watch
from worker.ingest.status import stream_status
from worker.queue.decisions import decide_incident
from worker.verdictlog.reading import read_log
from worker.verdictlog.tables import OUTCOMES

POLICY = """
version: "live"
rules:
  - {name: card, when: 'matched("selftest")', severity: high, cooldown_seconds: 3}
  - {name: cards, when: 'window.matched("selftest", "10s") >= 2', severity: critical, cooldown_seconds: 1}
  - {name: any, when: 'score("open-nsfw/nsfw") >= 0.0', severity: review, persistence: {hits: 3, within_seconds: 10},
     cooldown_seconds: 0}
  - {name: tried, when: 'score("open-nsfw/sfw") >= 0.3', severity: review, persistence: {hits: 2, of_samples: 4},
     mode: shadow}
"""
STREAMS = ("a", "b")


def raised(redis: Redis) -> dict[str, str]:
    """Incident to its severity when raised, stream and rule, as text."""
    found = {}
    for severity in ("critical", "high", "review"):
        for _, fields in redis.xrange(f"lw:escalations:{severity}"):
            event = json.loads(fields["event"])
            if event["type"] == "livewarden.escalation.raised.v1":
                data = event["data"]
                found[data["incident_id"]] = f"{data['severity']} {data['stream_id']} {data['rule']}"
    return found


def test_a_replay_gives_the_incidents_that_workers_raised(
    redis: Redis, redis_url: str, origin: LiveOrigin, tmp_path: Path
) -> None:
    """Nobody could trust a replay of another policy."""
    url = str(tmp_path / "store")
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    environment = {
        "LIVEWARDEN_REDIS_URL": redis_url,
        "LIVEWARDEN_ALLOWED_ORIGINS": origin.host,
        "LIVEWARDEN_STORE_URL": url,
        "LIVEWARDEN_POLICY_FILE": str(policy),
    }
    for stream in STREAMS:
        watch(redis, register(stream, origin.url, purpose="drill", url_template="", legal_basis=""))

    def settled() -> bool:
        return all(stream_status(redis, stream)["pending_seconds"] == 0 for stream in STREAMS)

    with celery("worker", environment, tmp_path, "--concurrency=2") as worker:
        for part in range(3):
            for index in range(4 * part, 4 * part + 4):
                origin.add(f"{index}.ts", segment_bytes(card=index % 3 == 0, shade=index), window=12)
            wanted = 8 * (part + 1)
            origin.ended = part == 2
            for stream in STREAMS:
                eventually(
                    lambda stream=stream, wanted=wanted: stream_status(redis, stream)["elapsed_seconds"] >= wanted,
                    within_seconds=60,
                    what=worker.text,
                )
            eventually(settled, within_seconds=60, what=worker.text)
            for incident in raised(redis):
                rule, outcome = redis.hmget(incident_key(incident), ["rule", "outcome"])
                if outcome is None and (part == 0 or rule != "card"):
                    decide_incident(redis, incident, "harmless", by="ann", note="seen", deployment="local")
        decisions = redis.xlen("lw:decisions")
        eventually(
            lambda: (
                recorded(url) >= {("raised", incident) for incident in raised(redis)}
                and sum(kind == "decided" for kind, _ in recorded(url)) == decisions
            ),
            within_seconds=60,
            what=worker.text,
        )
    # The warm shutdown of the worker has written its buffers.
    was = raised(redis)
    assert {text.split()[2] for text in was.values()} == {"card", "cards", "any"}
    assert decisions >= 4

    picture = tmp_path / "scores.png"
    options = ("--since", "1h", "--until", "0s", "--json")
    ran = livewarden("policy", "replay", "--plot", picture, *options, environment=environment)
    assert (ran.status, ran.err) == (0, "")
    incidents = ran.of_type("incident")
    assert {one["change"] for one in incidents} == {"same", "shadow"}
    same = [one for one in incidents if one["change"] == "same"]
    assert {one["would_be"]["incident_id"] for one in same} == set(was)
    for one in same:
        assert was[one["would_be"]["incident_id"]] == f"{one['would_be']['severity']} {one['stream_id']} {one['rule']}"
        assert one["was"]["captured"] == one["would_be"]["captured"]
    assert {one["rule"] for one in incidents if one["change"] == "shadow"} == {"tried"}
    (summary,) = ran.of_type("summary")
    assert (summary["was"], summary["would_be"], summary["streams"]) == (len(was), len(was), 2)
    with Image.open(picture) as image:
        assert image.format == "PNG"

    # Another policy: its effect is reported, and the replay changes nothing.
    new = tmp_path / "new.yaml"
    new.write_text(POLICY.replace("name: cards", "name: many").replace("hits: 3", "hits: 100"))
    ran = livewarden("policy", "replay", "--policy", new, *options, environment=environment)
    tallies = {one["rule"]: one for one in ran.of_type("rule")}
    assert tallies["cards"]["gone"] >= tallies["many"]["new"] == 2  # one a stream: nobody would have decided on it
    assert tallies["any"]["would_be"] == 0 < tallies["any"]["gone"]
    assert tallies["card"]["same"] == sum(text.split()[2] == "card" for text in was.values())
    reported = livewarden("policy", "replay", "--policy", new, *options[:-1], environment=environment).out
    assert "Incidents by rule" in reported
    assert "Streams that differ most" in reported
    assert raised(redis) == was


def recorded(url: str) -> set[tuple[str, str]]:
    """Kind and incident of the records in the store."""
    columns = ["kind", "incident_id"]
    return {
        (row["kind"], row["incident_id"])
        for batch in read_log(url, 0, 2**62, columns, of=OUTCOMES)
        for row in batch.to_pylist()
    }
