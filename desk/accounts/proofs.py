"""Proofs at rest: what shows Redis's scripts that a person acts (`worker.people.tokens`), sealed.

Whoever reads the desk's database can act as nobody: the key is derived from the password, and during a session from
the token that only the cookie has.
"""

import hashlib
import hmac
import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES: Final = 12
_SESSION: Final = b"livewarden desk: key of a session"
_PROXY: Final = b"livewarden desk: key of people behind the proxy"


def seal_proof(proof: str, key: bytes, folded_name: str) -> bytes:
    """The sealed proof: nonce, then AES-256-GCM, bound to the person's name."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, proof.encode(), folded_name.encode())


def open_proof(sealed: bytes, key: bytes, folded_name: str) -> str | None:
    """The proof; None: the key is another, or the bytes were altered or are another person's."""
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], folded_name.encode()).decode()
    except (InvalidTag, ValueError):
        return None


def key_of_token(token: str) -> bytes:
    """The key of a session, derived from its token; the digest that the database has does not give it."""
    return hmac.new(token.encode(), _SESSION, hashlib.sha256).digest()


def key_of_desk(secret: str, folded_name: str) -> bytes:
    """The key of a person who signs in through the proxy, derived from the desk's secret."""
    return hmac.new(secret.encode(), _PROXY + folded_name.encode(), hashlib.sha256).digest()
