"""The judging part of a case page."""

from typing import Any

from redis import Redis

from desk.cases.case_view import CaseView
from desk.judging.after_words import after_words
from desk.judging.decide_words import Sent, decide_words
from desk.judging.opened import opened_by
from desk.judging.preserving import holds_in_words
from desk.texts.catalogue import Texts
from worker.people.actor import Actor


def judging_part(
    redis: Redis, view: CaseView, actor: Actor, texts: Texts, *, judged: Sent | None = None
) -> dict[str, Any]:
    """Values for `case/decide.html` and `case/after.html`.

    Args:
        judged: a judgement that was sent and refused; None: the page was only loaded.

    Raises:
        StoreError: Redis failed.
    """
    views = opened_by(redis, view, actor)
    opened = None if views is None else bool(views)
    sent = Sent() if judged is None else judged
    decide = decide_words(view, actor, texts, opened=opened, sent=sent)
    after = after_words(redis, view, actor, texts, sent=sent, views=views or ())
    return {"decide": decide, "after": after, "holds": holds_in_words(redis, view, texts)}
