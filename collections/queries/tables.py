"""The records of a query as a table of pyarrow or pandas, where these packages are installed."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, time
from importlib import import_module
from typing import Any, Final
from uuid import UUID

from stones.collections.language.arrays import in_order
from stones.collections.language.jsonpath import ValuePath
from stones.collections.planning.execution import values
from stones.collections.planning.selection import Selection
from stones.errors import QueryError, UnsupportedError
from stones.formats.messages import show_error

from .queried_records import QueriedRecords

Columns = dict[str, list[Any]]
_LARGEST_INT: Final = 1 << 53
"""A float holds each int up to this one."""


def columns_of(
    source: QueriedRecords[Any, Any], selection: Selection, texts: Sequence[str]
) -> Columns:
    """The values at each path, one for each record. Without paths: the fields of the class.

    A path that may find several values gives a list. One that finds nothing gives None.
    """
    paths = (
        dict(zip(texts, source.value_paths(texts), strict=True)) if texts else source.field_paths()
    )
    table: Columns = {name: [] for name in paths}
    columns = [(path, table[name].append) for name, path in paths.items()]
    for _, found in values(source.records, selection, [*paths.values()]):
        for (path, append), items in zip(columns, found, strict=True):
            append(cell_of(path, items))
    return table


def cell_of(path: ValuePath, found: Sequence[Any]) -> Any:
    """What a path has found in a record as one value."""
    if not path.leads_to_one:
        return [*map(path.load, found)]
    return path.load(found[0]) if found else None


def to_arrow(columns: Columns) -> Any:
    """A `pyarrow.Table`. A set becomes a list in a fixed order, a UUID becomes text.

    Raises UnsupportedError where pyarrow is not installed, QueryError for values that have no type
    of Arrow in common.
    """
    pyarrow = _package("pyarrow", "to_arrow()")
    arrays = {}
    for name, column in columns.items():
        try:
            check_zones(column)
            arrays[name] = pyarrow.array([arrow_form(value) for value in column])
        except (pyarrow.ArrowException, ValueError, TypeError, OverflowError) as error:
            raise QueryError(
                f"to_arrow(): the values of {name!r} do not fit one column: {show_error(error)}"
            ) from error
    return pyarrow.table(arrays)


def to_pandas(columns: Columns) -> Any:
    """A `pandas.DataFrame`. Raises UnsupportedError where pandas is not installed."""
    pandas = _package("pandas", "to_pandas()")
    return pandas.DataFrame(
        {
            # pandas makes floats of ints beside None or a float.
            name: pandas.Series(column, dtype=object) if _has_large_ints(column) else column
            for name, column in columns.items()
        }
    )


def _has_large_ints(column: Sequence[Any]) -> bool:
    """Whether the column has ints that floats do not hold, among values that are no ints."""
    ints = [value for value in column if type(value) is int]
    return len(ints) < len(column) and any(abs(value) > _LARGEST_INT for value in ints)


def check_zones(column: Sequence[Any]) -> None:
    """Raise ValueError for naive beside aware datetimes, which pyarrow would take for UTC."""
    if len({value.tzinfo is None for value in column if isinstance(value, datetime)}) > 1:
        raise ValueError("some datetimes have a time zone, and some have none")


def arrow_form(value: Any) -> Any:
    """A value as pyarrow takes it: a UUID as text, a set as a list. Raises ValueError."""
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, time) and value.tzinfo is not None:  # pyarrow would drop the zone
        raise ValueError("Arrow has no times with a time zone")
    if isinstance(value, dict):
        return {key: arrow_form(item) for key, item in value.items()}
    if isinstance(value, AbstractSet):
        value = in_order(value)
    if isinstance(value, list | tuple):
        return [arrow_form(item) for item in value]
    return value


def _package(name: str, method: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise UnsupportedError(
            f"{method} needs the package {name}, which is not installed: pip install {name}"
        ) from error
