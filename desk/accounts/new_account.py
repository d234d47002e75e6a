"""An account before it is written: what takes time is done before the transaction, which others wait for."""

from dataclasses import dataclass

from desk.accounts import passwords, proofs
from worker.people.actor import folded


@dataclass(frozen=True, kw_only=True)
class NewAccount:
    """A person's row in the desk's database, and the proof of their first session."""

    name: str
    password_hash: str
    salt: bytes
    sealed_proof: bytes
    proof: str

    @classmethod
    def of(cls, name: str, password: str, proof: str) -> "NewAccount":
        """Hashes the password, and derives the key that seals the proof: two slow hashes, which may have to wait for
        those of others."""
        salt = passwords.new_salt()
        return cls(
            name=name,
            password_hash=passwords.hash_password(password),
            salt=salt,
            sealed_proof=proofs.seal_proof(proof, passwords.key_of_password(password, salt), folded(name)),
            proof=proof,
        )
