"""The commands `find` and `count`: the records of a collection that match."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from stones.errors import RecordError
from stones.formats.messages import show

from .completion import complete_collection, complete_condition, complete_fields
from .opening import open_store
from .options import Limit, from_option, path_argument, trust_option
from .output import form_options, print_rows
from .records import (
    class_option,
    collection_at,
    field_values,
    is_assignment,
    marking_errors,
    parse_json,
    plain_record,
    typed_fields,
)
from .terminal_text import printable
from .usage import KeyCommand

if TYPE_CHECKING:
    from stones.collections.collection import Collection
    from stones.collections.queries.query import Query
    from stones.collections.without_class.field_values import FieldValues

KEY = "_key"
"""The column of keys that no field of the record has."""

collection_argument = click.argument("collection", shell_complete=complete_collection)
terms_argument = click.argument(
    "terms", metavar="[FILTER | FIELD=VALUE]...", nargs=-1, shell_complete=complete_condition
)


@click.command(
    cls=KeyCommand,
    examples="""
        # records whose fields have these values
        stones find my-db User age=36
        # records that match a filter, the oldest first
        stones find my-db User '@.age > 30' --order-by -age
        # a date is typed beside the filter
        stones find my-db User '@.joined >= {since}' since=2021-01-01
        # some fields only, for a spreadsheet
        stones find my-db User --fields name,joined --csv
        # page by page: standard error says how the next page is asked for
        stones find my-db User --order-by joined --limit 2
        # how the query is answered
        stones find my-db User '@.age > 30' --explain
    """,
)
@path_argument
@collection_argument
@terms_argument
@click.option(
    "--order-by",
    multiple=True,
    metavar="A,-B",
    shell_complete=complete_fields,
    help="Sort by these fields or paths; from high to low with a minus.",
)
@click.option("--reverse", is_flag=True, help="The opposite order: by itself, of the keys.")
@click.option("--limit", type=Limit(), metavar="NUMBER", help="Print at most so many records.")
@click.option("--after", metavar="CURSOR", help="Go on behind the page that gave this cursor.")
@click.option(
    "--fields",
    multiple=True,
    metavar="A,B",
    shell_complete=complete_fields,
    help="Print only these fields or paths: name,tags[0].",
)
@click.option("--explain", is_flag=True, help="Print how the query is answered, and do not run it.")
@form_options
@class_option
@trust_option
@from_option
def find(
    path: str,
    collection: str,
    terms: tuple[str, ...],
    order_by: tuple[str, ...],
    reverse: bool,
    limit: int | None,
    after: str | None,
    fields: tuple[str, ...],
    explain: bool,
    form: str | None,
    class_name: str | None,
    serialize: str | None,
    trust_pickle: bool,
) -> None:
    """Print the records of COLLECTION that match, in the order of their keys.

    FILTER is a JSONPath filter, such as '@.age > 30'. FIELD=VALUE asks for records whose field has
    this value, typed as text; FIELD:=JSON takes JSON. A record has to match all of them. Without
    any, all records are printed.

    A place in FILTER such as {since} has the value of since=VALUE, which is typed as the field that
    is compared with it: '@.joined >= {since}' since=2020-01-31.

    If --limit leaves records out, the last line on standard error has the cursor of the next page.
    """
    with open_store(path, serialize, None, trust_pickle=trust_pickle, readonly=True) as store:
        records = collection_at(store, path, collection, class_name)
        values = field_values(records)
        query = matching(records, values, terms)
        if order_by:
            query = query.order_by(*_names(order_by))
        if reverse:
            query = query.reversed()
        if after is not None:
            query = query.after(after)
        query = query.limit(limit)
        if explain:
            _print_plan(query, form)
            return
        if fields:
            names = _names(fields)
            rows = _picked(query, names, values.names)
        else:
            names = [*values.names] if values.key_names else [KEY, *values.names]
            rows = _whole(records, query, has_key=bool(values.key_names))
        printed = _Counted(rows)
        print_rows(printed, names, form=form)
        if limit is not None and printed.count == limit:
            _print_next_page(query)


@click.command(
    cls=KeyCommand,
    examples="""
        # how many records there are
        stones count my-db User
        # and how many of them match
        stones count my-db User '@.age > 30'
    """,
)
@path_argument
@collection_argument
@terms_argument
@class_option
@trust_option
@from_option
def count(
    path: str,
    collection: str,
    terms: tuple[str, ...],
    class_name: str | None,
    serialize: str | None,
    trust_pickle: bool,
) -> None:
    """Print how many records of COLLECTION match.

    FILTER and FIELD=VALUE are as for `stones find`. Without any, no record is read.
    """
    with open_store(path, serialize, None, trust_pickle=trust_pickle, readonly=True) as store:
        records = collection_at(store, path, collection, class_name)
        if not terms:
            click.echo(len(records))
            return
        click.echo(matching(records, field_values(records), terms).count())


def matching(
    records: "Collection[Any, Any]", values: "FieldValues", terms: Sequence[str]
) -> "Query[Any, Any]":
    """The records that match all filters and FIELD=VALUE of the user."""
    query = records.find()
    words = [term for term in terms if is_assignment(term)]
    places: set[str] = set()
    for term in terms:
        if not is_assignment(term):
            with marking_errors(term):
                query = query.find(_filter(term), **_bound(term, values, words))
            places.update(_PLACE.findall(term))
    fields = typed_fields(values, [word for word in words if _split(word)[0] not in places])
    for name, is_json, _ in map(_split, words):
        if name in fields and not is_json:
            _check(values, name, fields[name])
    return query.find(**fields) if fields else query


def _bound(filter: str, values: "FieldValues", words: Sequence[str]) -> dict[str, Any]:
    """The values of the places in a filter, such as `{since}`, from words such as `since=2021`.

    A text is typed as the field that is compared with the place: `@.joined > {since}`.
    """
    names = {*_PLACE.findall(filter)}
    compared = {match[2]: match[1] for match in _COMPARED_WITH.finditer(filter)}
    found: dict[str, Any] = {}
    for name, is_json, text in map(_split, words):
        if name not in names:
            continue
        if is_json:
            found[name] = parse_json(text, name)
        else:
            found[name] = values.from_text(compared[name], text) if name in compared else text
            if name in compared:
                _check(values, compared[name], found[name])
    return found


def _check(values: "FieldValues", name: str, value: Any) -> None:
    """Raise RecordError for a text that is of no type of its field: it would find nothing."""
    try:
        values.check(name, value)
    except RecordError as error:
        raise RecordError(f"{error}; for another type, give JSON: {name}:=...") from error


def _split(word: str) -> tuple[str, bool, str]:
    """The name in FIELD=VALUE or FIELD:=JSON, whether it has JSON, and the text."""
    name, _, text = word.partition("=")
    return name.removesuffix(":"), name.endswith(":"), text


def _filter(term: str) -> str:
    """A filter. Raises UsageError for what is none, such as `age>30`."""
    if "@" in term or "$" in term:
        return term
    meant = _COMPARED.fullmatch(term)
    inside = _INSIDE.fullmatch(term)
    example = "'@.age > 30'"
    if meant is not None:
        example = f"'@.{meant[1]} {meant[2]} ...'"
    elif inside is not None:  # only the fields of a record tell how a value is typed
        example = f"'@.{inside[1]} == ...', with text in double quotes"
    raise click.UsageError(
        f"{show(term)} is neither a filter nor FIELD=VALUE: a filter is typed as {example}"
    )


_PLACE = re.compile(r"\{([^\W\d]\w*)\}")
_COMPARED_WITH = re.compile(r"@\.([^\W\d]\w*)\s*(?:==|!=|<=|>=|<|>)\s*\{([^\W\d]\w*)\}")
_INSIDE = re.compile(r"([^\W\d]\w*(?:\.[^\W\d]\w*)+)\s*=(?!=)(?s:.*)")
"""A value of a path, such as `address.city=Rome`."""
_COMPARED = re.compile(r"\s*([^\W\d]\w*)\s*(==|!=|<=|>=|<|>|=~)(?s:.*)")


def _names(texts: Sequence[str]) -> list[str]:
    """The names in options such as `name,age`. Raises UsageError for an empty one."""
    names = [name.strip() for text in texts for name in _COMMA.split(text)]
    if not all(names):
        raise click.UsageError(f"{show(','.join(texts))} has an empty name")
    return names


_COMMA = re.compile(r""",(?![^\[]*\])""")
"""A comma that is not inside of brackets, as in `tags[0,1]`."""


def _whole(
    records: "Collection[Any, Any]", query: "Query[Any, Any]", *, has_key: bool
) -> Iterator[Mapping[str, Any]]:
    """The matching records as dicts. If their fields do not have their keys, the keys are added."""
    if has_key:
        for record in query:
            yield plain_record(records, record)
        return
    for key, record in query.items():
        yield {KEY: key, **plain_record(records, record)}


def _picked(
    query: "Query[Any, Any]", names: Sequence[str], known: Sequence[str]
) -> Iterator[Mapping[str, Any]]:
    """The values of some paths, as rows."""
    # In quotes, the name of a field is no word of the language.
    paths = [f'$["{name}"]' if name in known else name for name in names]
    # One path alone would give nothing for a record without it. Two give a tuple for each record.
    for found in query.values(paths[0], *paths[1:], paths[0]):
        yield dict(zip(names, found, strict=False))


class _Counted:
    """Counts what passes."""

    def __init__(self, rows: Iterator[Mapping[str, Any]]) -> None:
        self._rows, self.count = rows, 0

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        for row in self._rows:
            self.count += 1
            yield row


def _print_next_page(page: "Query[Any, Any]") -> None:
    cursor = page.cursor()
    if cursor is not None and page.after(cursor).exists():
        click.echo(f"next page: --after {cursor}", err=True)


def _print_plan(query: "Query[Any, Any]", form: str | None) -> None:
    plan = query.explain()
    if form in (None, "table"):
        click.echo("\n".join(map(printable, str(plan).split("\n"))))
        return
    if form == "csv":
        raise click.UsageError("a plan has no columns: leave --csv out, or print it with --json")
    click.echo(json.dumps(plan.as_dict(), indent=2 if form == "json" else None))
