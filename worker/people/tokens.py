"""Tokens of people: random, shown once, kept as digests only.

Redis has two digests of a token, and neither lets a reader of Redis act as the person:

- `token_sha256`, SHA-256 of the token, with which Python compares in constant time;
- `proof_sha1`, SHA-1 of the *proof*, which is an HMAC keyed by the token. Lua of Redis has no SHA-256: a script gets
  the proof and compares its SHA-1. Preimages of 256 random bits cannot be searched for, by either digest; collisions,
  for which SHA-1 is weak, give nobody another person's token.
"""

import hashlib
import hmac
import secrets
from typing import Final

TOKEN_BYTES: Final = 32
"""Random bytes: 256 bit, so that a digest needs no salt and no slow hash."""
MARK: Final = "lwt_"
"""Beginning of every token: scanners of repositories and logs find lost ones by it."""
_PROOF: Final = b"livewarden: proof for scripts"


def new_token() -> str:
    """A new token: 256 random bits in URL-safe Base64, after `MARK`."""
    return MARK + secrets.token_urlsafe(TOKEN_BYTES)


def token_sha256(token: str) -> str:
    """The digest by which a token is known, in hex."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).hexdigest()


def proof_of(token: str) -> str:
    """The proof that scripts get, in hex; the token cannot be derived from it."""
    return hmac.new(token.encode(errors="surrogateescape"), _PROOF, hashlib.sha256).hexdigest()


def proof_sha1(proof: str) -> str:
    """The digest by which scripts know a proof, in hex (`proven` in worker/store/lua/shared/people.lua)."""
    return hashlib.sha1(proof.encode(), usedforsecurity=False).hexdigest()


def is_token(token: str, sha256: str) -> bool:
    """Compares a token with a digest in constant time."""
    return hmac.compare_digest(token_sha256(token).encode(), sha256.encode(errors="surrogateescape"))


def is_proof(proof: str, sha1: str) -> bool:
    """Compares a proof with a digest in constant time."""
    return hmac.compare_digest(proof_sha1(proof).encode(), sha1.encode(errors="surrogateescape"))
