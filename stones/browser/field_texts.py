"""The fields of a record as texts of a form, and back, so that nothing changes that nobody typed.

A value is shown as a cell of CSV has it, if that text means exactly this value for its field.
Otherwise it is shown as the JSON of stones, which tells a tuple from a list. A value for which
neither is exact stays as it is: only a program can change it.
"""

from collections.abc import Mapping
from hashlib import sha256
from json import dumps
from typing import Any

from attrs import evolve, frozen

from stones.collections.without_class.field_values import FieldValues
from stones.errors import RecordError, SerializerError, StoneError
from stones.formats.any_digits import any_digits
from stones.formats.messages import show
from stones.formats.serializers import serializer
from stones.formats.typed_json import parse_typed_json
from stones.migrations.exporting.csv_rows import cell_text

TEXT, JSON = "text", "json"
"""The notations of a field in a form. The name of an input begins with one: `text:age`."""
ANY = ("Any",)
"""The types of a field that may hold any value."""
LONGEST = 100_000
"""A longer text is not shown in a form."""


@frozen
class FieldText:
    """A field of a form."""

    name: str
    types: tuple[str, ...]
    """The names of the types that the field may have."""
    text: str
    notation: str | None = TEXT
    """None for a value that cannot be typed: then the text is empty."""
    is_key: bool = False
    """Whether the field is, or is a part of, the key of the record."""
    stored: str = ""
    """The text of the stored value: `text` may be what somebody typed since."""

    @property
    def input_name(self) -> str:
        """The name of its input in the form."""
        return f"{self.notation}:{self.name}"

    @property
    def digest(self) -> str:
        """What a form remembers of the stored value."""
        return digest_of(self.stored)

    @property
    def rows(self) -> int:
        """How many lines its input has."""
        return min(20, max(1, self.text.count("\n") + 1, len(self.text) // 60))


def field_texts(values: FieldValues, record: Mapping[str, Any]) -> list[FieldText]:
    """The fields of a form that shows a record. A field that the record lacks is empty."""
    return [
        _shown(values, name, record[name]) if name in record else _empty(values, name)
        for name in values.names
    ]


def empty_texts(values: FieldValues, *, has_class: bool) -> list[FieldText]:
    """The fields of a form for a new record. A field of any type is typed as JSON.

    Without a class a record must have each field. So such a field begins as null.
    """
    fields = [_empty(values, name) for name in values.names]
    if has_class:
        return fields
    return [evolve(field, text="null") if field.notation == JSON else field for field in fields]


def given_texts(form: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """What somebody typed, by the names of the fields: the notation and the text."""
    found = {}
    for input_name, text in form.items():
        notation, colon, name = input_name.partition(":")
        if colon and notation in (TEXT, JSON):
            found[name] = notation, lines_of(text)
    return found


def changed_values(
    values: FieldValues, shown: list[FieldText], given: Mapping[str, tuple[str, str]]
) -> dict[str, Any]:
    """The values of the fields whose text was changed.

    Raises RecordError for a field that the form did not have, and for text that is no JSON.
    """
    by_name = {field.name: field for field in shown}
    changed = {}
    for name, (notation, text) in given.items():
        field = by_name.get(name)
        is_same = field is not None and field.notation == notation and lines_of(field.text) == text
        if not is_same:
            changed[name] = value_of(values, name, notation, text)
    return changed


def value_of(values: FieldValues, name: str, notation: str, text: str) -> Any:
    """The value that a text of a form means. Raises RecordError."""
    if notation == TEXT:
        return values.from_text(name, text)
    try:
        return json_value(text)
    except RecordError as error:
        raise RecordError(f"{name}: {error}") from error


def json_value(text: str) -> Any:
    """The value that a text in the JSON of stones means. Raises RecordError."""
    try:
        return parse_typed_json(text.encode("utf-8", "surrogatepass"))
    except SerializerError as error:
        raise RecordError(f"{show(text)} is not the JSON of stones: {error}") from error


def new_values(values: FieldValues, given: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """The dict of a new record. An empty text that means no value of its field is left out."""
    found = {}
    for name, (notation, text) in given.items():
        if notation == JSON and not text:
            continue
        value = value_of(values, name, notation, text)
        if text or type(value) is not str or "str" in values.types(name):
            found[name] = value
    return found


def digest_of(text: str) -> str:
    """A short hash of a text, whatever its ends of lines are."""
    return sha256(lines_of(text).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def lines_of(text: str) -> str:
    r"""A text as a browser gives it back, with its ends of lines as `\n`."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def value_text(value: Any) -> tuple[str, str] | None:
    """How a value is typed that is in no field: a str as it is, another one as JSON.

    Gives the notation and the text. None for a value that cannot be typed.
    """
    if type(value) is str and _is_kept_whole(value):
        return TEXT, value
    try:
        text = _json_text(value)
        is_exact = _is_kept_whole(text) and _is_same(json_value(text), value)
    except (StoneError, ValueError, TypeError, RecursionError):
        return None  # it has no such text
    return (JSON, text) if is_exact else None


def _shown(values: FieldValues, name: str, value: Any) -> FieldText:
    for notation, text_of in ((TEXT, cell_text), (JSON, _json_text)):
        if value == "" and notation == TEXT and "str" not in values.types(name):
            continue  # an empty text means that nothing was typed
        try:
            text = text_of(value)
            if _is_kept_whole(text):
                found = value_of(values, name, notation, lines_of(text))
                if _is_same(found, value):
                    return _field(values, name, text, notation)
        except (StoneError, ValueError, TypeError, RecursionError):
            continue  # it has no such text
    return _field(values, name, "", None)


def _empty(values: FieldValues, name: str) -> FieldText:
    return _field(values, name, "", JSON if values.types(name) == ANY else TEXT)


def _field(values: FieldValues, name: str, text: str, notation: str | None) -> FieldText:
    return FieldText(name, values.types(name), text, notation, name in values.key_names, text)


def _is_kept_whole(text: str) -> bool:
    """Whether a form shows a text, and a browser gives it back as it is."""
    return len(text) <= LONGEST and all(map(_is_kept, text))


def _is_kept(character: str) -> bool:
    return character.isprintable() or character in "\n\t"


def _is_same(left: Any, right: Any) -> bool:
    # Not by ==, for which 1 is 1.0 and True, in lists too.
    with any_digits():
        return type(left) is type(right) and _form(left) == _form(right)


def _form(value: Any) -> str:
    """As `repr`, but equal sets have one form: `repr` has their items in any order."""
    kind = type(value)
    if kind is set or kind is frozenset:
        return f"{kind.__name__}({', '.join(sorted(map(_form, value)))})"
    if kind is list or kind is tuple:
        return f"{kind.__name__}({', '.join(map(_form, value))})"
    if kind is dict:
        pairs = (f"{_form(key)}: {_form(each)}" for key, each in value.items())
        return f"dict({', '.join(pairs)})"
    return repr(value)


def _json_text(value: Any) -> str:
    text = serializer("json").encode(value).decode()
    # Only strings of JSON have such characters.
    return "".join(each if _is_kept(each) else dumps(each)[1:-1] for each in text)
