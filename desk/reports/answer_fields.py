"""The fields of the form of answers, in its order. Their names are those of `worker.drafts.answers`."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, get_args

from pydantic import BaseModel

from worker.drafts.answers import (
    AddressCapture,
    DsaRestrictions,
    IncidentType,
    Keyword,
    ReportAnswers,
    ReportedAccount,
)


class FieldKind(StrEnum):
    """The form of a field, and of its value."""

    LINE = "line"
    TEXT = "text"
    LINES = "lines"
    """A list, one a line."""
    CHOICE = "choice"
    """One of some, or none."""
    FLAG = "flag"
    """Yes, no, or not said."""
    CHOICES = "choices"
    """Any of some: a box each."""


@dataclass(frozen=True, kw_only=True)
class AnswerField:
    """One field."""

    name: str
    """Path in the answers, such as `reporter.email`."""
    kind: FieldKind = FieldKind.LINE
    most: int = 255
    """Characters that are taken; the models say which are valid."""
    choices: tuple[str, ...] = ()
    """The words of the form that the report goes to; they are not translated."""


MOST_ADDRESSES: Final = 8
"""Rows of IP addresses of the form; a file of answers may have more."""
ADDRESSES: Final = "account.addresses"


def _words_of(model: type[BaseModel], field: str) -> tuple[str, ...]:
    """The words that a model allows for a field."""
    return tuple(_literals(model.model_fields[field].annotation))


def _literals(annotation: Any) -> Iterator[str]:
    inner = get_args(annotation)
    if inner and all(isinstance(one, str) for one in inner):
        yield from inner
    else:
        for one in inner:
            yield from _literals(one)


_YES_NO: Final = ("yes", "no")

REPORTER: Final = (
    AnswerField(name="reporter.first_name", most=100),
    AnswerField(name="reporter.last_name", most=100),
    AnswerField(name="reporter.email"),
    AnswerField(name="reporter.platform", most=256),
    AnswerField(name="reporter.legal_url", most=2083),
    AnswerField(name="reporter.terms_of_service", kind=FieldKind.TEXT, most=5_000),
)
ACCOUNT: Final = (
    AnswerField(name="account.id"),
    AnswerField(name="account.screen_name", most=256),
    AnswerField(name="account.display_names", kind=FieldKind.LINES, most=4_000),
    AnswerField(name="account.profile_urls", kind=FieldKind.LINES, most=8_000),
    AnswerField(name="account.first_name", most=100),
    AnswerField(name="account.last_name", most=100),
    AnswerField(name="account.emails", kind=FieldKind.LINES, most=4_000),
    AnswerField(name="account.phones", kind=FieldKind.LINES, most=4_000),
    AnswerField(name="account.date_of_birth", most=10),
    AnswerField(name="account.compromised", kind=FieldKind.FLAG, choices=_YES_NO),
)
ADDRESS: Final = (
    AnswerField(name="address", most=64),
    AnswerField(name="event", kind=FieldKind.CHOICE, choices=_words_of(AddressCapture, "event")),
    AnswerField(name="at", most=40),
    AnswerField(name="port", most=5),
    AnswerField(name="possible_proxy", kind=FieldKind.FLAG, choices=_YES_NO),
)
"""Fields of one row of addresses: `account.addresses.0.address` and so on."""
EVENTS: Final = (
    AnswerField(name="description", kind=FieldKind.TEXT, most=10_000),
    AnswerField(name="stream_urls", kind=FieldKind.LINES, most=8_000),
    AnswerField(name="publicly_available", kind=FieldKind.FLAG, choices=_YES_NO),
    AnswerField(name="incident_type", kind=FieldKind.CHOICE, choices=tuple(IncidentType)),
    AnswerField(name="classification", kind=FieldKind.CHOICE, choices=_words_of(ReportAnswers, "classification")),
    AnswerField(name="escalate", kind=FieldKind.TEXT, most=3_000),
)
NCA: Final = (
    AnswerField(name="nca_priority", kind=FieldKind.CHOICE, choices=_words_of(ReportAnswers, "nca_priority")),
    AnswerField(name="uk_link", kind=FieldKind.TEXT, most=2_000),
)
DSA: Final = (
    AnswerField(name="dsa.visibility", kind=FieldKind.CHOICES, choices=_words_of(DsaRestrictions, "visibility")),
    AnswerField(name="dsa.provision", kind=FieldKind.CHOICE, choices=_words_of(DsaRestrictions, "provision")),
    AnswerField(name="dsa.account", kind=FieldKind.CHOICE, choices=_words_of(DsaRestrictions, "account")),
    AnswerField(name="dsa.applied", most=10),
    AnswerField(name="dsa.ground", kind=FieldKind.CHOICE, choices=_words_of(DsaRestrictions, "ground")),
    AnswerField(name="dsa.legal_ground", most=500),
    AnswerField(name="dsa.explanation", kind=FieldKind.TEXT, most=2_000),
    AnswerField(name="dsa.keywords", kind=FieldKind.CHOICES, choices=tuple(Keyword)),
    AnswerField(name="dsa.territorial_scope", kind=FieldKind.LINES, most=400),
    AnswerField(
        name="dsa.automated_decision", kind=FieldKind.CHOICE, choices=_words_of(DsaRestrictions, "automated_decision")
    ),
)

SECTIONS: Final = (("reporter", REPORTER), ("account", ACCOUNT), ("events", EVENTS), ("nca", NCA), ("dsa", DSA))
"""Sections of the form; addresses follow the account."""


def fields_of_row(number: int) -> tuple[AnswerField, ...]:
    """The fields of one row of addresses, from 0 on."""
    return tuple(
        AnswerField(name=f"{ADDRESSES}.{number}.{one.name}", kind=one.kind, most=one.most, choices=one.choices)
        for one in ADDRESS
    )


assert set(ReportedAccount.model_fields) == {one.name.partition(".")[2] for one in ACCOUNT} | {"addresses"}
