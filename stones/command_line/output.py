"""What commands print: rows and facts, as a table for people, as JSON or CSV for programs.

On a terminal the default is a table, and what is longer than the screen goes to a pager. In a pipe
it is JSON Lines. Neither colours nor control characters of a store reach a terminal unasked.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, TypeVar

import click

from stones.formats.serializers import serializer

from .terminal_text import printable, printable_json

F = TypeVar("F", bound=Callable[..., Any])
Row = Mapping[str, Any]


def form_options(command: F) -> F:
    """Give a command one option for each form of its output. It gets the form as `form`."""
    return text_form_options(
        _form_option("table", "Print a table. This is the default on a terminal.")(command)
    )


def text_form_options(command: F) -> F:
    """The same without a table, for a command whose default is plain lines."""
    for form, text in [
        ("csv", "Print CSV with a header."),
        ("jsonl", "Print a line of JSON for each row."),
        ("json", "Print one JSON document."),
    ]:
        command = _form_option(form, text)(command)
    return command


def chosen_form(form: str | None) -> str:
    """The form that an option names. Without one: a table on a terminal, JSON Lines elsewhere."""
    return form or ("table" if sys.stdout.isatty() else "jsonl")


def print_rows(
    rows: Iterable[Row],
    columns: Sequence[str] | None = None,
    *,
    form: str | None = None,
    title: str | None = None,
) -> None:
    """Print rows one after the other, in constant memory.

    `form` is "json" (one array), "jsonl", "csv" or "table". Without it, this is a table on a
    terminal and JSON Lines otherwise. The columns are `columns`; without them, the names in the
    first row. A row may lack some of them. `title` stands above a table.

    JSON is as `stones get --json` prints it, with tags for the types that JSON lacks. Raises
    SerializerError for a value that JSON cannot hold.
    """
    rest = iter(rows)
    first = next(rest, None)
    found = () if first is None else (first,)
    names = [*columns] if columns is not None else [*(first or ())]
    every = chain(found, rest)
    form = chosen_form(form)
    if form == "table":
        from .tables import table_text  # it loads rich

        print_lines(table_text(every, names, title))
        return
    picked = every if columns is None else ({n: r[n] for n in names if n in r} for r in every)
    if form == "csv":
        print_lines(_csv(every, names))
    elif form == "json":
        _print_bytes(_json_array(picked))
    else:
        _print_bytes(_json(row) + b"\n" for row in picked)


def print_facts(facts: Row, form: str | None = None) -> None:
    """Print facts, each with its name: one a line on a terminal, else as one JSON object.

    `form` is as in `print_rows`; "json" is indented.
    """
    form = chosen_form(form)
    if form == "table":
        from .tables import facts_text  # it loads rich

        print_lines(facts_text(facts))
    elif form == "json":
        import msgspec

        _print_bytes([msgspec.json.format(_json(facts), indent=2) + b"\n"])
    else:
        print_rows([facts], form=form)


def print_lines(lines: Iterable[str]) -> None:
    """Print lines, which end with a newline, and in which nothing is left to escape.

    On a terminal they go to the pager if there are more than the screen has.
    """
    if sys.stdout.isatty():
        _page(lines)
        return
    _write(line.encode("utf-8", "surrogatepass") for line in lines)


def _form_option(form: str, text: str) -> Callable[[F], F]:
    return click.option(f"--{form}", "form", flag_value=form, help=text)


def _json(row: Row) -> bytes:
    return serializer("json").encode(dict(row))


def _json_array(rows: Iterable[Row]) -> Iterator[bytes]:
    before = b"["
    for row in rows:
        yield before + _json(row)
        before = b",\n "
    yield b"[]\n" if before == b"[" else b"]\n"


def _csv(rows: Iterable[Row], names: Sequence[str]) -> Iterator[str]:
    import csv
    from io import StringIO

    from stones.migrations.exporting.csv_rows import cell_text  # it loads all of collections

    on_terminal = sys.stdout.isatty()

    def show(value: Any) -> str:
        text = cell_text(value)
        return printable(text) if on_terminal else text

    lines = StringIO(newline="")
    writer = csv.writer(lines, lineterminator="\n" if on_terminal else "\r\n")
    writer.writerow(map(show, names))
    for row in rows:
        yield lines.getvalue()
        lines.seek(0)
        lines.truncate()
        writer.writerow([show(row.get(name)) for name in names])
    yield lines.getvalue()


def _print_bytes(lines: Iterable[bytes]) -> None:
    """Print JSON."""
    if sys.stdout.isatty():
        _page(printable_json(line.decode()) for line in lines)
        return
    _write(lines)


def _write(lines: Iterable[bytes]) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.writelines(lines)
    sys.stdout.buffer.flush()


def _page(lines: Iterable[str]) -> None:
    """Print lines on the terminal, or show them in a pager if there are more than it has."""
    import shutil  # what only a terminal needs

    screen = shutil.get_terminal_size()
    rest = iter(lines)
    start: list[str] = []
    height = 0
    for line in rest:
        start.append(line)
        height += max(1, -(-len(click.unstyle(line).rstrip("\n")) // max(screen.columns, 1)))
        if height >= screen.lines:
            # The pager ends the last line by itself.
            click.echo_via_pager(_without_last_end(chain(start, rest)))
            return
    click.echo("".join(start), nl=False)


def _without_last_end(lines: Iterable[str]) -> Iterator[str]:
    end = ""
    for line in lines:
        yield end + line.removesuffix("\n")
        end = "\n"
