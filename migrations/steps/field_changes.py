"""What the declaration of a step does to the dict of a record: one small function for each path.

A path goes through dicts, and through each dict of a list. Where a record does not have the way,
there is nothing to do.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from copy import deepcopy
from typing import Any

from stones.collections.records.defaults import is_volatile
from stones.errors import (
    LockTimeoutError,
    MigrationError,
    RecordError,
    StorageError,
    StoreClosedError,
    TransactionError,
)
from stones.formats.messages import show, show_error, show_value

Action = Callable[[dict[str, Any]], object]

NOT_OF_THE_RECORD = (TransactionError, StorageError, StoreClosedError, LockTimeoutError)
"""The errors of a transaction, which a step that reads other collections lets through."""

MISSING: Any = object()


def path_names(number: int, path: Any) -> tuple[str, ...]:
    """The names in a path. Raises MigrationError."""
    names = tuple(path.split(".")) if isinstance(path, str) else ()
    if not all(names) or not names or names[0].startswith("$"):
        raise MigrationError(
            f"step {number}: {show(path)} is no path of a field: write 'name' or 'address.city'"
        )
    return names


def parent(path: str) -> str:
    """The path of the dict that the field is in."""
    return path.rpartition(".")[0]


def step_failure(number: int, what: str, error: Exception) -> Exception:
    """What is raised for the exception of a function of the user.

    A RecordError with the step and the path. The errors of a transaction stay as they are: they say
    nothing about the record.
    """
    if isinstance(error, NOT_OF_THE_RECORD):
        return error
    return RecordError(f"step {number}: {what}: {show_error(error)}")


def renamed(number: int, paths: Mapping[str, str]) -> Action:
    """Moves fields. All of them are taken out first, so two fields may change their names."""
    moves = [(path_names(number, old), path_names(number, new)) for old, new in paths.items()]
    if len(moves) == 1 and len(moves[0][0]) == len(moves[0][1]) == 1:  # the usual case, fast
        ((name,), (new_name,)) = moves[0]

        def rename_one(record: dict[str, Any]) -> None:
            if name in record:
                if new_name in record:
                    raise _occupied(number, name, new_name)
                record[new_name] = record.pop(name)

        return rename_one

    def rename(record: dict[str, Any]) -> None:
        found: list[tuple[dict[str, Any], tuple[str, ...], tuple[str, ...], Any]] = []
        for old, new in moves:
            inside = old[:-1] == new[:-1]
            for holder in _holders(number, record, old, into_lists=inside):
                if old[-1] in holder:
                    value = holder.pop(old[-1])
                    found.append((holder if inside else record, old, new, value))
        for holder, old, new, value in found:
            if old[:-1] != new[:-1]:
                holder = _made_holder(number, record, new)
            if new[-1] in holder:
                raise _occupied(number, ".".join(old), ".".join(new))
            holder[new[-1]] = value

    return rename


def converted(number: int, path: str, function: Callable[[Any], Any]) -> Action:
    """Replaces the value of a field. A class leaves None as it is."""
    names = path_names(number, path)
    last, is_class = names[-1], isinstance(function, type)

    def convert(record: dict[str, Any]) -> None:
        for holder in (record,) if len(names) == 1 else _holders(number, record, names):
            value = holder.get(last, MISSING)
            if value is MISSING or (value is None and is_class):
                continue
            try:
                holder[last] = function(value)
            except Exception as error:  # a function of the user may raise anything
                what = f"{path!r}: {show(value)} cannot be converted"
                raise step_failure(number, what, error) from error

    return convert


def dropped(number: int, path: str) -> Action:
    """Removes a field."""
    names = path_names(number, path)
    last = names[-1]

    def drop(record: dict[str, Any]) -> None:
        for holder in (record,) if len(names) == 1 else _holders(number, record, names):
            holder.pop(last, None)

    return drop


def added(number: int, path: str, value: Any) -> Action:
    """Adds a field where it is missing: the value, or what the function returns."""
    names = path_names(number, path)
    last, is_function = names[-1], callable(value)

    def add(record: dict[str, Any]) -> None:
        for holder in (record,) if len(names) == 1 else _holders(number, record, names):
            if last in holder:
                continue
            try:
                holder[last] = value() if is_function else deepcopy(value)
            except Exception as error:  # a function of the user may raise anything
                raise step_failure(number, f"{path!r}: no value for it", error) from error

    return add


def added_to_read(number: int, path: str, value: Any) -> Action:
    """The same, for a reader. Raises MigrationError if the function gives other values each time.

    Such a value must be stored before it is shown. It would be another one at the next read.
    """
    add, names = added(number, path, value), path_names(number, path)
    known: list[bool] = []

    def check(record: dict[str, Any]) -> None:
        if all(names[-1] in holder for holder in _holders(number, record, names)):
            return
        if not known:
            with suppress(Exception):  # a function of the user may raise anything: `add` tells
                known.append(is_volatile(value))
        if True in known:
            raise MigrationError(
                f"step {number} has not run, and its function for {path!r} gives another value "
                "each time: call migrate() before you read"
            )
        add(record)

    return check if callable(value) else add


def _holders(
    number: int, record: dict[str, Any], names: tuple[str, ...], *, into_lists: bool = True
) -> Iterator[dict[str, Any]]:
    """The dicts that have, or may have, the field at the end of a path."""
    holders: list[dict[str, Any]] = [record]
    for place, name in enumerate(names[:-1]):
        found: list[dict[str, Any]] = []
        for holder in holders:
            value = holder.get(name)
            items = value if isinstance(value, list | tuple) and into_lists else (value,)
            for item in items:
                if isinstance(item, dict):
                    found.append(item)
                elif item is not None:
                    raise _no_dict(number, names[: place + 1], item)
        holders = found
    return iter(holders)


def _made_holder(number: int, record: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """The dict for the field at the end of a path. It is made if it is missing."""
    holder = record
    for place, name in enumerate(names[:-1]):
        inside = holder.setdefault(name, {})
        if not isinstance(inside, dict):
            raise _no_dict(number, names[: place + 1], inside)
        holder = inside
    return holder


def _no_dict(number: int, names: tuple[str, ...], found: Any) -> RecordError:
    return RecordError(
        f"step {number}: {'.'.join(names)!r} is {show_value(found)}, and no dict of fields: "
        "use change="
    )


def _occupied(number: int, old: str, new: str) -> RecordError:
    return RecordError(
        f"step {number}: {old!r} cannot be renamed, because {new!r} is there already: drop one of "
        "them in an earlier step, or use change="
    )
