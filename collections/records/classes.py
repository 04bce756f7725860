"""An attrs class to a dict of its fields, and back.

The names in the dict are those that the constructor takes: `_secret` is stored as `secret`. How the
field of each name is converted is told by `stones.collections.records.converters`.
"""

import inspect
import linecache
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from traceback import walk_tb
from typing import Any

import attrs
from attrs import Attribute, frozen

from stones.errors import CollectionError

from .messages import show_value
from .plain_values import Conversion, Convert, MisfitError, misfit
from .unions import TAG


@frozen
class Field:
    """A field of an attrs class."""

    name: str
    """What the constructor calls it, and the stored dict."""
    attribute: str
    """What the class calls it."""
    conversion: Conversion
    is_argument: bool
    """Does the constructor take it? (`init=False` otherwise.)"""
    has_default: bool


class Shape:
    """How the instances of one attrs class are stored: as a dict of their fields.

    It is made first and filled later, since the fields of a class may hold the class itself.
    """

    def __init__(self, cls: type) -> None:
        self.cls = cls
        self.fields: dict[str, Field] = {}
        self.conversion = Conversion(cls.__name__, self.dump, self.load, (cls,), {dict})

    def fill(self, fields: Sequence[Field]) -> None:
        """Take the fields, in order. Raises CollectionError where the constructor does not."""
        self.fields = {field.name: field for field in fields}
        if len(self.fields) < len(fields):
            raise CollectionError(
                f"two fields of {self.cls.__name__} have the same name in its constructor, "
                f"{', '.join(field.name for field in fields)}: give one an alias="
            )
        if TAG in self.fields:
            raise CollectionError(
                f"{self.cls.__name__} has a field {TAG!r}, where the class is stored if there are "
                "several to choose from: give it another alias="
            )
        self._others = [field for field in fields if not field.is_argument]
        self._make: Callable[..., Any] = self._construct if self._others else self.cls
        self._check_constructor()
        self._does_more = (
            any(each.validator or each.converter for each in attrs.fields(self.cls))
            or hasattr(self.cls, "__attrs_pre_init__")
            or hasattr(self.cls, "__attrs_post_init__")
            or hasattr(self.cls, "__attrs_init__")
        )
        # What the loops below go through, taken apart.
        self._dumps = [
            (field.name, field.attribute, field.conversion.exact, field.conversion.dump)
            for field in fields
        ]
        self._loads = [
            (field.name, field.conversion.exact, field.conversion.load) for field in fields
        ]

    def dump(self, record: Any) -> dict[str, Any]:
        """The dict of a record. MisfitError has the path to the field.

        Reading builds the record by its class again. So where that does more than to take the
        fields (validators, converters, `__attrs_post_init__`), it is tried before anything is
        written: a record that it refuses, or does not leave as it is, could not be read back.
        """
        stored = self._dump(record)
        if self._does_more:
            again = self._dump(self.load(stored))
            for name, value in stored.items():
                if again[name] is not value and again[name] != value:
                    raise MisfitError(
                        f"is {value!r:.80}, and {again[name]!r:.80} once it is read back: a "
                        "converter or __attrs_post_init__ must leave its own results alone",
                        f".{name}",
                    )
        return stored

    def _dump(self, record: Any) -> dict[str, Any]:
        if type(record) is not self.cls:
            raise self._other_class(record)
        stored = {}
        name = ""
        try:
            for name, attribute, exact, dump in self._dumps:
                value = getattr(record, attribute)
                stored[name] = value if type(value) is exact else dump(value)
        except MisfitError as error:
            error.within(f".{name}")
            raise
        except AttributeError as error:
            raise MisfitError("is not set", f".{name}") from error
        return stored

    def load(self, stored: Any) -> Any:
        """The record of a dict, made by its class. MisfitError has the path to the field."""
        if type(stored) is not dict:
            raise misfit(f"a dict of the fields of {self.cls.__name__}", stored)
        loads = self._loads if len(stored) == len(self.fields) else self._loads_of(stored)
        # Copied only for a value that is not stored as it is: most classes are called with the very
        # dict, at 2.5 instead of 3.5 times the cost of the call alone for eight fields.
        loaded, name = stored, ""
        try:
            for name, exact, load in loads:
                value = stored[name]
                if type(value) is not exact and (made := load(value)) is not value:
                    if loaded is stored:
                        loaded = stored.copy()
                    loaded[name] = made
        except MisfitError as error:
            error.within(f".{name}")
            raise
        except KeyError:  # as many as there are fields, but not the same
            raise self._unknown(next(name for name in stored if name not in self.fields)) from None
        try:
            return self._make(**loaded)
        except Exception as error:  # validators and converters raise what they like
            raise self._refused(error) from error

    def evolve(self, record: Any, changes: Mapping[str, Any]) -> Any:
        """A record with some fields changed. Raises MisfitError where the class refuses them.

        A field that the constructor does not take is kept, unless it follows from the others: the
        constructor alone would have made it what it is.
        """
        self.check_names(changes)
        for name in changes:
            if not self.fields[name].is_argument:
                raise MisfitError("the constructor does not take it (init=False)", f".{name}")
        try:
            changed = attrs.evolve(record, **changes)
            made = attrs.evolve(record) if self._others else None
        except Exception as error:  # validators and converters raise what they like
            raise self._refused(error) from error
        for field in self._others:
            before = getattr(record, field.attribute, attrs.NOTHING)
            if before is not attrs.NOTHING and before != getattr(made, field.attribute, None):
                object.__setattr__(changed, field.attribute, before)
        return changed

    def check_names(self, names: Iterable[str]) -> None:
        """Raise MisfitError for a name that is not that of a field."""
        for name in names:
            if name not in self.fields:
                raise self._unknown(name)

    def _loads_of(self, stored: Mapping[str, Any]) -> Iterable[tuple[str, type | None, Convert]]:
        """How to load these fields, which are not all: MisfitError for what cannot be missing."""
        self.check_names(stored)
        for field in self.fields.values():
            if field.name not in stored and field.is_argument and not field.has_default:
                raise MisfitError("is missing, and has no default", f".{field.name}")
        return [load for load in self._loads if load[0] in stored]

    def _construct(self, /, **loaded: Any) -> Any:
        """The record, for a class with fields that the constructor does not take."""
        others = [field for field in self._others if field.name in loaded]
        names = loaded.keys() - {field.name for field in others}
        record = self.cls(**{name: loaded[name] for name in names})
        for field in others:
            object.__setattr__(record, field.attribute, loaded[field.name])  # it may be frozen
        return record

    def _check_constructor(self) -> None:
        names = [field.name for field in self.fields.values() if field.is_argument]
        try:
            inspect.signature(self.cls).bind(**dict.fromkeys(names))
        except TypeError as error:
            raise CollectionError(
                f"{self.cls.__name__} has an __init__ of its own that does not take the fields "
                f"({', '.join(names)}): {error}"
            ) from error

    def _unknown(self, name: object) -> MisfitError:
        text = name[:80] if isinstance(name, str) else ""
        close = get_close_matches(text, self.fields, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(self.fields)}"
        shown = repr(text) if text else show_value(name)
        return MisfitError(f"{self.cls.__name__} has no field {shown}: {hint}")

    def _refused(self, error: Exception) -> MisfitError:
        """For an exception of the constructor: with the field, if attrs tells it."""
        field = self._refused_field(error)
        text = str(error.args[0]) if error.args else ""
        reason = f"{type(error).__name__}: {text}" if text else type(error).__name__
        if field is None:
            return MisfitError(f"{self.cls.__name__} refuses the fields: {reason}")
        return MisfitError(reason, f".{field.name}")

    def _other_class(self, record: Any) -> MisfitError:
        error = misfit(self.cls.__name__, record)
        if isinstance(record, self.cls):
            error.reason += (
                f", a subclass of it, of which only the {self.cls.__name__} would be kept"
            )
        return error

    def _refused_field(self, error: Exception) -> Field | None:
        named = next((x.name for x in error.args if isinstance(x, Attribute)), None)
        if named is None:
            # The line of the generated __init__ that failed: `__attr_validator_age(self, ...)`.
            lines = (
                linecache.getline(frame.f_code.co_filename, line)
                for frame, line in walk_tb(error.__traceback__)
                if frame.f_code.co_name in ("__init__", "__attrs_init__")
            )
            calls = (re.search(r"__attr_(?:validator|converter)_(\w+)\(", line) for line in lines)
            named = next((call[1] for call in calls if call), None)
        return next((x for x in self.fields.values() if x.attribute == named), None)
