"""An attrs class: its instances as dicts of their fields, and back.

A dataclass or a NamedTuple, as the type of a field, is stored in the same way (`field_classes`).

The keys of the dict are the names that the constructor takes: `_secret` is stored as `secret`.
`converters` builds the schema of a class, with a conversion for each field. `record_type` is what a
collection sees of it.
"""

import linecache
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs
from attrs import Attribute

from stones.errors import CollectionError
from stones.formats.messages import show, show_value

from .class_tag import TAG
from .constructors import check_arguments
from .conversion import ClassFunctions, Conversion, MisfitError, misfit_error
from .fields import Field
from .generated import generated_dump, generated_load
from .messages import same_name_hint
from .parts import Part
from .reading_rules import ReadingRules
from .registered import are_equal
from .stored_forms import comparable


class Schema(Part):
    """The fields of an attrs class, and how its instances are stored, read and changed.

    It is made empty and filled later, because a field may hold another instance of the class.
    """

    def __init__(self, cls: type, rules: ReadingRules, name: str | None = None) -> None:
        self.cls = cls
        self.name = cls.__name__ if name is None else name
        """The name of the class."""
        self.fields: dict[str, Field] = {}
        # The conversion of each field, with the converter of the field. It is filled in place.
        self.given: dict[str, Conversion] = {}
        self.functions = ClassFunctions(self._generate_dump, self._generate_load)
        self.conversion = Conversion(
            self.name,
            self.dump,
            self.load,
            (cls,),
            {dict},
            fields=self.given,
            has_forms=rules.unknown == "keep",
            part=self,
            of_class=self.functions,
        )
        self._rules = rules

    def fill(self, fields: Sequence[Field]) -> None:
        """Set the fields, in order.

        Raises CollectionError if the constructor does not take them, or if a name is taken twice.
        """
        self.fields = {field.name: field for field in fields}
        if len(self.fields) < len(fields):
            raise CollectionError(
                f"two fields of {self.name} have the same name in its constructor, "
                f"{', '.join(field.name for field in fields)}: give one an alias="
            )
        if TAG in self.fields:
            raise CollectionError(
                f"{self.name} has a field {TAG!r}: this name is for the class of a record "
                "in a union, give the field another alias="
            )
        self.given |= {field.name: field.conversion_of_given() for field in fields}
        self.non_arguments = [field for field in fields if not field.is_argument]
        self._check_constructor()
        self._dump_fields = self.functions.dump
        self.is_reread = _constructor_may_change(self.cls)
        """Whether the class may refuse or change the fields of a record, so `dump` reads it again.

        Set by `fill`.
        """
        if self.is_reread:
            self.functions.dump = self._dump_and_reread
        self._parts = [
            (field.name, field.conversion.part) for field in fields if field.conversion.part
        ]

    def dump(self, record: Any) -> dict[str, Any]:
        """The dict of a record. Raises MisfitError, with the path to the field.

        Reading calls the class to make the record. The class may have validators, converters, or
        an `__attrs_post_init__`. Then the record is read back here, before anything is written. If
        the class refuses the fields or changes them, the record could not be read as it is.
        """
        stored: dict[str, Any] = self.functions.dump(record)
        return stored

    def load(self, stored: Any) -> Any:
        """The record of a dict, made by its class. Raises MisfitError, as `dump` does."""
        return self.functions.load(stored)

    def dump_by_fields(self, record: Any) -> dict[str, Any]:
        """The dict of a record, made field by field and not read back. Raises MisfitError.

        The twin of a generated function, which is faster and calls this one for its errors.
        """
        if type(record) is not self.cls:
            raise self._wrong_class(record)
        stored = {}
        name = ""
        try:
            for name, field in self.fields.items():
                stored[name] = field.conversion.dump(getattr(record, field.attribute))
        except MisfitError as error:
            error.within(f".{name}")
            raise
        except AttributeError as error:
            raise MisfitError("is not set", f".{name}") from error
        return stored

    def load_by_fields(self, stored: Any) -> Any:
        """The record of a dict, made field by field. Raises MisfitError.

        The twin of a generated function. It also takes dicts that lack fields, or have other ones.
        """
        if type(stored) is not dict:
            raise misfit_error(f"a dict of the fields of {self.name}", stored)
        if stored.keys() != self.fields.keys():
            stored = self._readable(stored)
            if len(stored) == len(self.fields):
                return self.functions.load(stored)
        loaded, name = {}, ""
        try:
            for name, field in self.fields.items():
                if name in stored:
                    loaded[name] = field.conversion.load(stored[name])
        except MisfitError as error:
            error.within(f".{name}")
            raise
        try:
            return self._construct(**loaded)
        except Exception as error:  # a validator or a converter may raise anything
            raise self._refused(error) from error

    def evolve(self, record: Any, changes: Mapping[str, Any]) -> Any:
        """A copy of a record with some fields changed, made by the class.

        A field that the constructor does not take keeps its value, if it was changed after the
        record was made. Otherwise the constructor computes it anew: its value may depend on the
        changed fields. Raises MisfitError, with the path to the field, if the class refuses.
        """
        self.check_names(changes)
        for name in changes:
            if not self.fields[name].is_argument:
                raise MisfitError("the constructor does not take it (init=False)", f".{name}")
        try:
            changed = attrs.evolve(record, **changes)
            unchanged = attrs.evolve(record) if self.non_arguments else None
        except Exception as error:  # a validator or a converter may raise anything
            raise self._refused(error) from error
        for field in self.non_arguments:
            current = getattr(record, field.attribute, attrs.NOTHING)
            computed = getattr(unchanged, field.attribute, None)
            if current is not attrs.NOTHING and current != computed:
                object.__setattr__(changed, field.attribute, current)  # the class may be frozen
        return changed

    def check_names(self, names: Iterable[str]) -> None:
        """Raise MisfitError for a name that no field has."""
        for name in names:
            if name not in self.fields:
                raise self._unknown_field(name)

    def unknown_names(self, stored: Mapping[Any, Any]) -> list[Any]:
        """The names in a stored dict that no field has."""
        return [name for name in stored if name not in self.fields and name != TAG]

    # -- as a part -----------------------------------------------------------------------------

    def classes(self) -> Iterator[Part]:
        return iter([self])

    def completed(self, stored: Any, drop: bool) -> Any:
        if type(stored) is not dict:
            return stored
        if stored.keys() != self.fields.keys():
            stored = self._with_all_fields(stored, drop)
        changed = {
            name: value
            for name, part in self._parts
            if name in stored and (value := part.completed(stored[name], drop)) is not stored[name]
        }
        return {**stored, **changed} if changed else stored

    def carried(self, before: Any, after: Any) -> Any:
        if type(before) is not dict or type(after) is not dict or not self._is_own(before):
            return after
        changed = {name: before[name] for name in self.unknown_names(before)}
        for name, part in self._parts:
            if name in before and name in after:
                value = part.carried(before[name], after[name])
                if value is not after[name]:
                    changed[name] = value
        return {**after, **changed} if changed else after

    # -- dicts with other fields ---------------------------------------------------------------

    def _readable(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """The known fields of a dict that lacks some, or has others too.

        Raises MisfitError for the dict of another class, for a name that no field has unless the
        rules allow it, and for a missing field without a default.
        """
        if not self._is_own(stored):
            raise MisfitError(
                f"expected the fields of {self.name}, got a dict whose {TAG!r} is "
                f"{show(stored[TAG])}"
            )
        unknown = self.unknown_names(stored)
        if unknown and self._rules.unknown == "error":
            error = self._unknown_field(unknown[0])
            error.reason += "; a collection opened with unknown='keep' or 'drop' can read it"
            raise error
        readable = self._filled(stored)
        for field in self.fields.values():
            if field.name not in readable and field.is_argument and not field.has_default:
                raise MisfitError("is missing, and has no default", f".{field.name}")
        return readable

    def _filled(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """The known fields of a dict and the kept defaults of those that it lacks, in order."""
        found = {name: stored[name] for name in self.fields if name in stored}
        if len(found) == len(self.fields):
            return found
        kept = self._rules.kept_defaults(self)
        return {
            name: found[name] if name in found else kept[name]()
            for name in self.fields
            if name in found or name in kept
        }

    def _with_all_fields(self, stored: dict[str, Any], drop: bool) -> dict[str, Any]:
        """The dict that the class would store. A dict that cannot be read stays as it is."""
        if not self._is_own(stored):
            return stored
        try:
            filled = self._filled(stored)
            if len(filled) < len(self.fields):  # the class computes the other defaults
                dumped = self._dump_fields(self.load(filled))
                filled = dumped if drop else self.carried(filled, dumped)
        except MisfitError:
            return stored
        return filled if drop else self.carried(stored, filled)

    def _is_own(self, stored: Mapping[str, Any]) -> bool:
        """Whether a dict is not of another class. It names its class if it was in a union."""
        return TAG not in stored or stored[TAG] == self.name

    # -- conversion ----------------------------------------------------------------------------

    # Two threads may both generate a function: each of the two will do.

    def _generate_dump(self, record: Any) -> Any:
        fields = [*self.fields.values()]
        self._dump_fields = generated_dump(self.cls, fields, self.dump_by_fields)
        if not self.is_reread:
            self.functions.dump = self._dump_fields
        return self._dump_fields(record)

    def _generate_load(self, stored: Any) -> Any:
        fields = [*self.fields.values()]
        load = generated_load(self.cls, fields, self.load_by_fields, self._refused)
        self.functions.load = load
        return load(stored)

    def _dump_and_reread(self, record: Any) -> Any:
        stored = self._dump_fields(record)
        reread = self._dump_fields(self.load(stored))
        for name, value in stored.items():
            again = reread[name]
            if again is value or are_equal(again, value):
                continue
            if not are_equal(comparable(self.given[name], again), value):
                raise MisfitError(
                    f"is {show(value)}, and {show(again)} once it is read back: a "
                    "converter or __attrs_post_init__ must leave its own results alone",
                    f".{name}",
                )
        return stored

    def _construct(self, /, **loaded: Any) -> Any:
        """The record of a class with fields that the constructor does not take."""
        set_later = [field for field in self.non_arguments if field.name in loaded]
        names = loaded.keys() - {field.name for field in set_later}
        record = self.cls(**{name: loaded[name] for name in names})
        for field in set_later:
            object.__setattr__(record, field.attribute, loaded[field.name])  # it may be frozen
        return record

    def _check_constructor(self) -> None:
        names = [field.name for field in self.fields.values() if field.is_argument]
        try:
            check_arguments(self.cls, names)
        except TypeError as error:
            raise CollectionError(
                f"{self.name} has an __init__ of its own that does not take the fields "
                f"({', '.join(names)}): {error}"
            ) from error

    def _unknown_field(self, name: object) -> MisfitError:
        return MisfitError(unknown_field(self.name, self.fields, name))

    def _refused(self, error: Exception) -> MisfitError:
        """The error for an exception of the constructor, with the field if attrs names it."""
        field = self._refused_field(error)
        first = error.args[0] if error.args else ""
        text = first if isinstance(first, str) else show(first)
        reason = f"{type(error).__name__}: {text}" if text else type(error).__name__
        if field is None:
            return MisfitError(f"{self.name} refuses the fields: {reason}")
        return MisfitError(reason, f".{field.name}")

    def _wrong_class(self, record: Any) -> MisfitError:
        error = misfit_error(self.name, record)
        error.reason += same_name_hint(self.cls, record)
        if isinstance(record, self.cls):
            error.reason += f", a subclass: only the fields of {self.name} would be stored"
        return error

    def _refused_field(self, error: Exception) -> Field | None:
        """The field whose validator or converter raised an exception, if that can be told."""
        attribute = next((x.name for x in error.args if isinstance(x, Attribute)), None)
        if attribute is None:
            from traceback import walk_tb  # loaded only for an error

            # The line of the generated __init__ that failed: `__attr_validator_age(self, ...)`.
            lines = (
                linecache.getline(frame.f_code.co_filename, line)
                for frame, line in walk_tb(error.__traceback__)
                if frame.f_code.co_name in ("__init__", "__attrs_init__")
            )
            calls = (re.search(r"__attr_(?:validator|converter)_(\w+)\(", line) for line in lines)
            attribute = next((call[1] for call in calls if call), None)
        return next((x for x in self.fields.values() if x.attribute == attribute), None)


def unknown_field(owner: str, fields: Collection[str], name: object) -> str:
    """The message for a name that no field of `owner`, a class or a union of classes, has."""
    text = name[:80] if isinstance(name, str) else ""
    from difflib import get_close_matches  # loaded only for a wrong name

    close = get_close_matches(text, fields, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(fields)}"
    shown = repr(text) if text else show_value(name)
    return f"{owner} has no field {shown}: {hint}"


def _constructor_may_change(cls: type) -> bool:
    """Whether the class may refuse the fields of an instance, or change them."""
    if not attrs.has(cls):
        from .field_classes import may_change_fields  # it loads dataclasses

        return may_change_fields(cls)
    hooks = ("__attrs_pre_init__", "__attrs_post_init__", "__attrs_init__")
    return any(each.validator or each.converter for each in attrs.fields(cls)) or any(
        hasattr(cls, hook) for hook in hooks
    )
