"""Arrow's file format and Parquet, where pyarrow is installed.

The rows are read twice: first for the types of the columns, then to write them. So memory does not
grow with the number of rows.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from importlib import import_module
from itertools import islice
from types import NoneType
from typing import Any

from stones.collections.indexes.encoding import MISSING
from stones.collections.queries.tables import arrow_form, check_zones
from stones.errors import QueryError, UnsupportedError
from stones.formats.json_serializer import is_plain
from stones.formats.messages import show_error

from .columns import Columns, columns_of
from .sources import Picked, Source

Write = Callable[[bytes], object]
ROWS = 10_000
"""So many rows make a batch."""
_AS_THEY_ARE = frozenset({str, int, float, bool, NoneType, bytes, Decimal, date})
"""The types whose values pyarrow takes, each as it is."""


def write_arrow(source: Source, picked: Picked | None, write: Write) -> Iterator[int]:
    """Write the rows in Arrow's file format. Gives how many more were written, batch by batch."""
    pyarrow = _package("pyarrow", "arrow")
    columns = columns_of(source, picked)
    schema = _schema(pyarrow, columns, source, "arrow")
    file = pyarrow.PythonFile(_Sink(write), mode="w")
    with pyarrow.ipc.new_file(file, schema) as writer:
        for batch in _batches(pyarrow, columns, source, "arrow", schema):
            writer.write_batch(batch)
            yield batch.num_rows


def write_parquet(source: Source, picked: Picked | None, write: Write) -> Iterator[int]:
    """Write the rows as Parquet. Gives how many more were written, batch by batch."""
    pyarrow = _package("pyarrow", "parquet")
    parquet = _package("pyarrow.parquet", "parquet")
    columns = columns_of(source, picked)
    schema = _schema(pyarrow, columns, source, "parquet")
    try:
        with parquet.ParquetWriter(pyarrow.PythonFile(_Sink(write), mode="w"), schema) as writer:
            for batch in _batches(pyarrow, columns, source, "parquet", schema):
                writer.write_batch(batch)
                yield batch.num_rows
    except pyarrow.ArrowNotImplementedError as error:  # a dict without items, for instance
        raise QueryError(f"export to parquet: it cannot hold this: {show_error(error)}") from error


class _Sink:
    """What pyarrow writes to."""

    closed = False

    def __init__(self, write: Write) -> None:
        self._write = write

    def write(self, data: Any) -> int:
        raw = bytes(data)
        self._write(raw)
        return len(raw)

    def flush(self) -> None:
        """The file is closed by whoever opened it."""

    def close(self) -> None:
        """The file is closed by whoever opened it."""


def _schema(pyarrow: Any, columns: Columns, source: Source, form: str) -> Any:
    """The types of all columns."""
    schemas = [batch.schema for batch in _batches(pyarrow, columns, source, form, None)]
    if not schemas:
        return pyarrow.schema([(name, pyarrow.null()) for name in columns.names])
    try:
        return pyarrow.unify_schemas(schemas, promote_options="permissive")
    except pyarrow.ArrowException as error:
        raise QueryError(f"export to {form}: {show_error(error)}") from error


def _batches(
    pyarrow: Any, columns: Columns, source: Source, form: str, schema: Any
) -> Iterator[Any]:
    rows = columns.rows(source)
    known: list[Any] = []
    while some := [*islice(rows, ROWS)]:
        arrays = []
        for place, name in enumerate(columns.names):
            kind = None if schema is None else schema.field(place).type
            arrays.append(_array(pyarrow, [row[place] for row in some], kind, name, form))
        if schema is None:
            batch = pyarrow.record_batch(arrays, names=[*columns.names])
            if batch.schema in known:  # the schemas would grow with the rows
                continue
            known.append(batch.schema)
            yield batch
        else:
            yield pyarrow.record_batch(arrays, schema=schema)


def _array(pyarrow: Any, values: Sequence[Any], kind: Any, name: str, form: str) -> Any:
    try:
        return pyarrow.array(_cells(values), type=kind)
    except (pyarrow.ArrowException, ValueError, TypeError, OverflowError) as error:
        raise QueryError(
            f"export to {form}: the values of {name!r} do not fit one column: {show_error(error)}"
        ) from error


def _cells(values: Sequence[Any]) -> Sequence[Any]:
    """The values of a column as pyarrow takes them. Raises ValueError."""
    if {*map(type, values)} <= _AS_THEY_ARE:
        return values
    check_zones(values)
    cells = [None if value is MISSING else value for value in values]
    return [cell if is_plain(cell) else arrow_form(cell) for cell in cells]


def _package(name: str, form: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise UnsupportedError(
            f"an export to {form} needs the package pyarrow, which is not installed: "
            "pip install pyarrow"
        ) from error
