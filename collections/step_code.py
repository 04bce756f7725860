"""The code of the step that brings records to a class, by what differs: see `differences`."""

from collections.abc import Callable, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from importlib import import_module
from typing import Any
from uuid import UUID

from attrs import frozen

from stones.collections.records.conversion import Conversion
from stones.formats.messages import show

from .differences import AddedField, ChangedField, Difference


@frozen
class StepCode:
    """The source of a step, in parts."""

    imports: Sequence[str]
    """The lines that import what the step needs, without the import of `Migration`."""
    functions: Sequence[str]
    """The functions that the step needs. Those that must be completed raise an exception."""
    migration: str
    """The call of `Migration`."""

    def text(self) -> str:
        """All parts, one below the other."""
        imports = "\n".join(self.imports)
        return "\n\n".join(part for part in (imports, *self.functions, self.migration) if part)


def step_code(difference: Difference, number: int) -> StepCode:
    """The step with this number that removes a difference.

    It renames fields that were likely renamed, and drops fields that are gone. Where the value of a
    field cannot be guessed, the step calls a function that has to be completed.

    >>> print(step_code(Difference(), 3).text())
    def change(record):
        raise NotImplementedError('change the dict of the record, and return it')
    <BLANKLINE>
    Migration(3, change=change)
    """
    code = _Code()
    code.rename = {
        gone.path: gone.new_path for gone in difference.gone if gone.is_reachable and gone.new_path
    }
    code.drop = [gone.path for gone in difference.gone if gone.is_reachable and not gone.new_path]
    unreachable = [part.path for part in difference.gone if not part.is_reachable]
    for added in difference.added:
        if added.is_reachable:
            code.add[added.path] = code.value_of(added)
        else:
            unreachable.append(added.path)
    for changed in difference.changed:
        code.convert[changed.name] = code.converter_of(changed)
    names = {changed.name for changed in difference.changed}
    paths = [gone.path for gone in difference.gone_classes]
    unreachable += [path for path in paths if path.partition(".")[0] not in names]
    if unreachable:
        code.write_change(f"change {', '.join(dict.fromkeys(unreachable))} in the dict, return it")
    elif not difference:
        code.write_change("change the dict of the record, and return it")
    return code.finished(number)


class _Code:
    """The source of a step, while it is written."""

    def __init__(self) -> None:
        self.rename: dict[str, str] = {}
        self.add: dict[str, str] = {}
        self.convert: dict[str, str] = {}
        self.drop: list[str] = []
        self._imports: set[str] = set()
        self._functions: dict[str, str] = {}

    def value_of(self, added: AddedField) -> str:
        """The value of a new field in old records, or the function that makes it."""
        make_default = added.field.make_default
        if added.is_volatile and make_default is not None:
            conversion = added.field.conversion_of_given()
            name = self._imported(make_default) if _is_plain(make_default, conversion) else None
            if name is not None:
                return name
        elif (empty := _empty_value(added.field.conversion.name)) is not None:
            return empty
        return self._function("make", added.path, "", f"give the value of {added.path}")

    def converter_of(self, changed: ChangedField) -> str:
        """The class or function that makes the new value of a field."""
        kinds = changed.conversion.name.split(" | ")
        for kind, converter, module in _CONVERTERS:
            if kind in kinds and _converts(converter, changed):
                if module:
                    self._imports.add(
                        f"from {module} import {converter.__qualname__.split('.')[0]}"
                    )
                return converter.__qualname__
        examples = ", ".join(show(example) for example in changed.examples)
        task = f"give the new value of {changed.name}: records have {examples}"
        return self._function("convert", changed.name, "value", task)

    def write_change(self, task: str) -> None:
        """Let the step call a function for the whole record."""
        self._functions["change"] = _function_text("change", "record", task)

    def finished(self, number: int) -> StepCode:
        """The source."""
        parts = [
            _dict_text("rename", {old: repr(new) for old, new in self.rename.items()}),
            _dict_text("convert", self.convert),
            f"drop={self.drop!r}" if self.drop else "",
            _dict_text("add", self.add),
            "change=change" if "change" in self._functions else "",
        ]
        arguments = [str(number), *(part for part in parts if part)]
        line = f"Migration({', '.join(arguments)})"
        if len(line) > _LINE:
            line = "Migration(\n" + "".join(f"    {each},\n" for each in arguments) + ")"
        return StepCode(sorted(self._imports), [*self._functions.values()], line)

    def _imported(self, function: Callable[[], Any]) -> str | None:
        """The name of a function of a module, which is imported. None if it has no such name."""
        owner = getattr(function, "__self__", None)
        module = getattr(owner if isinstance(owner, type) else function, "__module__", None)
        name = getattr(function, "__qualname__", "")
        try:
            found: Any = import_module(module or "")
            for part in name.split("."):
                found = getattr(found, part)
        except (ImportError, AttributeError, ValueError):
            return None
        if found != function:
            return None
        if module != "__main__":
            self._imports.add(f"from {module} import {name.split('.')[0]}")
        return str(name)

    def _function(self, verb: str, path: str, argument: str, task: str) -> str:
        name = f"{verb}_{path.replace('.', '_')}"
        self._functions[name] = _function_text(name, argument, task)
        return name


_LINE = 90
"""A call that is longer is written in several lines."""

_EMPTY = {
    "str": "''",
    "int": "0",
    "float": "0.0",
    "bool": "False",
    "bytes": "b''",
    "Any": "None",
    **{name: name for name in ("list", "dict", "set", "frozenset")},
}
"""The value of a new field by the type, or the class that makes it."""


def _empty_value(annotation: str) -> str | None:
    """The value that a new field may have in old records. None if it cannot be guessed."""
    if "None" in annotation.split(" | "):
        return "None"
    return _EMPTY.get(annotation.partition("[")[0])


def _is_plain(make: Callable[[], Any], conversion: Conversion) -> bool:
    """Whether the values of a factory are stored as they are."""
    try:
        value = make()
        return type(conversion.dump(value)) is type(value)
    except Exception:  # noqa: BLE001  # a factory may raise anything
        return False


_CONVERTERS: Sequence[tuple[str, Callable[[Any], Any], str]] = (
    *((kind.__name__, kind, "") for kind in (int, float, str)),
    ("Decimal", Decimal, "decimal"),
    ("UUID", UUID, "uuid"),
    *((kind.__name__, kind.fromisoformat, "datetime") for kind in (date, datetime, time)),
)
"""What makes a value of a type of another one: the name of the type, the function, its module."""


def _converts(convert: Callable[[Any], Any], changed: ChangedField) -> bool:
    """Whether a function makes values that the class takes, as far as some records tell."""
    try:
        for example in changed.examples:
            if type(example) not in (str, int, float, bool):
                return False
            changed.conversion.load(convert(example))
    except Exception:  # noqa: BLE001  # any misfit
        return False
    return True


def _dict_text(name: str, items: dict[str, str]) -> str:
    inside = ", ".join(f"{path!r}: {value}" for path, value in items.items())
    return f"{name}={{{inside}}}" if items else ""


def _function_text(name: str, argument: str, task: str) -> str:
    return f"def {name}({argument}):\n    raise NotImplementedError({task!r})"
