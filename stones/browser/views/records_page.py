"""A page of the table of records of a collection.

It reads the records of the page and one more, whatever the size of the collection. With a filter
that no index answers, it reads on until it has found as many.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from attrs import evolve, frozen

from stones.browser.limits import LONGEST_QUERY
from stones.collections.collection_reader import CollectionReader, queried_records
from stones.collections.indexes.definition import IndexInfo
from stones.collections.keys import named_annotation
from stones.collections.planning.explain import Plan
from stones.collections.typed_keys import show_parts
from stones.collections.without_class.field_values import FieldValues
from stones.errors import QueryError, StoneError

from .cells import MISSING, Cell, cell
from .filter_error import FilterError
from .page_reading import PageOfRecords, RecordOrder, order_path, read_page
from .texts import printable

LIMITS = (25, 50, 100, 250)
"""How many records a page may have."""
MOST_COLUMNS = 50
"""A table has at most so many columns."""
MOST_KEY = 120
"""Of a key, a table shows at most so many characters."""
SORTED_IN_MEMORY = 10_000
"""A collection with more records is sorted by its key and its indexes only."""


@frozen
class RecordsRequest:
    """Which records of a collection a page shall show."""

    filter: str = ""
    """A JSONPath, as `find` takes it. Empty for all records."""
    order_by: str = ""
    """See `RecordOrder.from_text`."""
    after: str = ""
    """The cursor behind which the page begins."""
    before: str = ""
    """The cursor before which the page ends: of the opposite order."""
    limit: int = 50

    @classmethod
    def of(cls, arguments: Mapping[str, str]) -> "RecordsRequest":
        """The request of the arguments of a URL. What makes no sense there counts as absent."""
        names = ("filter", "order_by", "after", "before")
        texts = {name: arguments.get(name, "").strip() for name in names}
        limit = arguments.get("limit", "")
        known = {str(each): each for each in LIMITS}
        return cls(**texts, limit=known.get(limit, 50))

    def arguments(self, **changes: str) -> dict[str, str]:
        """The arguments of a URL for this request with changes, beginning with its first page."""
        kept = {"filter": self.filter, "order_by": self.order_by, "limit": str(self.limit)}
        found = {**kept, **changes}
        return {k: v for k, v in found.items() if v and (k, v) != ("limit", "50")}

    def api_arguments(self) -> dict[str, str]:
        """The arguments for the same records as JSON: the API has no reversed order of the keys."""
        return {k: v for k, v in self.arguments().items() if (k, v) != ("order_by", "-")}

    def without_filter(self) -> dict[str, str]:
        """The arguments of a URL for all records in this order."""
        return self.arguments(filter="")


@frozen
class Column:
    """A column of the table."""

    name: str
    types: str
    """The types of its values in some of the records: 'int | None'."""
    sort: Mapping[str, str] | None = None
    """The arguments for the table sorted by it. None if that would read the whole collection."""
    direction: str = ""
    """How the table is sorted by it, as `aria-sort` has it; empty if it is not."""
    is_number: bool = False
    """Whether numbers stand in it."""


@frozen
class Row:
    """A record in the table."""

    key: str
    """The key, for people."""
    parts: tuple[str, ...]
    """The parts of the key, as a URL has them."""
    cells: tuple[Cell, ...] = ()
    problem: str = ""
    """Why the record cannot be read, in the place of its cells."""


@frozen
class SortChoice:
    """An order in which the table can be shown."""

    sort: str
    """The argument."""
    label: str
    is_chosen: bool


@frozen
class RecordsPage:
    """A page of the table of records."""

    name: str
    """The name of the collection."""
    count: int
    """How many records the collection has."""
    request: RecordsRequest
    key_column: Column
    """The column of the keys."""
    columns: tuple[Column, ...]
    """The other columns."""
    columns_left: int
    """How many fields have no column, because there are too many."""
    orders: tuple[SortChoice, ...]
    indexes: tuple[IndexInfo, ...]
    rows: tuple[Row, ...] = ()
    plan: tuple[tuple[str, str, str], ...] = ()
    """How the query is answered, as `Plan.rows`. Empty for all records in the order of the key."""
    error: FilterError | None = None
    """Why the filter cannot be used."""
    problem: StoneError | None = None
    """Why there are no more rows on the page, though there may be more records."""
    unreadable: str = ""
    """Why none of the records can be read, if that is so."""
    first: Mapping[str, str] | None = None
    """The arguments for the first page. None if this is it."""
    previous: Mapping[str, str] | None = None
    """The arguments for the page before this one, if there is one."""
    next: Mapping[str, str] | None = None
    """The arguments for the next page, if there is one."""

    @classmethod
    def of(cls, collection: CollectionReader[Any, Any], request: RecordsRequest) -> "RecordsPage":
        """The page that a request asks for. O(records of the page), unless it has to search."""
        page = _empty(cls, collection, request)
        order = RecordOrder.from_text(request.order_by)
        try:
            query = collection.find(request.filter or None)
        except StoneError as error:
            return evolve(page, error=FilterError.of(error, request.filter))
        try:
            plan = None
            if request.filter or order.paths:
                plan = order.applied(query).limit(request.limit).explain()
            read = read_page(
                collection,
                query if plan is None else _as_planned(query, plan, page.indexes),
                order,
                after=request.after,
                before=request.before,
                limit=request.limit,
                is_whole=not request.filter,
            )
        except QueryError as error:  # an order that cannot be, or a cursor of another query
            return evolve(page, problem=error, first=request.arguments())
        names = [each.name for each in page.columns]
        is_first = read.previous is None and not (request.after and not read.entries)
        return evolve(
            page,
            rows=tuple(_rows(collection, read, names)),
            plan=() if plan is None else _plan_rows(plan),
            problem=read.problem or _too_long(read, request),
            unreadable=_unreadable(read),
            first=None if is_first else request.arguments(),
            previous=None
            if read.previous is None
            else _link(request.arguments(before=read.previous)),
            next=None if read.next is None else _link(request.arguments(after=read.next)),
        )


def _link(arguments: Mapping[str, str]) -> Mapping[str, str] | None:
    """The arguments, if a URL may be as long."""
    return arguments if len(urlencode(arguments)) <= LONGEST_QUERY else None


def _too_long(read: PageOfRecords, request: RecordsRequest) -> StoneError | None:
    """Why there is no link to the next page. A cursor has the values that the order compares."""
    if read.next is None or _link(request.arguments(after=read.next)):
        return None
    return QueryError(
        "the next page has no link, since the last record has a value in this order that is too "
        "long for a URL: choose another order"
    )


def _empty(
    cls: type[RecordsPage], collection: CollectionReader[Any, Any], request: RecordsRequest
) -> RecordsPage:
    """The page without its rows."""
    values, count, indexes = FieldValues.of(collection), len(collection), collection.indexes
    sortable = {"": ""} | {
        ",".join(filter(None, (order_path(path.split(".")) for path in each.paths))): each.name
        for each in indexes
        if _gives_an_order(each)
    }
    names = [name for name in values.names if name not in values.key_names]
    in_memory = count <= SORTED_IN_MEMORY
    columns = tuple(
        _column(request, name, values.types(name), sortable, in_memory)
        for name in names[:MOST_COLUMNS]
    )
    key_name = ", ".join(values.key_names) or "key"
    key_type = queried_records(collection).records.type.key_codec.name
    return cls(
        collection.name,
        count,
        request,
        _key_column(request, key_name, key_type),
        columns,
        max(len(names) - MOST_COLUMNS, 0),
        tuple(_orders(request, key_name, sortable)),
        indexes,
    )


def _gives_an_order(index: IndexInfo) -> bool:
    """Whether each record is in the index once."""
    return index.state == "ready" and not index.each and index.where is None


def _column(
    request: RecordsRequest,
    name: str,
    types: Sequence[str],
    sortable: Collection[str],
    in_memory: bool,
) -> Column:
    path = order_path([name])
    is_number = set() < {*types} - {"None"} <= {"int", "float", "Decimal"}
    column = Column(name, " | ".join(types), is_number=is_number)
    if path is None or not (in_memory or path in sortable):
        return column
    return _sorted_by(column, request, path)


def _key_column(request: RecordsRequest, name: str, type: str) -> Column:
    return _sorted_by(Column(name, type, is_number=type == "int"), request, "")


def _sorted_by(column: Column, request: RecordsRequest, up: str) -> Column:
    """The column with the arguments for the table sorted by it, or sorted the other way round."""
    direction = {up: "ascending", f"-{up}": "descending"}.get(request.order_by, "")
    turned = f"-{up}" if direction == "ascending" else up
    return evolve(column, sort=request.arguments(order_by=turned), direction=direction)


def _orders(
    request: RecordsRequest, key_name: str, sortable: Mapping[str, str]
) -> Iterator[SortChoice]:
    for sort, label in sortable.items():
        up, down = sort, "-" + sort.replace(",", ",-")
        label = label or key_name
        yield SortChoice(up, f"{label}, from low to high", request.order_by == up)
        yield SortChoice(down, f"{label}, from high to low", request.order_by == down)
    if request.order_by not in {
        each for sort in sortable for each in (sort, "-" + sort.replace(",", ",-"))
    }:
        yield SortChoice(request.order_by, printable(request.order_by, 100), True)


def _rows(
    collection: CollectionReader[Any, Any], read: PageOfRecords, names: Sequence[str]
) -> Iterator[Row]:
    annotation = named_annotation(queried_records(collection).records.type.key_codec.name)
    for entry in read.entries:
        parts = tuple(show_parts(annotation, entry.key))
        text = printable(", ".join(parts), MOST_KEY)
        if entry.problem is not None:
            yield Row(text, parts, problem=printable(str(entry.problem), 1000))
            continue
        record = entry.record
        cells = [cell(record[name]) if name in record else MISSING for name in names]
        yield Row(text, parts, tuple(cells))


def _unreadable(read: PageOfRecords) -> str:
    problems = [entry.problem for entry in read.entries]
    if not problems or None in problems:
        return ""
    return printable(str(problems[0]), 1000)


def _as_planned(query: Any, plan: Plan, indexes: Sequence[IndexInfo]) -> Any:
    """The query, told which index to use: to choose it again may take longer than to read."""
    if plan.index is None or plan.index in {each.name for each in indexes}:
        return query.using(plan.index)
    return query


def _plan_rows(plan: Plan) -> tuple[tuple[str, str, str], ...]:
    return tuple(
        (what, printable(where, 200), printable(details, 1000))
        for what, where, details in plan.rows()
    )
