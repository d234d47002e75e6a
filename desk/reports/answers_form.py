"""The form of answers: from what a browser sends to answers, and back."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import ValidationError

from desk.errors import AnswersRefusedError
from desk.reports.answer_fields import (
    ADDRESSES,
    MOST_ADDRESSES,
    SECTIONS,
    AnswerField,
    FieldKind,
    fields_of_row,
)
from worker.drafts.answers import ReportAnswers

_FLAGS: Final[Mapping[str, bool]] = {"yes": True, "no": False}
_OPEN_ROWS: Final = 2
"""Empty rows of addresses that are offered below those that are filled in."""


def answers_of(form: Mapping[str, str]) -> ReportAnswers:
    """Parses a form; empty fields are left out.

    Raises:
        AnswersRefusedError: with the names of all fields that cannot be read.
    """
    given: dict[str, Any] = {}
    for field in _fields():
        value = _value(field, form)
        if value is not None:
            _put(given, field.name, value)
    rows = [
        (number, {_last(field): value for field in fields_of_row(number) if (value := _value(field, form)) is not None})
        for number in range(MOST_ADDRESSES)
    ]
    filled = [(number, row) for number, row in rows if row]
    if filled:
        _put(given, ADDRESSES, [row for _, row in filled])
    try:
        return ReportAnswers.model_validate(given)
    except ValidationError as error:
        numbers = [number for number, _ in filled]
        raise AnswersRefusedError(_field_of(one["loc"], numbers) for one in error.errors()) from None


def form_of(answers: ReportAnswers) -> dict[str, str]:
    """The form that has these answers."""
    data = answers.model_dump(mode="json")
    form: dict[str, str] = {}
    for field in _fields():
        form |= _texts(field, _get(data, field.name))
    for number, row in enumerate(_get(data, ADDRESSES)[:MOST_ADDRESSES]):
        for field in fields_of_row(number):
            form |= _texts(field, row[_last(field)])
    return form


def open_rows(form: Mapping[str, str]) -> int:
    """The number of rows of addresses that a page shows."""
    filled = [number for number in range(MOST_ADDRESSES) if any(form.get(one.name) for one in fields_of_row(number))]
    return min(MOST_ADDRESSES, max(filled, default=-1) + 1 + _OPEN_ROWS)


def _fields() -> Iterator[AnswerField]:
    return (field for _, fields in SECTIONS for field in fields)


def _value(field: AnswerField, form: Mapping[str, str]) -> Any:
    """The value of a field; None: it is empty."""
    if field.kind is FieldKind.CHOICES:
        return [one for one in field.choices if form.get(f"{field.name}.{one}")] or None
    text = form.get(field.name, "").replace("\r\n", "\n").strip()
    if not text:
        return None
    match field.kind:
        case FieldKind.FLAG:
            return _FLAGS.get(text, text)
        case FieldKind.LINES:
            return [line for one in text.split("\n") if (line := one.strip())]
        case _:
            # A port is a number, and every other text stays one: an account's 007 keeps its zeros.
            return int(text) if _last(field) == "port" and text.isascii() and text.isdecimal() else text


def _texts(field: AnswerField, value: Any) -> dict[str, str]:
    match field.kind:
        case FieldKind.CHOICES:
            return {f"{field.name}.{one}": "on" for one in value}
        case FieldKind.FLAG:
            return {} if value is None else {field.name: "yes" if value else "no"}
        case FieldKind.LINES:
            return {field.name: "\n".join(value)} if value else {}
        case _:
            return {} if value in (None, "") else {field.name: str(value)}


def _field_of(place: tuple[int | str, ...], rows: list[int]) -> str:
    """The name of the field of a mistake; rows of addresses that were left empty count in names."""
    names = [str(one) for one in place]
    if ".".join(names[:2]) == ADDRESSES and len(place) > 2 and isinstance(place[2], int):
        return ".".join([ADDRESSES, str(rows[place[2]]), *names[3:4]])
    known = {field.name for field in _fields()}
    return next((name for end in (3, 2, 1) if (name := ".".join(names[:end])) in known), ".".join(names[:1]))


def _last(field: AnswerField) -> str:
    return field.name.rpartition(".")[2]


def _put(given: dict[str, Any], name: str, value: Any) -> None:
    part, _, rest = name.partition(".")
    if rest:
        given.setdefault(part, {})[rest] = value
    else:
        given[part] = value


def _get(data: Mapping[str, Any], name: str) -> Any:
    part, _, rest = name.partition(".")
    return _get(data[part], rest) if rest else data[part]
