"""Answers that only people of the platform can give: who reports, whose account it is, which priority. In YAML, all of
it optional: the lint names what a form needs. Nothing of it is ever guessed."""

from datetime import date
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from config.documents.reading import DocumentError, read_document
from worker.errors import DraftError

MAX_FILE_BYTES: Final = 256 * 1024
"""Size of a file of answers, <=: some hundred addresses are 20 kB."""

MAX_LISTED: Final = 100
"""Entries of a list, <=."""


class IncidentType(StrEnum):
    """NCMEC's types of incidents, by the words of its schema."""

    MATERIAL = "Child Pornography (possession, manufacture, and distribution)"
    TRAFFICKING = "Child Sex Trafficking"
    TOURISM = "Child Sex Tourism"
    MOLESTATION = "Child Sexual Molestation"
    ENTICEMENT = "Online Enticement of Children for Sexual Acts"
    UNSOLICITED = "Unsolicited Obscene Material Sent to a Child"


class Keyword(StrEnum):
    """Keywords of the DSA's database within the protection of minors."""

    MATERIAL = "KEYWORD_CHILD_SEXUAL_ABUSE_MATERIAL"
    DEEPFAKE = "KEYWORD_CHILD_SEXUAL_ABUSE_MATERIAL_DEEPFAKE"
    GROOMING = "KEYWORD_GROOMING_SEXUAL_ENTICEMENT_MINORS"


def _address(text: str) -> str:
    """Returns an IP address as given; a text that is none would be refused by NCMEC once a report has its number."""
    ip_address(text)
    return text


def _text(value: Any) -> Any:
    """Returns an account's number as the text that it is: YAML reads 007 as a number, and drops its zeros, so that a
    number is refused."""
    if isinstance(value, int | float):
        raise ValueError("expected a text: put it in quotation marks")
    return value


Line = Annotated[str, BeforeValidator(_text), Field(min_length=1, max_length=255)]
Url = Annotated[str, Field(max_length=2083, pattern=r"^https?://\S+$")]
Email = Annotated[str, Field(max_length=255, pattern=r"^[^@\s]+@[^@\s]+$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ReportingPerson(_Part):
    """The person of the platform who reports, and answers questions."""

    first_name: Annotated[str, Field(max_length=100)] = ""
    last_name: Annotated[str, Field(max_length=100)] = ""
    email: Email | None = None
    platform: Annotated[str, Field(max_length=256)] = ""
    """Name of the service on which it happened."""
    terms_of_service: str = ""
    """The part of the terms that forbids it."""
    legal_url: Url | None = None


class AddressCapture(_Part):
    """An IP address from which the account was used."""

    address: Annotated[str, AfterValidator(_address)]
    event: Literal["Login", "Registration", "Purchase", "Upload", "Other", "Unknown"] | None = None
    at: AwareDatetime | None = None
    """With its zone: an address without its exact time names nobody."""
    port: Annotated[int, Field(ge=1, le=65535, strict=True)] | None = None
    """Behind a carrier's NAT hundreds share an address."""
    possible_proxy: bool | None = None


class ReportedAccount(_Part):
    """The account that broadcast."""

    id: Line | None = None
    screen_name: Annotated[str, BeforeValidator(_text), Field(max_length=256)] | None = None
    display_names: Annotated[tuple[str, ...], Field(max_length=MAX_LISTED)] = ()
    profile_urls: Annotated[tuple[Url, ...], Field(max_length=MAX_LISTED)] = ()
    first_name: Annotated[str, Field(max_length=100)] = ""
    last_name: Annotated[str, Field(max_length=100)] = ""
    emails: Annotated[tuple[Email, ...], Field(max_length=MAX_LISTED)] = ()
    phones: Annotated[
        tuple[Annotated[str, BeforeValidator(_text), Field(max_length=50)], ...], Field(max_length=MAX_LISTED)
    ] = ()
    date_of_birth: date | None = None
    addresses: Annotated[tuple[AddressCapture, ...], Field(max_length=MAX_LISTED)] = ()
    compromised: bool | None = None


class DsaRestrictions(_Part):
    """The restrictions that the platform imposed, for the statement of reasons."""

    visibility: tuple[
        Literal[
            "DECISION_VISIBILITY_CONTENT_REMOVED",
            "DECISION_VISIBILITY_CONTENT_DISABLED",
            "DECISION_VISIBILITY_CONTENT_DEMOTED",
            "DECISION_VISIBILITY_CONTENT_AGE_RESTRICTED",
            "DECISION_VISIBILITY_CONTENT_INTERACTION_RESTRICTED",
            "DECISION_VISIBILITY_CONTENT_LABELLED",
        ],
        ...,
    ] = ()
    provision: (
        Literal[
            "DECISION_PROVISION_PARTIAL_SUSPENSION",
            "DECISION_PROVISION_TOTAL_SUSPENSION",
            "DECISION_PROVISION_PARTIAL_TERMINATION",
            "DECISION_PROVISION_TOTAL_TERMINATION",
        ]
        | None
    ) = None
    account: Literal["DECISION_ACCOUNT_SUSPENDED", "DECISION_ACCOUNT_TERMINATED"] | None = None
    applied: date | None = None
    """Day from which on they apply."""
    ground: Literal["DECISION_GROUND_ILLEGAL_CONTENT", "DECISION_GROUND_INCOMPATIBLE_CONTENT"] | None = None
    legal_ground: Annotated[str, Field(max_length=500)] = ""
    """The law, or the clause of the terms."""
    explanation: Annotated[str, Field(max_length=2000)] = ""
    """The reason that the content falls under it."""
    keywords: tuple[Keyword, ...] = ()
    territorial_scope: tuple[Annotated[str, Field(pattern=r"^[A-Z]{2}$")], ...] = ()
    automated_decision: Literal[
        "AUTOMATED_DECISION_NOT_AUTOMATED", "AUTOMATED_DECISION_PARTIALLY", "AUTOMATED_DECISION_FULLY"
    ] = "AUTOMATED_DECISION_NOT_AUTOMATED"
    """Partially, where the policy had interrupted the stream before a person decided."""


class ReportAnswers(_Part):
    """All answers."""

    reporter: ReportingPerson = ReportingPerson()
    account: ReportedAccount = ReportedAccount()
    incident_type: IncidentType | None = None
    escalate: Annotated[str, Field(max_length=3000)] = ""
    """The reason for high priority, such as a child in danger at this moment."""
    classification: Literal["A1", "A2", "B1", "B2"] | None = None
    """Industry classification; a draft has it on pictures that a person saw clear, and on no other."""
    publicly_available: bool | None = None
    """True: everybody could watch the stream."""
    stream_urls: Annotated[tuple[Url, ...], Field(max_length=MAX_LISTED)] = ()
    description: Annotated[str, Field(max_length=10_000)] = ""
    """The events in the words of a person."""
    nca_priority: Literal["P1", "P2"] | None = None
    uk_link: Annotated[str, Field(max_length=2000)] = ""
    """The link of the case to the UK, such as the country of the account's addresses."""
    dsa: DsaRestrictions = DsaRestrictions()


def read_answers(path: Path | None) -> ReportAnswers:
    """Reads a file of answers; None: there are none yet.

    Raises:
        DraftError: naming file, field and what was expected; of several mistakes, all.
    """
    if path is None:
        return ReportAnswers()
    try:
        document = read_document(path, max_bytes=MAX_FILE_BYTES, expected="answers to a form")
    except DocumentError as error:
        raise DraftError(f"{path}: {error}") from error
    value = {} if document.value is None else document.value
    if not isinstance(value, dict):
        raise DraftError(f"{path}: expected a mapping with answers, found {document.kind}")
    try:
        return ReportAnswers.model_validate(value)
    except ValidationError as error:
        mistakes = (
            f"{'.'.join(map(str, one['loc']))}: {one['msg'].removeprefix('Value error, ')}" for one in error.errors()
        )
        raise DraftError(f"{path}: {'; '.join(mistakes)}") from None
