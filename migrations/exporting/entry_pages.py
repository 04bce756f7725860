"""The entries of a store for an export, a page at a time. Records have their kept defaults.

In the middle of a migration, a record has the defaults that were kept for the steps that it has
had.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import is_
from typing import Any

from attrs import frozen

from stones.collections.description import Description
from stones.collections.step_shapes import ViewsOf, views_at
from stones.engine import Transaction
from stones.formats.codec import Codec
from stones.formats.metadata import NO_FORMAT
from stones.migrations.plain_pages import plain_decoder
from stones.stores.claims import collection_names, read_collection
from stones.stores.database_reader import DATA, DatabaseReader, record_decoder
from stones.stores.spans import Span

Row = tuple[Any, Any]
"""A key, or None, and a value."""
Decode = Callable[[bytes, bytes], Any]
DecodeMany = Callable[[Sequence[bytes]], list[Any] | None]
ROWS = 64
"""At most so many rows make a page.

The dicts of a page of this size fit the cache of a processor. A page of 500 takes up to twice the
time for each row (`tests/benchmarks/exports.py`).
"""


@frozen
class Page:
    """Some rows: their keys, and as many values."""

    keys: Sequence[Any]
    """A key is None if the fields of the value have it."""
    values: Sequence[Any]
    are_plain: bool = False
    """Whether each value is known to be plain: see `stones.formats.plain_values`."""

    def rows(self) -> Iterator[Row]:
        """The rows one by one."""
        return zip(self.keys, self.values, strict=True)


def entry_pages(database: DatabaseReader, span: Span) -> Iterator[Page]:
    """The entries in a span, from one snapshot. A key is the stored one.

    Raises CorruptValueError for damaged bytes, StoreClosedError if the store is closed meanwhile.
    """
    with database.reading() as txn:
        views = _views(txn)
        for page in decoded_pages(database, txn, span):
            yield _completed(page, views) if views else page


def decoded_pages(
    database: DatabaseReader, txn: Transaction, span: Span, decode: Decode | None = None
) -> Iterator[Page]:
    """The stored keys in a span, and the values as `decode` gives them.

    Without `decode`, the values are as they are stored, and many are decoded at once.
    """
    codec = database.codec_at(txn)
    decode_many = _decode_nothing if decode else _decoder_of_many(codec)
    decode_plain = _decode_nothing if decode else plain_decoder(codec)
    decode = decode or record_decoder(codec)
    for keys, raws in _bounded(txn, span):
        database.check_open()
        values = decode_plain(raws)
        are_plain = values is not None
        if values is None:
            values = decode_many(raws)
        if values is None:
            values = [*map(decode, keys, raws)]
        yield Page(keys, values, are_plain)


def _bounded(txn: Transaction, span: Span) -> Iterator[tuple[Sequence[bytes], Sequence[bytes]]]:
    """The stored keys and values in a span, in parts of the size of a page."""
    left = span.limit
    for keys, raws in txn.pages(DATA, span.start, span.stop, reverse=span.reverse):
        if left is not None:
            keys, raws = keys[:left], raws[:left]
            left -= len(keys)
        for at in range(0, len(keys), ROWS):
            yield keys[at : at + ROWS], raws[at : at + ROWS]
        if left == 0:
            return


def _decoder_of_many(codec: Codec) -> DecodeMany:
    """The function that decodes values in the newest format. It gives None for other bytes."""
    id, decode = codec.id, codec.loads
    if id == NO_FORMAT:
        return _decode_nothing

    def decode_many(raws: Sequence[bytes]) -> list[Any] | None:
        try:
            values = [decode(raw[1:]) for raw in raws if raw[0] == id]
            return values if len(values) == len(raws) else None
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001  # the other decoder gives the values, or its own error
            return None

    return decode_many


def _decode_nothing(_: Sequence[bytes]) -> None:
    return None


def _views(txn: Transaction) -> dict[bytes, ViewsOf]:
    """What adds kept defaults, by the names of the collections that have any."""
    found = {}
    for name in collection_names(txn):
        stored = read_collection(txn, name)
        if stored is not None:
            views = views_at(txn, name, Description.from_stored(name, stored))
            if views is not None:
                found[name.encode()] = views
    return found


def _completed(page: Page, views: Mapping[bytes, ViewsOf]) -> Page:
    """The page with the kept defaults of its records."""
    values: list[Any] = []
    for head, group in groupby(page.rows(), lambda row: row[0].partition(b"/")[0]):
        some = [*group]
        views_of = views.get(head)
        if views_of is None:
            values += [value for _, value in some]
            continue
        for (_, value), view in zip(some, views_of([key for key, _ in some]), strict=True):
            values.append(value if view is None else view(value))
    return Page(page.keys, values, page.are_plain and all(map(is_, page.values, values)))
