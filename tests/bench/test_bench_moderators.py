"""Many moderators at once, in small form; `python -m bench.moderators` is the large one."""

from collections import Counter
from pathlib import Path

from redis import Redis

from bench.moderators import moderators_at_once, raise_cases
from worker.incidents.keys import OPEN_KEYS


def test_no_case_is_decided_twice_and_none_is_lost(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    """Two people would look at the same pictures; or a case would be given to nobody."""
    raised = raise_cases(redis, 60, tmp_path)
    done = moderators_at_once(redis_url, 12)
    decided = Counter(incident for one in done for incident in one.decided)
    assert decided == Counter(raised)
    assert sum(one.refused for one in done) == 0
    assert redis.xlen("lw:decisions") == 60
    assert sum(redis.zcard(key) for key in OPEN_KEYS) == 0
    assert redis.zcard("lw:queue:order") == 0
    assert int(redis.get("lw:queue:turns") or 0) == 60
    pending = [
        redis.xpending(f"lw:escalations:{severity}", "moderators") for severity in ("critical", "high", "review")
    ]
    assert [one["pending"] for one in pending] == [0, 0, 0]
