"""Conversion: how the values of one annotation are stored, and read.

A conversion is a pair of functions, `dump` and `load`. `converters` builds it once for each
annotation, from the conversions of its parts.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from attrs import define, frozen

from stones.formats.messages import show_value

from .parts import Part

Convert = Callable[[Any], Any]


class MisfitError(Exception):
    """A value does not fit its annotation. `path` leads to the value inside the record.

    `stones.collections.records.record_type` turns it into a RecordError for the user.
    """

    def __init__(self, reason: str, path: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = path

    def within(self, step: str) -> "MisfitError":
        """This error, with a step put before its path: `.city`, `[2]`, `['a']`."""
        self.path = step + self.path
        return self

    def __str__(self) -> str:
        return f"{self.path.removeprefix('.')}: {self.reason}" if self.path else self.reason


@define(eq=False, repr=False)  # which takes less than half the time to make
class ClassFunctions:
    """The two functions that convert a class. The first use of each replaces it by a faster one.

    So each call looks the function up here. Whoever keeps the function itself keeps the slow one.
    """

    dump: Convert
    """From an instance to its dict. Raises MisfitError."""
    load: Convert
    """From the dict of an instance to the instance. Raises MisfitError."""


@frozen
class Copied:
    """Containers that are stored as a copy: all their items are stored as they are.

    A container is one of these if its type is exactly `kind`, and if the types of its items, and of
    its keys if it is a dict, are exactly among these.
    """

    kind: type
    item_types: Sequence[type]
    key_types: Sequence[type] = ()


@frozen(eq=False, repr=False)  # which takes less than half the time to make
class Conversion:
    """How the values of one annotation are stored, and read."""

    name: str
    """The annotation, for messages."""
    dump: Convert
    """From a value to its stored value. Raises MisfitError if the value does not fit."""
    load: Convert
    """From a stored value to its value. Raises MisfitError if the stored value does not fit."""
    value_types: tuple[type, ...]
    """Every value is an instance of one of these."""
    stored_as: Collection[Any]
    """The types of the stored values. A pair (type, value) stands for one stored value only.

    `object` stands for every type.
    """
    exact_types: Sequence[type] = ()
    """A value of exactly one of these types is stored as it is, and read as it is.

    So no call of `dump` or `load` is needed. The usual type of a value comes first.
    """
    native: bool = False
    """Whether every stored value equals its value. A union may mix such conversions freely."""
    hashable: bool = False
    """Whether every stored value can be in a set."""
    members: Sequence["Conversion"] = ()
    """The conversions of a union. An alias that contains itself has one member."""
    fields: Mapping[str, "Conversion"] | None = None
    """Of a class: the conversions of its fields, by their names in the stored dict."""
    items: Sequence["Conversion"] = ()
    """Of a container or a dict: the conversion of the items, or one for each element."""
    key: "Conversion | None" = None
    """Of a dict: the conversion of the keys. None if it is stored as a list."""
    has_forms: bool = False
    """Whether stored values that are not equal may be read as the same value."""
    part: Part | None = None
    """Where the dicts of attrs classes lie in a stored value. None if they lie nowhere."""
    copied: Copied | None = None
    """The values for which no call of `dump` or `load` is needed, since a copy is the same."""
    of_class: ClassFunctions | None = None
    """What converts all values but those of the `exact_types`. None if they are of no class."""

    @property
    def stored_types(self) -> set[type]:
        """The types of the stored values."""
        return {form[0] if isinstance(form, tuple) else form for form in self.stored_as}

    @property
    def exact_type(self) -> type | None:
        """The first of the `exact_types`, for what tests a value against one type only."""
        return self.exact_types[0] if self.exact_types else None


def misfit_error(expected: str, value: object) -> MisfitError:
    """The error for a value that is not of the expected type."""
    return MisfitError(f"expected {expected}, got {show_value(value)}")
