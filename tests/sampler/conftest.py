"""A decoder for the sampler's tests."""

from collections.abc import Iterator

import pytest

from sampler.child.decoder import Decoder


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    """One decoder child for all tests of a module."""
    with Decoder() as decoder:
        yield decoder
