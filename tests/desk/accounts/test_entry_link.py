"""The demo's link: it signs one person in, once, and is nowhere else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from accounts_made import PASSWORD
from desk_server import RunningDesk, serving_desk
from people_made import Roster
from redis import Redis

from desk.accounts.entry_link import EntryLink
from desk.database.connection import DeskDatabase


def test_a_link_signs_one_person_in_once(redis: Redis, database: DeskDatabase, roster: Roster) -> None:
    """A newcomer could not enter the demo; or whoever finds the link in a shell's history could enter too."""
    link = EntryLink(name="lea", roster_token=roster.tokens["lea"])
    assert link.secret not in repr(link)
    with serving_desk(redis, database, entry_link=link) as desk:
        client, path = desk.browser(), f"/enter/{link.secret}"
        assert client.get("/enter/" + "x" * 43).status_code == 404
        assert client.post("/enter/" + "x" * 43).status_code == 404
        for _ in range(2):  # a preview of the link does not use it up
            assert "Enter as lea" in client.get(path).text
        assert client.post(path).headers["location"] == "/"
        assert client.get("/queue").status_code == 200
        stranger = desk.browser()
        assert (stranger.post(path).status_code, stranger.get(path).status_code) == (404, 404)
        assert stranger.get("/queue").status_code == 303
        assert stranger.post("/sign-in", data={"name": "lea", "password": PASSWORD}).status_code == 403


def test_a_link_of_a_token_that_is_void_signs_nobody_in(redis: Redis, database: DeskDatabase, roster: Roster) -> None:
    """Who was removed meanwhile would get in."""
    with serving_desk(redis, database, entry_link=EntryLink(name="lea", roster_token="lwt_" + "0" * 43)) as desk:
        link = desk.app.state.entry_link
        answer = desk.browser().post(f"/enter/{link.secret}")
        assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)


def test_a_desk_without_a_link_has_no_such_page(running: RunningDesk) -> None:
    """Every deployment would have a way in without a password."""
    assert running.browser().get("/enter/" + "x" * 43).status_code == 404
    assert running.browser().post("/enter/" + "x" * 43).status_code == 404


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"LIVEWARDEN_DESK_URL": "https://desk.example"}, "only where the desk is on this machine"),
        ({"LIVEWARDEN_DESK_LISTEN": "0.0.0.0:0"}, "only where the desk is on this machine"),
        ({"LIVEWARDEN_TOKEN": ""}, "needs that person's token"),
    ],
)
def test_a_desk_for_others_prints_no_link(redis_url: str, tmp_path: Path, setting: dict[str, str], said: str) -> None:
    """A desk on the network would let in whoever reads its log."""
    ended = subprocess.run(
        [Path(sys.executable).with_name("livewarden"), "desk", "--link-for", "lea"],
        env={
            **os.environ,
            "LIVEWARDEN_REDIS_URL": redis_url,
            "LIVEWARDEN_DESK_DATABASE_URL": f"sqlite:///{tmp_path}/desk.db",
            "LIVEWARDEN_TOKEN": "lwt_0",
            **setting,
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode not in (0, None)
    assert said in ended.stderr
    assert "/enter/" not in ended.stdout
