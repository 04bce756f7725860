"""Rows as cells, for forms that have columns.

A record has a column for each of its fields. An entry of a store has the column `_key`. If its
value is a dict, it has a column for each item; another value is in the column `_value`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from attrs import frozen

from stones.collections.indexes.encoding import MISSING
from stones.errors import QueryError, StorageError
from stones.formats.messages import show

from .entry_pages import Page, Row
from .sources import Picked, Source

KEY, VALUE = "_key", "_value"
_TEXT = {str}
MOST = 1000
"""A table has at most so many columns, unless the user names them."""


@frozen
class Columns:
    """The columns of a table, and how a row fills them."""

    names: tuple[str, ...]
    cells: Callable[[Row], Sequence[Any]]
    """The cells of a row. MISSING where it has no value."""
    of_page: Callable[[Page], Sequence[Sequence[Any]] | None] = lambda _: None
    """The columns of a page, where each value is a dict of all fields in order. Otherwise None."""

    def rows(self, source: Source) -> Iterator[Sequence[Any]]:
        """The cells of each row."""
        return map(self.cells, source.rows())

    def pages(self, source: Source) -> Iterator[Sequence[Sequence[Any]]]:
        """The columns of each page that is not empty."""
        for page in source.pages():
            if page.values:
                columns = self.of_page(page)
                yield columns or [*zip(*map(self.cells, page.rows()), strict=True)]


def columns_of(source: Source, picked: Picked | None) -> Columns:
    """The columns of a source. For entries that are not picked, it reads all of them."""
    if picked is not None:
        has_keys = source.has_keys
        names = (KEY, *picked.paths) if has_keys else tuple(picked.paths)
        values = picked.values
        if has_keys:
            return Columns(names, lambda row: [_key_form(row[0]), *values(row[1])])
        return Columns(names, lambda row: values(row[1]))
    if source.names is not None:
        return _columns_of_records(source, source.names)
    return _columns_of_entries(source)


def _columns_of_records(source: Source, names: Sequence[str]) -> Columns:
    known, ordered = frozenset(names), tuple(names)

    def cells(row: Row) -> Sequence[Any]:
        key, value = row
        if not value.keys() <= known:
            raise _unknown(value.keys() - known)
        found = _in_order(value, ordered)
        return [key, *found] if source.has_keys else found

    def of_page(page: Page) -> Sequence[Sequence[Any]] | None:
        columns = _fields_of(page.values) if _forms_of(page) == [ordered] else None
        return [page.keys, *columns] if columns and source.has_keys else columns

    return Columns((KEY, *names) if source.has_keys else tuple(names), cells, of_page)


def _columns_of_entries(source: Source) -> Columns:
    names: dict[str, None] = {}
    has_values = False
    for page in source.pages():
        forms = _forms_of(page)
        if forms is None:
            has_values |= not all(map(_has_items, page.values))
            forms = [tuple(value) for value in page.values if _has_items(value)]
        names.update(dict.fromkeys(chain.from_iterable(forms)))
        if len(names) > MOST:
            raise QueryError(
                f"the values have more than {MOST:,} different fields: name some with fields="
            )
    clash = names.keys() & {KEY, VALUE}
    if clash:
        raise QueryError(
            f"a value has a field {show(min(clash))}, which is a column of its own: name the "
            "fields with fields="
        )
    ordered = tuple(names)

    def cells(row: Row) -> Sequence[Any]:
        key, value = row
        if _has_items(value):
            if not value.keys() <= names.keys():
                raise _unknown(value.keys() - names.keys())
            found = _in_order(value, ordered)
            tail = [MISSING] if has_values else []
        else:
            if not has_values:
                raise _unknown({VALUE})
            found, tail = [MISSING] * len(ordered), [value]
        return [_key_form(key), *found, *tail]

    def of_page(page: Page) -> Sequence[Sequence[Any]] | None:
        if has_values or _forms_of(page) != [ordered]:
            return None
        columns = _fields_of(page.values)
        return [[*map(_key_form, page.keys)], *columns] if columns else None

    return Columns((KEY, *ordered, VALUE) if has_values else (KEY, *ordered), cells, of_page)


def _forms_of(page: Page) -> list[tuple[str, ...]] | None:
    """The fields of the rows in their order, each form once. None if a value has no items."""
    values = page.values
    if {*map(type, values)} != {dict}:
        return None
    if not page.are_plain and not {*map(type, chain.from_iterable(values))} <= _TEXT:
        return None
    return [*dict.fromkeys(map(tuple, values))]


def _fields_of(values: Sequence[dict[str, Any]]) -> list[Sequence[Any]]:
    """The values of each field, of dicts with the same fields."""
    return [*zip(*map(dict.values, values), strict=True)]


def _in_order(value: Mapping[str, Any], names: tuple[str, ...]) -> Sequence[Any]:
    """The values of these names. Most dicts have all of them, in this order."""
    if tuple(value) == names:
        return [*value.values()]
    return [value.get(name, MISSING) for name in names]


def _has_items(value: Any) -> bool:
    return type(value) is dict and {*map(type, value)} <= _TEXT


def _key_form(key: Any) -> Any:
    """A key of a store as text, if it is UTF-8."""
    if type(key) is not bytes:
        return key
    try:
        return key.decode()
    except UnicodeDecodeError:
        return key


def _unknown(names: Any) -> StorageError:
    return StorageError(
        f"another program has written a value with {show(min(names))} during the export: nothing "
        "was written; export again"
    )
