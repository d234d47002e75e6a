"""The last good policy without its models, for threads of a worker's main process, which moderates nothing."""

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

from config.policy.policy import Policy, parse_policy, read_policy
from worker.policyload.follower import PolicyFollower

T = TypeVar("T")


def good_policy(policies: PolicyFollower[T]) -> Callable[[], Policy]:
    """Returns a function that reads the last good policy, and parses it again only where it has changed."""
    parsed = lru_cache(maxsize=1)(lambda data: parse_policy(data, "the policy in force"))

    def read() -> Policy:
        return parsed(read_policy(None) if policies.good is None else policies.good)

    return read
