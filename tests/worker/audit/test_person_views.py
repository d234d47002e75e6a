"""Views of one person, from the audit log in Redis."""

from redis import Redis

from worker.audit.chainer import link_waiting
from worker.audit.entries import Act, append_entry, audit_entry
from worker.audit.person_views import views_by
from worker.audit.redis_log import UNLINKED


def view(redis: Redis, ref: str, by: str, shown: str) -> None:
    append_entry(redis, audit_entry(Act.VIEW, by=by, verified=True, subject=ref, shown=shown))


def test_views_are_those_of_that_person_and_of_these_pictures(redis: Redis) -> None:
    """A report would say that a person saw a picture which another one opened."""
    view(redis, "a", "kim", "blurred")
    view(redis, "a", "noor", "clear")
    view(redis, "b", "kim", "clear")
    link_waiting(redis)
    view(redis, "a", "Kim", "clear")
    append_entry(redis, audit_entry(Act.EXPORT, by="kim", verified=True, subject="a", shown="clear"))
    redis.xadd(UNLINKED, {"entry": "foreign {"})
    found = [(one.ref, one.clear) for one in views_by(redis, "kim", ["a"], since_ms=0)]
    assert found == [("a", True), ("a", False)]
    assert views_by(redis, "kim", [], since_ms=0) == ()


def test_views_before_the_time_are_left_out(redis: Redis) -> None:
    """A view of another case would count, and the whole log be read for each page."""
    view(redis, "a", "kim", "clear")
    link_waiting(redis)
    (first,) = views_by(redis, "kim", ["a"], since_ms=0)
    assert views_by(redis, "kim", ["a"], since_ms=first.at_ms) == (first,)
    assert views_by(redis, "kim", ["a"], since_ms=first.at_ms + 1) == ()


def test_a_picture_that_was_altered_and_not_shown_is_no_view(redis: Redis) -> None:
    """A case would count as reviewed by somebody who was shown nothing."""
    view(redis, "a", "kim", "nothing")
    assert views_by(redis, "kim", ["a"], since_ms=0) == ()
