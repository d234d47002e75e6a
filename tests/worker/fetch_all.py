"""Concurrent fetches, as in a poll."""

from collections.abc import Sequence

from worker.errors import FetchError
from worker.ingest.http.fetch import Fetched, Fetcher, FetchRequest
from worker.ingest.poll.poll import BATCH_STREAMS


def fetch_as_they_come(fetcher: Fetcher, requests: Sequence[FetchRequest]) -> dict[int, Fetched | FetchError]:
    """Results by request index, in order of arrival; fails if one takes half a minute."""
    answers: dict[int, Fetched | FetchError] = {}
    with fetcher.begin_round(most=BATCH_STREAMS) as fetches:
        for place, request in enumerate(requests):
            fetches.ask(str(place), request)
        while len(answers) < len(requests):
            found = fetches.answer(within_seconds=60)
            assert found is not None, f"{len(answers)} of {len(requests)} were answered"
            assert isinstance(found[1], Fetched | FetchError), found
            answers[int(found[0])] = found[1]
    return answers


def fetch_all(fetcher: Fetcher, requests: Sequence[FetchRequest]) -> list[Fetched | FetchError]:
    """Results in the order of the requests."""
    answers = fetch_as_they_come(fetcher, requests)
    return [answers[place] for place in range(len(requests))]
