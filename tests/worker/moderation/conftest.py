"""Shared fixtures of the tests of moderation: a decoder, and the pipeline with what is shipped."""

from collections.abc import Iterator

import pytest
from tinymodels import load_classifiers

from config.policy.policy import load_policy
from models.bank.bank import Bank
from sampler.child.decoder import Decoder
from worker.bank.lists_in_force import ListsInForce, always
from worker.moderation.pipeline import Pipeline


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    """One decoder child for all tests of a module."""
    with Decoder() as decoder:
        yield decoder


@pytest.fixture(scope="module")
def pipeline(decoder: Decoder) -> Pipeline:
    """The pipeline with the shipped lists and models."""
    return Pipeline(
        decoder=decoder,
        bank=always(ListsInForce(bank=Bank())),
        classifiers=load_classifiers(None),
        policy=load_policy(None),
    )
