"""Pictures as a browser gets them: closed, reduced, clear once; on record before a byte is sent."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
from desk_server import HostClock, RunningDesk, csrf_of
from evidence_items import Pair, head_of
from judging_page import decide
from people_made import Roster
from pictures_kept import CONTEXT, PictureCases, ask_clear, decoded_image, desk_with_key
from redis import Redis
from scene import Scene

from config.facts import Severity
from desk.database.connection import DeskDatabase
from desk.pictures.kept_pictures import MOST_SHOWN
from worker.audit.chainer import link_waiting
from worker.evidence.altered import publish_found
from worker.evidence.item import digest_of, new_ref
from worker.evidence.picture import to_jpeg
from worker.evidence.sealing import seal


@dataclass(kw_only=True)
class Room:
    """A desk with pictures, and two people who are signed in."""

    desk: RunningDesk
    cases: PictureCases
    clock: HostClock
    moderator: httpx.Client
    lead: httpx.Client

    def page(self, client: httpx.Client, incident: str, query: str = "") -> str:
        answer = client.get(f"/cases/{self.cases.case_id(incident)}{query}")
        assert answer.status_code == 200, answer.text
        return re.sub(r"\s+", " ", answer.text)


@pytest.fixture
def room(redis: Redis, database: DeskDatabase, scene: Scene, roster: Roster, tmp_path: Path) -> Iterator[Room]:
    """A desk with the key to its pictures."""
    with desk_with_key(redis, database, scene, tmp_path) as (desk, cases, clock):
        roster.add("kim")
        yield Room(
            desk=desk,
            cases=cases,
            clock=clock,
            moderator=desk.signed_in("kim", roster.tokens["kim"]),
            lead=desk.signed_in("lea", roster.tokens["lea"]),
        )


def address_of_clear(answer: httpx.Response) -> str:
    found = re.search(r'srcset="(/pictures/[^"]+)"', answer.text)
    assert found is not None, answer.text
    return found[1]


def test_a_case_s_pictures_are_closed_and_say_what_to_expect(room: Room) -> None:
    """A moderator would be shown a picture that nobody asked for."""
    incident = room.cases.case()
    room.cases.add(incident)
    room.cases.add(incident, room.cases.sealed(seed=5, capture_ms=1, **CONTEXT), rule="", severity="", score=0.0)
    page = room.page(room.moderator, incident)
    assert "<img" not in page
    assert "2 kept, sealed." in page
    assert "Hit 1" in page
    assert "m/nsfw: score 0.95, threshold 0.90." in page
    assert "Kept for rule likely." in page
    assert "Before the hit" in page
    assert room.cases.views() == []


def test_one_opens_at_a_time_reduced_by_the_server(room: Room) -> None:
    """Two pictures would be seen where one was asked for, or in full detail."""
    incident = room.cases.case()
    first, second = room.cases.add(incident), room.cases.add(incident)
    case_id = room.cases.case_id(incident)
    section = room.moderator.get(f"/cases/{case_id}/pictures", params={"open": second}).text
    assert re.findall(r'src="([^"]+)"', section) == [f"/pictures/{second}/reduced"]
    assert first not in re.findall(r'src="([^"]+)"', section)[0]
    image = decoded_image(room.moderator.get(f"/pictures/{second}/reduced"))
    assert (image[..., 0] == image[..., 1]).all()
    steps = np.abs(np.diff(image[..., 0].astype(int), axis=1))
    assert steps.max() < 60  # the picture's own edges are as sharp as they can be
    (view,) = room.cases.views()
    assert (view["by"], view["subject"], view["verified"]) == ("kim", second, True)
    assert view["details"]["shown"] == "blurred"
    assert view["details"]["incident"] == incident


def test_the_person_s_settings_reduce_it(room: Room) -> None:
    """Somebody who set the strongest reduction would see more than they can bear."""
    ref = room.cases.add(room.cases.case())
    form = {"csrf": csrf_of(room.moderator), "detail": "pixels", "strength": "5", "size": "small", "grey": "on"}
    room.moderator.post("/settings", data=form)
    image = decoded_image(room.moderator.get(f"/pictures/{ref}/reduced"))
    assert image.shape == (180, 320, 3)
    assert len(np.unique(image.reshape(-1, 3), axis=0)) <= 20 * 12


def test_a_clear_view_is_a_second_act_with_a_reason(room: Room) -> None:
    """A picture would be seen clear by one key, and nobody would know why."""
    ref = room.cases.add(room.cases.case())
    assert room.moderator.get(f"/pictures/{ref}/clear").status_code == 405
    assert ask_clear(room.moderator, ref, reason="").status_code == 400
    assert ask_clear(room.moderator, ref, reason="other", reason_text=" ").status_code == 400
    assert room.cases.views() == []
    asked = ask_clear(room.moderator, ref, reason="other", reason_text="a doll or a child?")
    assert asked.status_code == 200
    assert room.cases.views() == []  # on record when it is fetched: a narrow screen never does
    answer = room.moderator.get(address_of_clear(asked))
    image = decoded_image(answer)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["referrer-policy"] == "same-origin"
    (view,) = room.cases.views()
    assert view["details"] == {
        "incident": view["details"]["incident"],
        "stream": "cam-1",
        "shown": "clear",
        "reason": "a doll or a child?",
    }
    assert image.shape == (180, 320, 3)


def test_a_clear_picture_has_the_viewer_s_mark_in_its_pixels(room: Room) -> None:
    """A photograph of the screen would not say whose screen it was."""
    incident = room.cases.case()
    grey = np.full((540, 960, 3), 128, np.uint8)
    ref = room.cases.add(incident, room.cases.sealed_pixels(grey))
    marked = {}
    for name, client in (("kim", room.moderator), ("lea", room.lead)):
        image = decoded_image(client.get(address_of_clear(ask_clear(client, ref))))
        marked[name] = np.abs(image.astype(int) - 128).max(axis=2) > 20
    assert all(0.02 < mask.mean() < 0.3 for mask in marked.values())
    for mask in marked.values():  # no part of the picture is without it
        assert all(part.any() for row in np.array_split(mask, 3) for part in np.array_split(row, 3, axis=1))
    assert (marked["kim"] != marked["lea"]).mean() > 0.01


def test_a_clear_view_s_address_is_good_once_for_one_person_for_20_seconds(room: Room) -> None:
    """Whoever finds the address in a history, a log or a message would see the picture."""
    incident = room.cases.case()
    ref, other = room.cases.add(incident), room.cases.add(incident)
    address = address_of_clear(ask_clear(room.moderator, ref))
    assert room.lead.get(address).status_code == 410
    assert room.moderator.get(address.replace(ref, other)).status_code == 410
    assert room.desk.browser().get(address).status_code == 303
    assert room.moderator.get(address).status_code == 200
    assert room.moderator.get(address).status_code == 410
    late = address_of_clear(ask_clear(room.moderator, ref))
    room.clock.pass_seconds(21)
    assert room.moderator.get(late).status_code == 410
    doubled = [address_of_clear(ask_clear(room.moderator, ref)) for _ in range(2)]
    assert [room.moderator.get(one).status_code for one in doubled] == [410, 200]
    assert sum(view["details"]["shown"] == "clear" for view in room.cases.views()) == 2


def test_only_a_lead_is_shown_known_material_clear(room: Room) -> None:
    """A moderator would be exposed to what a match on a list has told already."""
    known = room.cases.case("cam-2", Severity.CRITICAL)
    ref = room.cases.add(known, rule="known", known=True, distance=4, score=0.0)
    near = room.cases.add(known, room.cases.sealed("cam-2", seed=3, **CONTEXT), rule="", score=0.0)
    scored = room.cases.case("cam-3")
    listed = room.cases.add(
        scored, room.cases.sealed("cam-3", seed=4, matches=({"list": "x", "entry": "1", "distance": 9},))
    )
    for one in (ref, near, listed):
        refused = ask_clear(room.moderator, one)
        assert (refused.status_code, "only a lead" in refused.text) == (403, True)
    page = room.page(room.moderator, known, f"?open={ref}")
    assert "Known material: only a lead is shown it clear." in page
    assert 'id="clear"' not in page
    assert "List known, distance 4 of 31." in page
    assert room.lead.get(address_of_clear(ask_clear(room.lead, ref))).status_code == 200
    assert room.cases.views()[-1]["by"] == "lea"
    allowed = room.cases.add(
        room.cases.case("cam-4"),
        room.cases.sealed("cam-4", seed=6, matches=({"list": "allow", "entry": "1", "distance": 2},)),
    )
    assert ask_clear(room.moderator, allowed).status_code == 200


def test_an_incident_for_a_lead_opens_for_a_lead(room: Room, redis: Redis) -> None:
    """A moderator would see the pictures of a case that the policy keeps from them."""
    incident = room.cases.case()
    ref = room.cases.add(incident)
    redis.hset(f"lw:incident:{incident}", "needs_role", "lead")
    assert "Open reduced" not in room.page(room.moderator, incident)
    assert room.moderator.get(f"/pictures/{ref}/reduced").status_code == 403
    assert ask_clear(room.moderator, ref).status_code == 403
    assert room.lead.get(f"/pictures/{ref}/reduced").status_code == 200
    assert [view["by"] for view in room.cases.views()] == ["lea"]


def test_nothing_is_sent_that_is_not_on_record(room: Room, redis: Redis) -> None:
    """A picture would be seen, and nobody would know by whom."""
    ref = room.cases.add(room.cases.case())
    address = address_of_clear(ask_clear(room.moderator, ref))
    redis.set("lw:audit:unlinked", "not a stream")
    for path in (f"/pictures/{ref}/reduced", address):
        answer = room.moderator.get(path)
        assert (answer.status_code, answer.headers["content-type"][:10]) == (503, "text/plain")


def test_somebody_who_wants_no_pictures_gets_none(room: Room) -> None:
    """A key pressed by mistake would show one all the same."""
    incident = room.cases.case()
    ref = room.cases.add(incident)
    address = address_of_clear(ask_clear(room.moderator, ref))
    room.moderator.post("/settings", data={"csrf": csrf_of(room.moderator), "no_pictures": "on"})
    page = room.page(room.moderator, incident, f"?open={ref}")
    assert "<img" not in page
    assert "Open reduced" not in page
    assert "You have set to be shown none" in page
    assert room.moderator.get(f"/pictures/{ref}/reduced").status_code == 403
    assert room.moderator.get(address).status_code == 403
    assert ask_clear(room.moderator, ref).status_code == 403
    assert room.cases.views() == []


def test_what_is_fetched_in_advance_or_elsewhere_shows_and_counts_nothing(room: Room) -> None:
    """A browser that fetches ahead would put views on record that nobody had; a tab would never hide a picture."""
    ref = room.cases.add(room.cases.case())
    path = f"/pictures/{ref}/reduced"
    for headers in (
        {"sec-purpose": "prefetch"},
        {"purpose": "prefetch"},
        {"sec-purpose": "prefetch;prerender"},
        {"sec-fetch-dest": "document"},
        {"sec-fetch-dest": "image", "sec-fetch-site": "cross-site"},
    ):
        assert room.moderator.get(path, headers=headers).status_code == 403, headers
    assert room.cases.views() == []
    address = address_of_clear(ask_clear(room.moderator, ref))
    assert room.moderator.get(address, headers={"sec-purpose": "prefetch"}).status_code == 403
    assert room.moderator.get(address, headers={"sec-fetch-dest": "image"}).status_code == 200


def test_an_altered_picture_is_said_put_on_record_and_not_shown(room: Room) -> None:
    """Somebody with access to the store could put another picture in its place."""
    incident = room.cases.case()
    ref = room.cases.add(incident)
    path = room.cases.path_of(incident, ref)
    path.write_bytes(path.read_bytes()[:-40])
    for _ in range(2):
        answer = room.moderator.get(f"/pictures/{ref}/reduced")
        assert (answer.status_code, "its digest is not the one on record" in answer.text) == (409, True)
    page = room.page(room.lead, incident)
    assert "Altered: its digest is not the one on record. Not shown; a lead is informed. Decide all the same." in page
    assert "Open reduced" not in page
    (view,) = room.cases.views()
    assert view["details"] == {"shown": "nothing", "reason": "altered"}


def test_leads_are_informed_of_an_altered_picture(room: Room) -> None:
    """The tile says that a lead is informed, and nobody would look into it."""
    incident = room.cases.case()
    ref = room.cases.add(incident)
    path = room.cases.path_of(incident, ref)
    path.write_bytes(path.read_bytes()[:-40])
    assert room.moderator.get(f"/pictures/{ref}/reduced").status_code == 409
    link_waiting(room.cases.redis)
    assert publish_found(room.cases.redis, deployment="test") == 1
    said, link = "One picture was altered in the last 7 days and not shown, of:", f'href="/cases/{incident}"'
    of_lead, of_moderator = room.lead.get("/queue").text, room.moderator.get("/queue").text
    assert (said in of_lead, link in of_lead) == (True, True)
    assert (said in of_moderator, link in of_moderator) == (False, False)
    assert room.lead.get(f"/cases/{incident}").status_code == 200


def test_an_altered_picture_is_on_record_though_redis_failed_at_first(room: Room) -> None:
    """The page would have said it, and no lead be informed, for a failure of a second."""
    incident = room.cases.case()
    ref = room.cases.add(incident)
    path = room.cases.path_of(incident, ref)
    path.write_bytes(path.read_bytes()[:-40])
    room.cases.redis.set("lw:audit:unlinked", "no stream")
    assert room.moderator.get(f"/pictures/{ref}/reduced").status_code == 503
    room.cases.redis.delete("lw:audit:unlinked")
    assert room.moderator.get(f"/pictures/{ref}/reduced").status_code == 409
    assert len(room.cases.views()) == 1


def test_pictures_that_do_not_open_say_why(room: Room, tmp_path: Path) -> None:
    """A moderator would wait for a picture that nobody can open, and not decide."""
    incident = room.cases.case()
    jpeg = to_jpeg(np.full((90, 160, 3), 50, np.uint8))
    lost = room.cases.add(
        incident, seal(head_of(jpeg, stream_id="cam-1", capture_ms=1, matches=()), jpeg, Pair().recipients)
    )
    missing = room.cases.add(incident)
    room.cases.path_of(incident, missing).unlink()
    dropped = room.cases.add(incident, place="dropped")
    damaged = room.cases.add(incident, place="damaged")
    waiting = room.cases.add(incident, place="")
    answers = [room.moderator.get(f"/pictures/{ref}/reduced") for ref in (lost, missing, dropped, damaged, waiting)]
    assert all(answer.status_code in (404, 409) for answer in answers)
    page = room.page(room.moderator, incident)
    for said in (
        "Sealed to a key that this desk does not have. Decide all the same.",
        "Missing: the store does not have it. Decide all the same.",
        "Dropped: it made room for hits in a full spool. Decide all the same.",
        "Altered: its digest is not the one on record.",
        "It waits in the spool of the worker that sealed it. Try again in a moment, or decide all the same.",
    ):
        assert said in page
    case_id = room.cases.case_id(incident)
    assert room.moderator.post(f"/cases/{case_id}/take", data={"csrf": csrf_of(room.moderator)}).status_code == 303
    assert decide(room.moderator, case_id, "cannot_judge").status_code == 303
    assert "Decided: cannot judge" in room.page(room.moderator, incident)
    assert page.count("Try again") == 3  # missing, and waiting with its sentence


def test_a_store_that_is_away_is_said(room: Room, tmp_path: Path) -> None:
    """A page would be an error where a person could decide by words."""
    incident = room.cases.case()
    ref = room.cases.add(incident)
    path = room.cases.path_of(incident, ref)
    content = path.read_bytes()
    path.unlink()
    path.mkdir()
    answer = room.moderator.get(f"/pictures/{ref}/reduced")
    assert (answer.status_code, "The store does not answer" in answer.text) == (503, True)
    assert "The store does not answer. Try again, or decide all the same." in room.page(room.moderator, incident)
    path.rmdir()
    path.write_bytes(content)
    assert room.moderator.get(f"/pictures/{ref}/reduced").status_code == 200
    assert "The store does not answer" not in room.page(room.moderator, incident)


def test_a_desk_without_a_key_says_so(
    redis: Redis, database: DeskDatabase, scene: Scene, roster: Roster, tmp_path: Path
) -> None:
    """Each picture would be an error, and nobody would know what to set."""
    with desk_with_key(redis, database, scene, tmp_path, evidence_identity=None) as (desk, cases, _):
        client = desk.signed_in("lea", roster.tokens["lea"])
        incident = cases.case()
        ref = cases.add(incident)
        page = client.get(f"/cases/{cases.case_id(incident)}").text
        assert "LIVEWARDEN_EVIDENCE_IDENTITY is not set" in page
        assert client.get(f"/pictures/{ref}/reduced").status_code == 503
        assert cases.views() == []


@pytest.mark.parametrize("ref", ["../../etc/passwd", "..%2f..%2fetc%2fpasswd", "0" * 32, "x", "A" * 32, "0" * 5000])
def test_paths_and_forged_references_open_nothing(room: Room, ref: str) -> None:
    """A reference could name a file of the host, or an item of nobody's."""
    for path in (f"/pictures/{ref}/reduced", f"/pictures/{ref}/clear/{'0' * 43}"):
        assert room.moderator.get(path).status_code in (404, 405, 410)
    assert room.cases.views() == []


def test_a_picture_of_another_case_does_not_open_in_this_one(room: Room) -> None:
    """A moderator would judge one stream by the picture of another."""
    incident, other = room.cases.case("cam-1"), room.cases.case("cam-2")
    room.cases.add(incident)
    foreign = room.cases.add(other)
    page = room.page(room.moderator, incident, f"?open={foreign}")
    assert "This case has no such picture" in page
    assert "<img" not in page


def test_a_case_without_pictures_says_why(room: Room) -> None:
    """An empty section would look like a picture that did not load."""
    page = room.page(room.moderator, room.cases.case())
    assert "None: no picture of the hits was at hand." in page or "None is kept" in page
    assert "Look now" in page


def test_a_picture_of_the_size_of_a_bomb_is_refused(room: Room) -> None:
    """A worker that was taken over could make the desk decode gigabytes, or for minutes."""
    incident = room.cases.case()
    jpeg = bytearray(to_jpeg(np.full((90, 160, 3), 50, np.uint8)))
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = b"\xff\xff\xff\xff"
    scans = to_jpeg(np.full((90, 160, 3), 50, np.uint8))[:-2] + b"\xff\xda" * 20 + b"\xff\xd9"
    for bad in (bytes(jpeg), scans):
        head = head_of(to_jpeg(np.full((90, 160, 3), 50, np.uint8)), stream_id="cam-1", capture_ms=1, matches=())
        item = seal(replace(head, ref=new_ref(), picture_sha256=digest_of(bad)), bad, room.cases.kept.pair.recipients)
        ref = room.cases.add(incident, item)
        assert room.moderator.get(f"/pictures/{ref}/reduced").status_code == 409


def test_exposure_is_counted_once_and_for_oneself(room: Room) -> None:
    """A double click would count twice; or a lead would see what a moderator saw."""
    ref = room.cases.add(room.cases.case())
    for _ in range(2):
        room.moderator.get(f"/pictures/{ref}/reduced")
    room.moderator.get(address_of_clear(ask_clear(room.moderator, ref)))
    room.clock.pass_seconds(8)
    hidden = room.moderator.post(
        f"/pictures/{ref}/hide", data={"csrf": csrf_of(room.moderator)}, headers={"hx-request": "true"}
    )
    assert "<img" not in hidden.text
    room.clock.pass_seconds(60)
    page = re.sub(r"\s+", " ", room.moderator.get("/settings").text)
    assert 'Clear views</dt><dd class="big">1<' in page
    assert 'Clear, in all</dt><dd class="big">8 s<' in page
    assert 'Reduced views</dt><dd class="big">1<' in page
    other = re.sub(r"\s+", " ", room.lead.get("/settings").text)
    assert 'Clear views</dt><dd class="big">0<' in other
    assert not [key for key in room.cases.redis.keys("*") if "exposure" in key or "welfare" in key]


def test_without_scripts_a_clear_view_is_a_page(room: Room) -> None:
    """Somebody whose browser runs no script could not see a picture; or would see it again by going back."""
    incident = room.cases.case()
    ref = room.cases.add(incident)
    asked = room.moderator.post(f"/pictures/{ref}/clear", data={"csrf": csrf_of(room.moderator), "reason": "unclear"})
    path = asked.headers["location"].removesuffix("#pictures")
    page = room.moderator.get(path).text
    found = re.search(r'srcset="([^"]+)"', page)
    assert found is not None
    assert room.moderator.get(found[1]).status_code == 200
    assert "<img" not in room.moderator.get(path).text  # the back button


def test_the_picture_that_is_sent_is_drawn_anew(room: Room) -> None:
    """Bytes of a worker that was taken over would reach a moderator's browser."""
    jpeg = to_jpeg(np.full((90, 160, 3), 50, np.uint8))
    evil = jpeg[:2] + b"\xff\xfe\x00\x11<script>alert()" + jpeg[2:]
    head = head_of(evil, stream_id="cam-1", capture_ms=1, matches=(), width=160, height=90)
    ref = room.cases.add(room.cases.case(), seal(head, evil, room.cases.kept.pair.recipients))
    answer = room.moderator.get(address_of_clear(ask_clear(room.moderator, ref)))
    assert b"script" not in answer.content
    assert cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR) is not None


def test_pictures_of_the_undecided_keep_their_tiles(room: Room) -> None:
    """A stream with many pictures would leave no tile for the newest, nor for the look that a moderator asked for."""
    decided, newest = room.cases.case(), room.cases.case(severity=Severity.CRITICAL)
    assert room.cases.case_id(decided) == room.cases.case_id(newest)
    for number in range(MOST_SHOWN):
        room.cases.add(decided, room.cases.sealed(seed=number, capture_ms=1000 + number))
    room.cases.redis.hset(f"lw:incident:{decided}", "outcome", "harmless")
    hit = room.cases.add(newest, room.cases.sealed(seed=MOST_SHOWN, capture_ms=9000))
    look = room.cases.sealed(seed=MOST_SHOWN + 1, capture_ms=9001, segment="", **(CONTEXT | {"reason": "look"}))
    room.cases.add(newest, look, rule="", severity="", score=0.0)
    page = room.page(room.moderator, newest)
    assert hit in page
    assert look.ref in page
    assert "2 more are not shown" in page
