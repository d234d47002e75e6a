"""The form of answers: what a browser sends, and back."""

import pytest
from drafted_cases import ANSWERS, answers
from pydantic import BaseModel

from desk.errors import AnswersRefusedError
from desk.reports.answer_fields import ADDRESSES, MOST_ADDRESSES, SECTIONS, fields_of_row
from desk.reports.answers_form import answers_of, form_of, open_rows
from desk.web.forms import MOST_FIELDS
from worker.drafts.answers import ReportAnswers


def test_a_form_gives_back_what_was_saved() -> None:
    """A field would be lost each time somebody saves the page."""
    keywords = {"dsa": {**ANSWERS["dsa"], "keywords": ["KEYWORD_GROOMING_SEXUAL_ENTICEMENT_MINORS"]}}
    for given in (answers(), answers(**keywords), answers(publicly_available=False), ReportAnswers()):
        assert answers_of(form_of(given)) == given
    assert answers_of({}) == ReportAnswers()


def test_every_answer_has_a_field() -> None:
    """An answer that a file can give could not be given on the desk."""

    def names(model: type[BaseModel], prefix: str = "") -> set[str]:
        found = set()
        for name, field in model.model_fields.items():
            inner = field.annotation
            part = isinstance(inner, type) and issubclass(inner, BaseModel)
            found |= names(inner, f"{prefix}{name}.") if part else {f"{prefix}{name}"}  # type: ignore[arg-type]
        return found

    shown = {field.name for _, fields in SECTIONS for field in fields} | {ADDRESSES}
    assert shown == names(ReportAnswers)


def test_all_fields_fit_into_one_form() -> None:
    """The last answers of a long form would be refused as malformed."""
    boxes = [
        one for _, fields in SECTIONS for field in fields for one in (field.choices if field.kind == "choices" else [0])
    ]
    rows = MOST_ADDRESSES * len(fields_of_row(0))
    assert len(boxes) + rows + len(["csrf", "version"]) <= MOST_FIELDS


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("reporter.email", "nobody"),
        ("reporter.first_name", "x" * 101),
        ("account.emails", "fine@mail.example\nwrong"),
        ("account.date_of_birth", "27.11.2026"),
        ("account.compromised", "perhaps"),
        ("account.addresses.5.address", "300.1.1.1"),
        ("account.addresses.5.at", "2026-11-27T12:00:00"),
        ("account.addresses.5.port", "70000"),
        ("nca_priority", "P0"),
        ("incident_type", "<script>"),
        ("dsa.territorial_scope", "Germany"),
        ("dsa.applied", "soon"),
        ("stream_urls", "javascript:alert(1)"),
    ],
)
def test_a_mistake_names_its_field(field: str, value: str) -> None:
    """A person would search a page of eighty fields for the one that is wrong."""
    form = {"account.addresses.2.address": "192.0.2.7", "account.addresses.5.address": "192.0.2.8", field: value}
    with pytest.raises(AnswersRefusedError) as refused:
        answers_of(form)
    assert refused.value.fields == {field}


def test_numbers_of_an_account_stay_texts() -> None:
    """The account 007 would be reported as 7."""
    found = answers_of({"account.id": "007", "account.phones": "0049"})
    assert (found.account.id, found.account.phones) == ("007", ("0049",))


def test_rows_of_addresses_follow_what_is_filled_in() -> None:
    """The last address could not be seen or removed."""
    assert open_rows({}) == 2
    assert open_rows({"account.addresses.4.at": "x"}) == 7
    assert open_rows({"account.addresses.7.port": "1"}) == MOST_ADDRESSES
