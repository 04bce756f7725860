"""Where the steps of a path lead in the records of a class.

A path in a query is checked against the class: a name that no field has is an error, where it would
find nothing otherwise. And a caller's value is converted as the field is that it is compared with.
`FieldTypes` does both to a syntax tree, before the values are known. `record_paths` keeps the
results.

A type is known for as long as the steps go through classes, unions, containers and dicts. A field
of type Any, `..`, arithmetic and named operators end this. From there on every name is allowed, and
a value gets the form that it would have in any record (`stored_form`).
"""

from collections.abc import Callable, Collection, Iterable
from decimal import Decimal
from enum import Enum
from typing import Any

import attrs
from attrs import frozen
from jsonpath_ng.ext.filter import Expression
from jsonpath_ng.ext.filter import Filter as Selection
from jsonpath_ng.ext.iterable import SortedThis
from jsonpath_ng.jsonpath import (
    Child,
    Descendants,
    Fields,
    Index,
    JSONPath,
    Root,
    Slice,
    This,
    Where,
    Wildcard,
)

from stones.collections.records.classes import unknown_field
from stones.collections.records.conversion import Conversion, MisfitError
from stones.collections.records.plain_values import ANYTHING, ATOMS, container
from stones.collections.records.record_type import record_type
from stones.collections.records.stored_forms import ValueOfForms, comparable
from stones.errors import QueryError, RecordError
from stones.formats.messages import show
from stones.formats.registered_types import known

from .comparisons import Forms
from .ordering import equal
from .syntax_tree import Placeholder


class FieldTypes:
    """The types that paths lead to in the records with this conversion.

    `extra_fields` are names that records may have beside the fields of the class, `extra_inside`
    those that the dicts of classes inside may have. `text` is the whole path, for errors. If
    `by_attributes`, names are those of attributes, as Python code has them: `_nick` for the field
    that is stored as `nick`.

    `in_record` and `in_list` return a copy of the tree with the names of stored fields, in which
    each placeholder knows how to convert its value. Both raise QueryError for a name that no field
    has.
    """

    def __init__(
        self,
        record: Conversion,
        extra_fields: Collection[str],
        extra_inside: Collection[str],
        text: str,
        *,
        by_attributes: bool = False,
    ) -> None:
        self._record = record
        self._by_attributes = by_attributes
        self._extra_fields = extra_fields
        self._extra_inside = extra_inside
        self._text = text

    def in_record(self, tree: JSONPath) -> JSONPath:
        """The tree of a path inside one record: `$` and `@` are the record."""
        return self._start(tree, _Place((self._record,)))

    def in_list(self, tree: JSONPath) -> JSONPath:
        """The tree of a path into the list of all records: `$` is the list."""
        records = container(f"list[{self._record.name}]", (list,), self._record)
        return self._start(tree, _Place((records,)))

    def may_be_bool(self, tree: JSONPath) -> bool:
        """Whether a path inside one record may lead to a bool."""
        kinds = self._place(tree).alternatives()
        if kinds is None:
            return True
        stored = {form for kind in kinds for form in kind.stored_as}
        return bool in {form[0] if isinstance(form, tuple) else form for form in stored}

    def loader(self, tree: JSONPath) -> Callable[[Any], Any]:
        """The function that makes values of stored ones, where a path inside one record leads.

        It raises RecordError for a stored value that no type at this place can have.
        """
        kinds = self._place(tree).types
        if all(kind.native for kind in kinds):
            return known

        def load(stored: Any) -> Any:
            stored = known(stored)
            misfit: MisfitError | None = None
            for kind in kinds:
                try:
                    return kind.load(stored)
                except MisfitError as error:
                    misfit = error
            raise RecordError(f"{self._text}: {misfit}")

        return load

    def _place(self, tree: JSONPath) -> "_Place":
        """Where a path inside one record leads."""
        self._root = _Place((self._record,))
        return self._follow(tree, self._root)[1]

    def _start(self, tree: JSONPath, root: "_Place") -> JSONPath:
        self._root = root
        try:
            typed: JSONPath = self._follow(tree, root)[0]
        except RecursionError as error:
            raise QueryError(f"this is nested too deeply: {self._text:.200}") from error
        return typed

    def _follow(self, node: Any, start: "_Place") -> tuple[Any, "_Place"]:
        """A copy of a node that is evaluated at `start`, and the place where it leads."""
        match node:
            case Root():
                return node, self._root
            case SortedThis():
                return self._copy_parts(node, start.items()), start
            case This():  # `@`, or a named operator that makes a text
                return node, start if type(node) is This else _ANYWHERE
            case Fields():
                if self._by_attributes:
                    names = [self._stored_name(name, start) for name in node.fields]
                    node = _copy(node, fields=tuple(names))
                kinds = [kind for name in node.fields for kind in self._field(name, start).types]
                return node, self._reached(_Place(tuple(kinds)), start)
            case Index():
                return node, self._reached(start.elements(node.indices), start)
            case Slice():
                return node, start.items(of_dicts=False)
            case Wildcard():
                return node, self._reached(start.items(), start)
            case Child() | Where():
                left, middle = self._follow(node.left, start)
                right, end = self._follow(node.right, middle)
                place = end if isinstance(node, Child) else middle
                return _copy(node, left=left, right=right), place
            case Descendants():
                left, _ = self._follow(node.left, start)
                right, _ = self._follow(node.right, _ANYWHERE)
                return _copy(node, left=left, right=right), _ANYWHERE
            case Selection():
                inside = start.items()
                return self._copy_parts(node, inside), inside
            case Expression() if isinstance(node.value, Placeholder) and node.op != "=~":
                target, place = self._follow(node.target, start)
                compared = place.items(of_dicts=False) if node.op == "contains" else place
                value = Placeholder(node.value.name, compared.stored_value)
                return _copy(node, target=target, value=value), _ANYWHERE
            case _:  # its parts are evaluated at the same place: &&, arithmetic, a comparison
                return self._copy_parts(node, start), _ANYWHERE

    def _copy_parts(self, node: JSONPath, start: "_Place") -> JSONPath:
        """A copy of a node whose parts are evaluated at `start`. They may be in lists."""

        def changed(part: Any) -> Any:
            if isinstance(part, list | tuple):
                return type(part)(map(changed, part))
            return self._follow(part, start)[0] if isinstance(part, JSONPath) else part

        return _copy(node, **{name: changed(part) for name, part in vars(node).items()})

    def _reached(self, place: "_Place", start: "_Place") -> "_Place":
        """The place that a step leads to from `start`.

        Type checkers know attributes that are no fields, such as the year of a date. So a step of a
        function that finds nothing in any record is an error.
        """
        if place.types or not self._by_attributes:
            return place
        owner = " | ".join(dict.fromkeys(kind.name for kind in start.alternatives() or ()))
        raise QueryError(
            f"{self._text!r}: {owner} has no such part: a path leads to fields, to the items of a "
            "list, and to the values of a dict by their str keys. Compare the whole value"
        )

    def _stored_name(self, attribute: str, start: "_Place") -> str:
        """The name in the stored dict of the field with this name in Python code."""
        kinds = [kind for kind in start.alternatives() or () if kind.fields is not None]
        names = {
            field.alias or attribute
            for cls in {cls for kind in kinds for cls in kind.value_types}
            if attrs.has(cls)
            for field in attrs.fields(cls)
            if field.name == attribute
        }
        if len(names) > 1:
            raise QueryError(
                f"{self._text!r}: {attribute} is stored under several names, "
                f"{show(sorted(names))}: write a JSONPath"
            )
        return names.pop() if names else attribute

    def _field(self, name: str, start: "_Place") -> "_Place":
        alternatives = start.alternatives()
        if alternatives is None:
            return _ANYWHERE
        classes = [kind for kind in alternatives if kind.fields is not None]
        dicts = [kind for kind in alternatives if kind.fields is None and dict in kind.stored_as]
        found = [kind.fields[name] for kind in classes if kind.fields and name in kind.fields]
        if start is self._root and not classes:
            reason = f"$ is the list of all records, and has no field {show(name)}: "
            reason += f"write $[*]{_step(name)} for the field of each record"
            raise QueryError.about(name, reason, self._text)
        if found or dicts or not classes:
            return _Place((*found, *(item for kind in dicts for item in kind.items)))
        if name in (self._extra_fields if self._record in classes else self._extra_inside):
            return _ANYWHERE
        owner = " | ".join(dict.fromkeys(kind.name for kind in classes if not kind.members))
        fields = dict.fromkeys(field for kind in classes for field in kind.fields or ())
        raise QueryError.about(name, unknown_field(owner, fields, name), self._text)


@frozen
class _Place:
    """Where a path leads: the values there have one of these types."""

    types: tuple[Conversion, ...]

    def alternatives(self) -> list[Conversion] | None:
        """The types, with the members of a union in the place of the union.

        Returns None if any value may be there.
        """
        found: list[Conversion] = []
        waiting = list(self.types)
        while waiting:
            kind = waiting.pop(0)
            if kind in found:
                continue
            found.append(kind)
            waiting += kind.members
        kinds = [kind for kind in found if not kind.members or kind.fields is not None]
        return None if any(map(_may_hold_anything, kinds)) else kinds

    def items(self, *, of_dicts: bool = True) -> "_Place":
        """All values inside: the items of containers, and the values of dicts and records."""
        alternatives = self.alternatives()
        if alternatives is None:
            return _ANYWHERE
        found: list[Conversion] = []
        for kind in alternatives:
            if of_dicts or dict not in kind.stored_as:
                found += kind.items if kind.fields is None else kind.fields.values()
        return _Place(tuple(found))

    def elements(self, positions: Iterable[int]) -> "_Place":
        """The values at some positions of a container."""
        alternatives = self.alternatives()
        if alternatives is None:
            return _ANYWHERE
        lists = [kind.items for kind in alternatives if dict not in kind.stored_as]
        found: list[Conversion] = []
        for items in lists:
            for place in positions:
                if len(items) == 1:
                    found += items
                elif -len(items) <= place < len(items):
                    found.append(items[place])
        return _Place(tuple(found))

    def stored_value(self, value: Any) -> Any:
        """What a value is compared as, if it is compared with the values here.

        A value that no record can have here is not equal to any. But a plain str or number
        compares with what is stored, as the same literal in the text does.
        """
        try:
            forms = self._forms(value)
            if forms:
                return forms[0] if len(forms) == 1 else Forms(tuple(forms))
            kinds = self.alternatives()
            as_literal = type(value) in (str, *_NUMBERS)
            if as_literal or not kinds or _hold_anything(kinds) or _is_like(value, kinds):
                return stored_form(value)
            return _UNEQUAL
        except RecursionError as error:
            raise QueryError("a value is nested too deeply, or contains itself") from error

    def _forms(self, value: Any) -> list[Any]:
        """The different stored forms of a value, in the order of the types that can hold it."""
        forms: list[Any] = []
        for kind in self.types:
            try:
                stored = kind.dump(value)
                form = comparable(kind, stored)
            except MisfitError:
                continue
            if type(value) is bool and type(stored) is not bool:  # a bool is no number
                continue
            if type(form) is ValueOfForms or not any(equal(form, other) for other in forms):
                forms.append(form)
        return forms


def stored_form(value: Any) -> Any:
    """What a value looks like in a record, wherever it is.

    An enum stands for its value, and a record of an attrs class for its dict, also inside of
    containers and dicts.
    """
    if isinstance(value, Enum):
        return stored_form(value.value)
    if attrs.has(type(value)):
        return record_type(type(value)).dump(value)
    kind = type(value)
    if kind is dict:
        pairs = [(stored_form(key), stored_form(item)) for key, item in value.items()]
        return _if_hashable(dict, pairs)
    if kind in (list, tuple, set, frozenset):
        return _if_hashable(kind, [stored_form(item) for item in value])
    return value


# -- below -------------------------------------------------------------------------------------

_ANYWHERE = _Place((ANYTHING,))

_NUMBERS = (int, float, Decimal)


# It equals no stored value, and has no order with any.
_UNEQUAL: Any = object()


def _step(name: str) -> str:
    return f".{name}" if name.isidentifier() else f"[{name!r}]"


def _copy(node: JSONPath, **changes: Any) -> JSONPath:
    """A copy of a node with other parts. All else of the node stays, whatever its class has."""
    copy: JSONPath = object.__new__(type(node))
    for name, part in {**vars(node), **changes}.items():
        setattr(copy, name, part)
    return copy


def _may_hold_anything(kind: Conversion) -> bool:
    """Whether it is not known what a value of this type has inside."""
    if kind.fields is not None or kind.items:
        return False
    forms = {form[0] if isinstance(form, tuple) else form for form in kind.stored_as}
    return not forms <= ATOMS.keys()


def _hold_anything(kinds: Iterable[Conversion]) -> bool:
    """Whether one of these is a container or a dict of any values, however deep."""
    seen: list[Conversion] = []
    waiting = list(kinds)
    while waiting:
        kind = waiting.pop()
        if kind in seen:
            continue
        seen.append(kind)
        waiting += (*kind.members, *kind.items)
        if not kind.members and _may_hold_anything(kind):
            return True
    return False


def _is_like(value: Any, kinds: Iterable[Conversion]) -> bool:
    """Whether an enum that is a number or a str too can equal a value of another type."""
    if isinstance(value, bool) or not isinstance(value, (str, *_NUMBERS)):
        return False
    like = (str,) if isinstance(value, str) else _NUMBERS
    types = {each for kind in kinds for each in kind.value_types}
    return any(issubclass(each, like) and each is not bool for each in types)


def _if_hashable(kind: Callable[[list[Any]], Any], items: list[Any]) -> Any:
    """The items in a container of this kind, or in a list if one of them has no hash."""
    try:
        return kind(items)
    except TypeError:
        return items
