"""Incidents of a case that a page shows: those that somebody has yet to decide come first."""

from typing import Final

from redis import Redis

from config.facts import Severity
from worker.incidents.keys import case_key, incident_key

MOST_INCIDENTS: Final = 50
"""Incidents of a case that a page shows, <=: a stream has some rules, and a case an hour after its last incident."""

MOST_READ: Final = 1_000
"""Incidents of a case whose order is read, <=: a case takes in none beyond 100, and one segment may raise some more."""


def shown_incidents(redis: Redis, case_id: str) -> list[str]:
    """Ids of the incidents of a case, MOST_INCIDENTS at most; none: there is no such case.

    Of more than that the undecided ones come first, the most severe first, then those that were raised last: a
    broadcaster whose stream raises one incident after another would bury the newest under decided ones.
    """
    ids = [str(one) for one in redis.zrange(case_key(case_id), 0, MOST_READ - 1)]
    if len(ids) <= MOST_INCIDENTS:
        return ids
    with redis.pipeline(transaction=False) as pipe:
        for one in ids:
            pipe.hmget(incident_key(one), ("outcome", "severity"))
        answers = pipe.execute(raise_on_error=False)
    ranks = {one.value: one.rank for one in Severity}
    order = []
    for place, (incident_id, answer) in enumerate(zip(ids, answers, strict=True)):
        outcome, severity = answer if isinstance(answer, list) else (None, None)
        order.append((outcome is not None, ranks.get(str(severity), len(ranks)), -place, incident_id))
    return [incident_id for *_, incident_id in sorted(order)[:MOST_INCIDENTS]]
