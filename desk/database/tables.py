"""Tables of the desk's database: accounts, sessions, failures to sign in, the first-start link, personal settings,
exposure of today, grants of clear views.

People, roles, incidents and decisions are in Redis; losing this database loses none of them. Times are in
milliseconds since 1970, of the clock of the host that wrote them.
"""

from typing import Final

from sqlalchemy import BigInteger, Index, LargeBinary, MetaData, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from worker.people.actor import MAX_NAME_LENGTH

DIGEST: Final = 64
"""Characters of a SHA-256 in hex."""
FOLDED: Final = 3 * MAX_NAME_LENGTH
"""Characters of a folded name: folding makes up to three of one."""
CASE_ID: Final = 128
"""Characters of a case's id, >=."""


class DeskTable(DeclarativeBase):
    """The base of all tables; its names of indices are the same in each database."""

    metadata = MetaData(
        naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "pk": "pk_%(table_name)s"},
    )


class AccountRow(DeskTable):
    """A person of the roster who can sign in."""

    __tablename__ = "accounts"
    folded: Mapped[str] = mapped_column(String(FOLDED), primary_key=True)
    """The person's name as `worker.people.actor.folded` has it."""
    name: Mapped[str] = mapped_column(String(MAX_NAME_LENGTH))
    password_hash: Mapped[str] = mapped_column(String(255))
    """In PHC form; empty: the person signs in through the proxy only."""
    salt: Mapped[bytes] = mapped_column(LargeBinary(16))
    """Salt of the key that seals the proof, which is derived from the password too."""
    sealed_proof: Mapped[bytes] = mapped_column(LargeBinary(256))
    created_ms: Mapped[int] = mapped_column(BigInteger)


class SessionRow(DeskTable):
    """A token of a signed-in browser. A rotation adds a row of the same family."""

    __tablename__ = "sessions"
    digest: Mapped[str] = mapped_column(String(DIGEST), primary_key=True)
    """SHA-256 of the token, which only the cookie has."""
    family: Mapped[str] = mapped_column(String(32), index=True)
    account: Mapped[str] = mapped_column(String(FOLDED), index=True)
    csrf: Mapped[str] = mapped_column(String(64))
    sealed_proof: Mapped[bytes] = mapped_column(LargeBinary(256))
    """Sealed under a key derived from the token."""
    signed_in_ms: Mapped[int] = mapped_column(BigInteger)
    made_ms: Mapped[int] = mapped_column(BigInteger)
    seen_ms: Mapped[int] = mapped_column(BigInteger, index=True)
    replaced_ms: Mapped[int] = mapped_column(BigInteger, default=0)
    """0: it is the newest of its family."""


class FailureRow(DeskTable):
    """Failures to sign in, of a name or from an address."""

    __tablename__ = "sign_in_failures"
    digest: Mapped[str] = mapped_column(String(DIGEST), primary_key=True)
    """SHA-256 of the name or address: what people type into the field of a name may be a password."""
    failures: Mapped[int] = mapped_column(BigInteger)
    last_ms: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (Index(None, "last_ms"),)


class SetupLinkRow(DeskTable):
    """The one-time link of the first start."""

    __tablename__ = "setup_links"
    digest: Mapped[str] = mapped_column(String(DIGEST), primary_key=True)
    made_ms: Mapped[int] = mapped_column(BigInteger)


class PreferencesRow(DeskTable):
    """Personal settings, as one JSON object."""

    __tablename__ = "preferences"
    account: Mapped[str] = mapped_column(String(FOLDED), primary_key=True)
    values: Mapped[str] = mapped_column(Text)


class ExposureRow(DeskTable):
    """Exposure of one person today, for that person alone, and since when they work without a rest."""

    __tablename__ = "exposure"
    account: Mapped[str] = mapped_column(String(FOLDED), primary_key=True)
    day: Mapped[str] = mapped_column(String(10))
    """Day of the figures, in UTC: `2026-11-27`. On another day all of them are 0."""
    clear_views: Mapped[int] = mapped_column(BigInteger, default=0)
    clear_ms: Mapped[int] = mapped_column(BigInteger, default=0)
    reduced_views: Mapped[int] = mapped_column(BigInteger, default=0)
    desk_ms: Mapped[int] = mapped_column(BigInteger, default=0)
    began_ms: Mapped[int] = mapped_column(BigInteger)
    """Beginning of the work without a rest."""
    seen_ms: Mapped[int] = mapped_column(BigInteger, index=True)
    clear_until_ms: Mapped[int] = mapped_column(BigInteger, default=0)
    """End of the clear view that is counted last; an earlier end takes the rest back."""
    last_ref: Mapped[str] = mapped_column(String(32), default="")
    """Picture that was opened last: a double click counts once."""
    last_ref_ms: Mapped[int] = mapped_column(BigInteger, default=0)


class ClearGrantRow(DeskTable):
    """A clear view that a person asked for, with a reason, and has not had yet."""

    __tablename__ = "clear_grants"
    digest: Mapped[str] = mapped_column(String(DIGEST), primary_key=True)
    """SHA-256 of the ticket, which only the person's page has."""
    account: Mapped[str] = mapped_column(String(FOLDED), index=True)
    ref: Mapped[str] = mapped_column(String(32))
    reason: Mapped[str] = mapped_column(Text)
    made_ms: Mapped[int] = mapped_column(BigInteger, index=True)


class ReportAnswersRow(DeskTable):
    """Answers that people gave for reports of a case, as one JSON object: they have personal data of an account."""

    __tablename__ = "report_answers"
    case_id: Mapped[str] = mapped_column(String(CASE_ID), primary_key=True)
    values: Mapped[str] = mapped_column(Text)
    by: Mapped[str] = mapped_column(String(MAX_NAME_LENGTH))
    changed_ms: Mapped[int] = mapped_column(BigInteger, index=True)
    version: Mapped[int] = mapped_column(BigInteger)
