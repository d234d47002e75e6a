"""Tokens of people, and what Redis keeps of them."""

import re

from hypothesis import given
from hypothesis import strategies as st

from worker.people.tokens import is_token, new_token, proof_of, proof_sha1, token_sha256


def test_a_token_has_256_random_bits_and_a_mark() -> None:
    """A token could be guessed, or would not be found by a scanner of repositories."""
    made = {new_token() for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch(r"lwt_[A-Za-z0-9_-]{43}", token) for token in made)


def test_what_redis_keeps_is_neither_the_token_nor_its_proof() -> None:
    """A reader of Redis, or of its backups, could act as any person."""
    token = new_token()
    kept = {token_sha256(token), proof_sha1(proof_of(token))}
    assert not kept & {token, proof_of(token)}
    assert proof_of(token) != token_sha256(token)
    assert not is_token(token_sha256(token), token_sha256(token))


@given(st.text(), st.text())
def test_only_the_token_fits_its_digest(token: str, other: str) -> None:
    """Another text would be accepted, or a strange one end in a traceback."""
    try:
        assert is_token(token, token_sha256(token))
        assert is_token(other, token_sha256(token)) is (other == token)
        is_token(token, other)
    except UnicodeEncodeError:
        raise AssertionError("a text that is no UTF-8") from None
