"""`export_to`: what a store holds, in a form that other programs read."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from time import perf_counter
from typing import Any

from attrs import field, frozen

from stones.errors import UnsupportedError
from stones.formats.messages import show
from stones.migrations.progress import Progress, ProgressCounter

from .arrow_tables import write_arrow, write_parquet
from .csv_rows import write_csv
from .json_lines import write_json_lines
from .sources import Picked, Source, picked, source_of
from .whole_output import Write, output

Writer = Callable[[Source, Picked | None, Write], Iterator[int]]
WRITERS: Mapping[str, Writer] = {
    "jsonl": write_json_lines,
    "csv": write_csv,
    "arrow": write_arrow,
    "parquet": write_parquet,
}
ENDINGS: Mapping[str, str] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".parquet": "parquet",
}


@frozen
class ExportReport:
    """The result of `export_to`.

    >>> import io
    >>> from stones import MemoryStore, export_to
    >>> export_to(io.BytesIO(), MemoryStore({'a': 1, 'b': 2}))
    ExportReport(form='jsonl', rows=2, size=44)
    """

    form: str
    """`jsonl`, `csv`, `arrow` or `parquet`."""
    rows: int
    """The entries or records that it has written."""
    size: int
    """How many bytes it has written."""
    seconds: float = field(default=0.0, eq=False, repr=False)
    """How long it took."""


def export_to(
    path_or_file: Any,
    source: Any,
    *,
    form: str | None = None,
    filter: str | None = None,
    fields: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> ExportReport:
    """Write entries or records as JSON Lines, CSV, Arrow or Parquet.

    `path_or_file` is a path, or a file that was opened for bytes. A file at a path is written
    whole or not at all. `source` is a store, a snapshot, a namespace, a collection, or a range of
    one of these. `form` is "jsonl", "csv", "arrow" or "parquet"; without it, the ending of the path
    tells, and otherwise it is "jsonl".

    `filter` is a JSONPath filter over the records, or over the values. `fields` are the fields to
    write, as names or paths such as 'address.city'. `progress` is called with the rows done and
    about all of them.

    JSON Lines have all values and types, and `import_from` reads them. Records have the defaults of
    fields that were added later. Reads one snapshot, or for the other forms two, in constant
    memory. Raises QueryError for a filter, for fields, and for values that the form cannot hold;
    StorageError if the file cannot be written; UnsupportedError for another form, and where pyarrow
    is not installed.

    >>> import io
    >>> from stones import MemoryStore, export_to
    >>> file = io.BytesIO()
    >>> report = export_to(file, MemoryStore({'point': (1, 2)}))
    >>> file.getvalue()
    b'{"key":"point","value":{"$tuple":[1,2]}}\\n'
    """
    return export_source(
        path_or_file,
        source_of(source, filter),
        form=form_of(path_or_file, form),
        fields=fields,
        progress=progress,
    )


def export_source(
    path_or_file: Any,
    source: Source,
    *,
    form: str,
    fields: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> ExportReport:
    """The same for a source that is made already, and a form that is known."""
    began = perf_counter()
    take = picked(source, fields)
    counter = ProgressCounter(progress if source.total else None, source.total or 1)
    rows = size = 0
    with output(path_or_file) as write:

        def write_counted(data: bytes) -> None:
            nonlocal size
            size += len(data)
            write(data)

        for more in WRITERS[form](source, take, write_counted):
            rows += more
            counter.add(more)
    counter.finish()
    return ExportReport(form, rows, size, perf_counter() - began)


def form_of(path_or_file: Any, form: str | None) -> str:
    """The form that the user means. Raises UnsupportedError."""
    if form is None:
        ending = ""
        if isinstance(path_or_file, str | os.PathLike):
            ending = os.path.splitext(os.fsdecode(path_or_file))[1].lower()
        return ENDINGS.get(ending, "jsonl")
    if form not in WRITERS:
        raise UnsupportedError(
            f"an export has one of the forms {', '.join(WRITERS)}, and not {show(form)}"
        )
    return form
