"""What a collection knows of its attrs class: the fields, the key, and how records are stored.

A record is stored as a plain dict of its fields, so that it can be read without its class.
`classes` converts a record to this dict and back. `stones.collections.keys` converts its key to
bytes.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from types import GenericAlias
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_args, get_origin
from uuid import UUID

import attrs
from attrs import field, frozen

from stones.collections.keys import KeyCodec, key_codec
from stones.errors import CollectionError, RecordError
from stones.formats.messages import show

from .annotations import field_types
from .classes import Schema
from .conversion import Conversion, MisfitError
from .reading_rules import ReadingRules, Unknown
from .stored_forms import comparable

__all__ = ["RecordType", "key", "record_type"]

R = TypeVar("R")

_KEY = "stones.key"

if TYPE_CHECKING:
    # To type checkers, key() is attrs.field. A checker takes a call for a field without a default
    # only if attrs lists the function by its full name (PEP 681). mypy and pyright follow this
    # import.
    from attrs import field as key
else:

    def key(**options: Any) -> Any:
        """A field of an attrs class that is the primary key, or one part of it.

        >>> from attrs import define, validators
        >>> from stones import Collection, MemoryStore, key
        >>> @define
        ... class User:
        ...     email: str = key()
        ...     name: str
        >>> users = Collection(MemoryStore(), User)
        >>> users.add(User('ada@example.org', 'Ada'))
        'ada@example.org'
        >>> users['ada@example.org'].name
        'Ada'

        Several key fields make a tuple, in their order:

        >>> @define
        ... class Visit:
        ...     city: str = key()
        ...     day: int = key(validator=validators.ge(1))
        >>> visits = Collection(MemoryStore(), Visit)
        >>> visits.add(Visit('Paris', 7))
        ('Paris', 7)

        The type of the field is int, str, bytes, UUID, date, datetime, or a tuple of these with a
        fixed length. The function takes the options of `attrs.field`, with the same meaning. To a
        type checker it is `attrs.field`, so the arguments of `User(...)` are checked.
        """
        metadata = {**(options.pop("metadata", None) or {}), _KEY: True}
        return attrs.field(metadata=metadata, **options)

    # help() shows the options by name. The signature is taken from the installed attrs, because
    # its versions differ in the options and in the defaults.
    key.__signature__ = inspect.signature(attrs.field)


@frozen
class RecordType(Generic[R]):
    """An attrs class as a collection sees it. Made by `record_type`.

    >>> from attrs import define
    >>> @define
    ... class User:
    ...     email: str = key()
    ...     age: int | None = None
    >>> users = record_type(User)
    >>> users.name, users.fields, users.key_fields, users.key_codec.name
    ('User', ('email', 'age'), ('email',), 'str')
    >>> users.dump(User('ada@example.org', 36))
    {'email': 'ada@example.org', 'age': 36}
    >>> users.load({'email': 'ada@example.org'})
    User(email='ada@example.org', age=None)
    >>> users.dump(User('ada@example.org', '36'))
    Traceback (most recent call last):
        ...
    stones.errors.RecordError: age: expected int, got str '36'
    """

    cls: type[R]
    name: str
    """The name of the class."""
    fields: tuple[str, ...]
    """The names of the fields in the stored dict. The constructor takes these names."""
    key_fields: tuple[str, ...]
    """The names of the fields that are the primary key. Empty if keys are generated."""
    key_codec: KeyCodec[Any]
    """How keys are written as bytes. The codec of UUID if keys are generated."""
    _annotation: Any = field(repr=False)
    _schema: Schema = field(repr=False)
    rules: ReadingRules = field(repr=False)
    """What becomes of stored dicts with other fields. The collection fills in kept defaults."""
    key_of: Callable[[R], Any] = field(repr=False)
    """The primary key of a record: a tuple for several key fields, None for no key field."""

    @property
    def description_name(self) -> str:
        """What the description of a collection calls the class."""
        return self.cls.__qualname__

    def for_new_dicts(self, unknown: Unknown = "error") -> "RecordType[R]":
        """The same class, for dicts that were never stored: no field is older."""
        return record_type(self._annotation, unknown)

    @property
    def schema(self) -> Schema:
        """The fields of the class, with the classes inside."""
        return self._schema

    def dump(self, record: R) -> dict[str, Any]:
        """The stored dict of a record. All values in it are plain.

        Raises RecordError, with the path to the field, for a value that does not fit its
        annotation: `address.zip: expected str, got int 5`. A value fits if it is an instance of the
        type. So a bool fits int, and an IntEnum fits int; an int also fits float. The plain value
        is stored.
        """
        try:
            stored: dict[str, Any] = self._schema.functions.dump(record)
        except MisfitError as error:
            raise RecordError(str(error)) from error.__cause__
        except RecursionError as error:
            raise RecordError(f"{self.name} is nested too deeply, or contains itself") from error
        return stored

    def load(self, value: Any) -> R:
        """The record of a stored dict, made by the constructor of the class.

        A missing field gets its default. Raises RecordError, with the path to the field:

        - for a missing field without a default, and for a name that no field has;
        - for a value that does not fit its annotation;
        - for a value that a converter or a validator of the class refuses.
        """
        try:
            record: R = self._schema.functions.load(value)
        except MisfitError as error:
            raise RecordError(str(error)) from error.__cause__
        return record

    @property
    def conversion(self) -> Conversion:
        """The conversion of a record, with the conversions of its fields."""
        return self._schema.conversion

    def stored_values(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values that equal what a stored record has if the class is made with these values.

        A value passes the converter of its field, as in the constructor, unless the converter needs
        the record. Raises RecordError, as `dump` does, for a value that does not fit its
        annotation, or that the converter refuses; and for a name that no field has.

        >>> from attrs import define, field
        >>> @define
        ... class User:
        ...     email: str = field(converter=str.lower)
        ...     tags: set[str]
        >>> record_type(User).stored_values({'email': 'Ada@Example.org'})
        {'email': 'ada@example.org'}
        >>> record_type(User).stored_values({'tags': {5}})
        Traceback (most recent call last):
            ...
        stones.errors.RecordError: tags: expected str, got int 5
        """
        self.check_fields(values)
        fields = self._schema.given
        stored, name = {}, ""
        try:
            for name, value in values.items():
                if type(value) is fields[name].exact_type:
                    stored[name] = value
                else:
                    stored[name] = comparable(fields[name], fields[name].dump(value))
        except MisfitError as error:
            raise RecordError(str(error.within(f".{name}"))) from error.__cause__
        except RecursionError as error:
            raise RecordError(f"{name} is nested too deeply, or contains itself") from error
        return stored

    def check_fields(self, names: Iterable[str]) -> None:
        """Raise RecordError for a name that no field has."""
        try:
            self._schema.check_names(names)
        except MisfitError as error:
            raise RecordError(str(error)) from None

    def evolve(self, record: R, changes: Mapping[str, Any]) -> R:
        """A copy of a record with some fields changed, made by the constructor of the class.

        A field that the constructor does not take (`init=False`) keeps its value, if it was
        changed after the record was made. Otherwise the constructor computes it anew. Raises
        RecordError for a name that no field has, and for a value that a converter or a validator of
        the class refuses. `dump` checks whether the values fit their annotations.
        """
        try:
            changed: R = self._schema.evolve(record, changes)
        except MisfitError as error:
            raise RecordError(str(error)) from error.__cause__
        return changed


def record_type(cls: type[R], unknown: Unknown = "error") -> RecordType[R]:
    """How the records of an attrs class are stored. A generic class may have arguments: `Box[int]`.

    `unknown` tells what becomes of a field in a stored dict that the class does not know.

    >>> from attrs import define
    >>> @define
    ... class Point:
    ...     x: int
    ...     y: complex
    >>> record_type(Point)
    Traceback (most recent call last):
        ...
    stones.errors.CollectionError: Point.y: complex cannot be stored: fields hold None, bool, ...

    Raises CollectionError for a class that attrs did not make, and for a field or a key of a type
    that cannot be stored. So these errors show before the first record is written.
    """
    from .converters import ConversionBuilder, why_not_attrs  # only a class needs them

    origin = get_origin(cls) or cls
    if (reason := why_not_attrs(origin)) is not None:
        raise CollectionError(f"{show(origin)} cannot be the class of a collection: {reason}")
    if unknown not in get_args(Unknown):
        raise CollectionError(f"unknown= is 'error', 'keep' or 'drop', not {show(unknown)}")
    rules = ReadingRules(unknown)
    schema = ConversionBuilder(rules).schema(cls)
    keys = [
        (field, annotation)
        for field, annotation in field_types(origin, get_args(cls))
        if _KEY in field.metadata
    ]
    attributes = [field.name for field, _ in keys]
    return RecordType(
        cls=origin,
        name=origin.__name__,
        fields=tuple(schema.fields),
        key_fields=tuple(x.name for x in schema.fields.values() if x.attribute in attributes),
        key_codec=_codec_of_keys(origin, [annotation for _, annotation in keys]),
        annotation=cls,
        schema=schema,
        rules=rules,
        key_of=attrgetter(*attributes) if attributes else _no_key,
    )


def _no_key(_: object) -> None:
    """The key of a record of a class without key fields."""


def _codec_of_keys(cls: type, annotations: list[Any]) -> KeyCodec[Any]:
    if not annotations:
        return key_codec(UUID)
    try:
        if len(annotations) == 1:
            return key_codec(annotations[0])
        return key_codec(GenericAlias(tuple, tuple(annotations)))
    except CollectionError as error:
        raise CollectionError(f"{cls.__name__}: {error}") from error
