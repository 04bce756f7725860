"""Records: an attrs class, and how its instances are stored.

A record is stored as a plain dict of its fields, so that it can be read without its class. How the
fields are converted is told in `stones.collections.records.converters`, the keys in
`stones.collections.keys`.
"""

from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from types import GenericAlias
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_args, get_origin
from uuid import UUID

import attrs
from attrs import field, frozen

from stones.collections.keys import KeyCodec, key_codec
from stones.errors import CollectionError, RecordError

from .annotations import field_types
from .classes import Shape
from .converters import Conversions, not_attrs
from .plain_values import MisfitError

__all__ = ["RecordType", "key", "record_type"]

R = TypeVar("R")

_KEY = "stones.key"

if TYPE_CHECKING:
    # Type checkers take a call for a field without a default only if it is one of the specifiers
    # that attrs lists (PEP 681), by its full name. mypy and pyright see through this import.
    from attrs import field as key
else:

    def key(**kwargs: Any) -> Any:
        """A field of an attrs class that is the primary key: `email: str = key()`.

        Several of them make a tuple, in their order. Takes what `attrs.field` takes, and to type
        checkers is `attrs.field`, so that they check `User('ada@example.org', 'Ada')`.
        """
        metadata = {**(kwargs.pop("metadata", None) or {}), _KEY: True}
        return attrs.field(metadata=metadata, **kwargs)


@frozen
class RecordType(Generic[R]):
    """An attrs class as a collection sees it; made by `record_type`."""

    cls: type[R]
    name: str
    """That of the class."""
    fields: tuple[str, ...]
    """The names of the fields, as in the stored dict: those that the constructor takes."""
    key_fields: tuple[str, ...]
    """Those that are the primary key; none if keys are generated."""
    key_codec: KeyCodec[Any]
    """How the keys are written: of UUID if they are generated."""
    _shape: Shape = field(repr=False)
    _dump: Callable[[R], dict[str, Any]] = field(repr=False)
    _load: Callable[[Any], R] = field(repr=False)
    _key: Callable[[R], Any] | None = field(repr=False)

    def dump(self, record: R) -> dict[str, Any]:
        """The stored dict of a record, all plain values.

        Raises RecordError, with the path to the field, for a value that does not fit its
        annotation: `address.zip: expected str, got int 5`. Fitting is being an instance: a
        bool fits int, an int fits float, an IntEnum fits int; what is stored is the plain value.
        """
        try:
            return self._dump(record)
        except MisfitError as error:
            raise RecordError(str(error)) from error.__cause__
        except RecursionError as error:
            raise RecordError(f"{self.name} is nested too deeply, or contains itself") from error

    def load(self, value: Any) -> R:
        """The record of a stored dict, made by the constructor of the class.

        A field that is missing takes its default. Raises RecordError, with the path to the field,
        for a field without one, a field that the class does not have, a value that does not fit
        the annotation, or that a converter or a validator of the class refuses.
        """
        try:
            return self._load(value)
        except MisfitError as error:
            raise RecordError(str(error)) from error.__cause__

    def key_of(self, record: R) -> Any | None:
        """The primary key of a record, a tuple if it has several parts; None if it has none."""
        return None if self._key is None else self._key(record)

    def check_fields(self, names: Iterable[str]) -> None:
        """Raise RecordError for a name that is not that of a field."""
        try:
            self._shape.check_names(names)
        except MisfitError as error:
            raise RecordError(str(error)) from None

    def evolve(self, record: R, changes: Mapping[str, Any]) -> R:
        """Another record, with some fields changed, made by the constructor of the class.

        Fields that the constructor does not take (`init=False`) are kept, unless they follow from
        the others. Raises RecordError for a field that there is not, or a value that a converter
        or a validator of the class refuses; whether it fits the annotation is seen by `dump`.
        """
        try:
            changed: R = self._shape.evolve(record, changes)
        except MisfitError as error:
            raise RecordError(str(error)) from error.__cause__
        return changed


def record_type(cls: type[R]) -> RecordType[R]:
    """How the records of an attrs class are stored; a generic one may have arguments, `Box[int]`.

    Raises CollectionError for what is no attrs class, and for a field or a key of a type that
    cannot be stored, so that this shows before the first record is written.
    """
    origin = get_origin(cls) or cls
    if (reason := not_attrs(origin)) is not None:
        raise CollectionError(f"{origin!r:.80} cannot be the class of a collection: {reason}")
    shape = Conversions().shape(cls)
    keys = [
        (field, annotation)
        for field, annotation in field_types(origin, get_args(cls))
        if _KEY in field.metadata
    ]
    attributes = [field.name for field, _ in keys]
    return RecordType(
        cls=origin,
        name=origin.__name__,
        fields=tuple(shape.fields),
        key_fields=tuple(x.name for x in shape.fields.values() if x.attribute in attributes),
        key_codec=_key_codec(origin, [annotation for _, annotation in keys]),
        shape=shape,
        dump=shape.dump,
        load=shape.load,
        key=attrgetter(*attributes) if attributes else None,
    )


def _key_codec(cls: type, annotations: list[Any]) -> KeyCodec[Any]:
    if not annotations:
        return key_codec(UUID)
    try:
        if len(annotations) == 1:
            return key_codec(annotations[0])
        return key_codec(GenericAlias(tuple, tuple(annotations)))
    except CollectionError as error:
        raise CollectionError(f"{cls.__name__}: {error}") from error
