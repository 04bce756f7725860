"""The source of `dump` and `load` of a class, generated and compiled when they are first needed.

The functions of `classes` that convert field by field serve any class and any dict. The generated
functions serve the usual case in half the time: a dict with exactly the fields of the class, or an
instance with all its fields. They test the type of each value in line, and call a conversion for
values of other types only. In any other case they call the function that goes field by field, which
also raises the error.

A name is written into the source if it is a plain identifier. Every other name, and every object,
is a global of the function with a numbered name. The source is in `linecache`, so that tracebacks
show it.
"""

import keyword
import linecache
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from types import CodeType, NoneType
from typing import Any
from zlib import crc32

from .constructors import positional_parameters
from .conversion import Convert, Copied, MisfitError
from .fields import Field

_FEW_TYPES = 3
"""Up to so many types, comparing with each of them takes less time than a look-up in a set."""


def generated_dump(cls: type, fields: Sequence[Field], by_fields: Convert) -> Convert:
    """A function that makes the dict of an instance of `cls`, as `by_fields` does.

    It calls `by_fields` for a value of another class, and for an instance without an attribute.
    """
    source = _Source({"cls": cls, "by_fields": by_fields, "MisfitError": MisfitError})
    lines = ["def dump(record):"]
    lines += ["    if type(record) is not cls:", "        return by_fields(record)"]
    lines += ["    name = None", "    try:"]
    for variable, field in _numbered(fields):
        lines.append(f"        {variable} = {source.attribute('record', field.attribute)}")
        lines += source.conversion(variable, field, "dump")
    entries = [f"{source.name(field.name)}: {variable}" for variable, field in _numbered(fields)]
    lines += ["        return {" + ", ".join(entries) + "}"]
    lines += ["    except AttributeError:", "        return by_fields(record)"]
    lines += _MISFIT
    return source.function("dump", cls, lines)


def generated_load(
    cls: type,
    fields: Sequence[Field],
    by_fields: Convert,
    refused: Callable[[Exception], Exception],
) -> Convert:
    """A function that makes the instance of a dict by calling `cls`, as `by_fields` does.

    It calls `by_fields` for a value that is no dict, and for a dict with other fields. `refused`
    makes the error for an exception that `cls` raises.
    """
    source = _Source(
        {"cls": cls, "by_fields": by_fields, "refused": refused, "MisfitError": MisfitError}
    )
    lines = ["def load(stored):"]
    lines += [f"    if type(stored) is not dict or len(stored) != {len(fields)}:"]
    lines += ["        return by_fields(stored)", "    name = None"]
    if fields:
        lines.append("    try:")
        for variable, field in _numbered(fields):
            lines.append(f"        {variable} = stored[{source.name(field.name)}]")
        lines += ["    except KeyError:", "        return by_fields(stored)"]
        lines.append("    try:")
        for variable, field in _numbered(fields):
            lines += source.conversion(variable, field, "load")
        lines += _MISFIT
    lines += ["    try:", f"        record = cls({source.arguments(cls, fields)})"]
    for variable, field in _numbered(fields):
        if not field.is_argument:  # the class may be frozen
            set_field = source.global_name(object.__setattr__)
            attribute = source.name(field.attribute)
            lines.append(f"        {set_field}(record, {attribute}, {variable})")
    lines += ["    except Exception as error:", "        raise refused(error) from error"]
    lines += ["    return record"]
    return source.function("load", cls, lines)


def generated_check(cls: type, fields: Sequence[Field], inside: Mapping[str, Convert]) -> Convert:
    """A function that makes of a dict what `load` and then `dump` make of it, without an instance.

    It does so only for a dict with exactly the fields of the class, each with a value of an exact
    type. It gives None for any other value. The class must not change fields, or refuse them.
    `inside` has such functions for the fields that are classes themselves.
    """
    source = _Source({})
    lines = ["def check(stored):"]
    lines += [f"    if type(stored) is not dict or len(stored) != {len(fields)}:"]
    lines += ["        return None", "    try:"]
    for variable, field in _numbered(fields):
        lines.append(f"        {variable} = stored[{source.name(field.name)}]")
    lines += ["    except KeyError:", "        return None"]
    for variable, field in _numbered(fields):
        lines += source.exact(variable, field, inside.get(field.name))
    entries = [f"{source.name(field.name)}: {variable}" for variable, field in _numbered(fields)]
    lines.append("    return {" + ", ".join(entries) + "}")
    return source.function("check", cls, lines)


_MISFIT = [
    "    except MisfitError as error:",
    "        error.within(f'.{name}')",
    "        raise",
]


def _numbered(fields: Sequence[Field]) -> Iterator[tuple[str, Field]]:
    """The fields, each with the variable that has its value."""
    return ((f"value{number}", field) for number, field in enumerate(fields))


class _Source:
    """The source of one function, and the globals that it needs."""

    def __init__(self, names: dict[str, Any]) -> None:
        self._globals = dict(names)
        self._names: dict[int, str] = {}

    def global_name(self, value: Any) -> str:
        """The name of an object in the source."""
        # By identity, and the globals keep the object: so no other object gets the same id.
        name = self._names.setdefault(id(value), f"global{len(self._names)}")
        self._globals[name] = value
        return name

    def type_name(self, kind: type) -> str:
        """The name of a type in the source."""
        return kind.__name__ if kind in _BUILT_IN else self.global_name(kind)

    def name(self, name: str) -> str:
        """An expression for the name of a field."""
        return f"'{name}'" if _is_plain(name) else self.global_name(name)

    def attribute(self, owner: str, name: str) -> str:
        """An expression for an attribute."""
        return (
            f"{owner}.{name}" if _is_plain(name) else f"getattr({owner}, {self.global_name(name)})"
        )

    def arguments(self, cls: type, fields: Sequence[Field]) -> str:
        """The arguments for `cls`: by position as far as possible, since that is faster."""
        by_name = {each.name: variable for variable, each in _numbered(fields) if each.is_argument}
        arguments = []
        for parameter in positional_parameters(cls):
            if parameter not in by_name:
                break
            arguments.append(by_name.pop(parameter))
        for name, variable in by_name.items():
            plain = f"{name}={variable}" if _is_plain(name) else ""
            arguments.append(plain or f"**{{{self.global_name(name)}: {variable}}}")
        return ", ".join(arguments)

    def conversion(self, variable: str, field: Field, way: str) -> list[str]:
        """The lines that convert a value. `way` is "dump" or "load"."""
        conversion = field.conversion
        of_class = conversion.of_class
        if of_class is not None:
            call = f"{self.global_name(of_class)}.{way}({variable})"
        else:
            call = f"{self.global_name(getattr(conversion, way))}({variable})"
        convert = [f"name = {self.name(field.name)}", f"{variable} = {call}"]
        is_other = self._is_of_no_type(variable, conversion.exact_types)
        copied = conversion.copied
        if copied is not None:
            lines = self._copy(variable, copied, convert)
            lines += [f"elif {is_other}:" if is_other else "else:", *_inside(convert)]
        elif is_other:
            lines = [f"if {is_other}:", *_inside(convert)]
        else:
            lines = convert
        return _inside(_inside(lines))

    def exact(self, variable: str, field: Field, check: Convert | None) -> list[str]:
        """The lines that return None for a value of another type than the exact ones.

        `check` is the function for the dict of a class, or for each dict of a list.
        """
        if check is not None:
            name = self.global_name(check)
            if list in field.conversion.stored_types:
                lines = [f"if type({variable}) is not list:", "    return None"]
                lines.append(f"{variable} = [{name}(item) for item in {variable}]")
                return _inside([*lines, f"if None in {variable}:", "    return None"])
            call = f"{variable} = {name}({variable})"
            lines = [call, f"if {variable} is None:", "    return None"]
            if NoneType in field.conversion.exact_types:
                lines = [f"if {variable} is not None:", *_inside(lines)]
            return _inside(lines)
        is_other = self._is_of_no_type(variable, field.conversion.exact_types) or "True"
        copied = field.conversion.copied
        if copied is None:
            return _inside([f"if {is_other}:", "    return None"])
        loop = f"for item in {variable}:"
        is_other_item = self._is_of_no_type("item", copied.item_types)
        if copied.kind is dict:
            loop = f"for key, item in {variable}.items():"
            is_other_item = f"{self._is_of_no_type('key', copied.key_types)} or {is_other_item}"
        lines = [f"if type({variable}) is {self.type_name(copied.kind)}:", f"    {loop}"]
        lines += [f"        if {is_other_item}:", "            return None"]
        return _inside([*lines, f"elif {is_other}:", "    return None"])

    def _copy(self, variable: str, copied: Copied, convert: list[str]) -> list[str]:
        """The lines that copy a container, and convert one with an item of another type."""
        kind = copied.kind
        can_change = kind in (list, set, dict)
        # The copy is tested, since another thread may change the container meanwhile.
        items = "items" if can_change else variable
        loop = f"for item in {items}:"
        is_other = self._is_of_no_type("item", copied.item_types)
        if kind is dict:
            loop = f"for key, item in {items}.items():"
            is_other = f"{self._is_of_no_type('key', copied.key_types)} or {is_other}"
        lines = [f"if type({variable}) is {self.type_name(kind)}:"]
        if can_change:
            lines.append(f"    items = {variable}.copy()")
        lines += _inside([loop, f"    if {is_other}:", *_inside(_inside([*convert, "break"]))])
        if can_change:
            lines += _inside(["else:", f"    {variable} = items"])
        return lines

    def _is_of_no_type(self, variable: str, types: Sequence[type]) -> str:
        """A condition: the value has none of these types."""
        if len(types) > _FEW_TYPES:
            return f"type({variable}) not in {self.global_name(frozenset(types))}"
        return " and ".join(
            f"{variable} is not None"
            if kind is NoneType
            else f"type({variable}) is not {self.type_name(kind)}"
            for kind in types
        )

    def function(self, name: str, cls: type, lines: list[str]) -> Convert:
        """The function `name` of these lines."""
        text = "\n".join([*lines, ""])
        # A class may have any name, also one that no file could have.
        title = ascii(f"{cls.__module__}.{cls.__qualname__}")[1:-1]
        code = _compiled(text, f"<stones {name} of {title:.200} {crc32(text.encode()):08x}>")
        exec(code, self._globals)  # the source has no name but those checked here
        function: Convert = self._globals[name]
        return function


def _inside(lines: Sequence[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def _is_plain(name: str) -> bool:
    """Whether a name can stand in the source. Python rewrites some names that are not ASCII."""
    return (
        type(name) is str
        and name.isascii()
        and name.isidentifier()
        and not keyword.iskeyword(name)
        and name != "__debug__"
    )


@lru_cache(256)  # each collection of a class generates the same source
def _compiled(source: str, name: str) -> CodeType:
    code = compile(source, name, "exec")
    # For tracebacks. No time of change, so linecache does not look for a file of this name.
    linecache.cache[name] = len(source), None, source.splitlines(keepends=True), name
    return code


_BUILT_IN = frozenset({bool, int, float, str, bytes, list, tuple, set, frozenset, dict})
