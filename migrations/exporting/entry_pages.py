"""The entries of a store for an export, a page at a time. Records have their kept defaults.

In the middle of a migration, a record has the defaults that were kept for the steps that it has
had.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from attrs import frozen

from stones.collections.description import Description
from stones.collections.step_shapes import ViewsOf, views_at
from stones.engine import Transaction
from stones.formats.codec import Codec
from stones.formats.metadata import NO_FORMAT
from stones.formats.serializers import SAFE, serializer
from stones.stores.claims import collection_names, read_collection
from stones.stores.database_reader import DATA, DatabaseReader, record_decoder
from stones.stores.spans import Span

Row = tuple[Any, Any]
"""A key, or None, and a value."""
DecodePlain = Callable[[Sequence[bytes]], list[Any] | None]


@frozen
class Page:
    """Some rows."""

    rows: Sequence[Row]
    are_plain: bool = False
    """Whether each value is known to be plain: see `stones.formats.plain_values`."""


def entry_pages(database: DatabaseReader, span: Span) -> Iterator[Page]:
    """The entries in a span, from one snapshot. A key is the stored one.

    Raises CorruptValueError for damaged bytes, StoreClosedError if the store is closed meanwhile.
    """
    left = span.limit
    with database.reading() as txn:
        codec = database.codec_at(txn)
        decode, decode_plain = record_decoder(codec), _plain_decoder(codec)
        views = _views(txn)
        for keys, raws in txn.pages(DATA, span.start, span.stop, reverse=span.reverse):
            database.check_open()
            if left is not None:
                keys, raws = keys[:left], raws[:left]
                left -= len(keys)
            values = decode_plain(raws)
            are_plain = values is not None
            if values is None:
                values = [*map(decode, keys, raws)]
            rows = [*zip(keys, values, strict=True)]
            if views:
                completed = [*_completed(rows, views)]
                are_plain = are_plain and all(map(_is_same, rows, completed))
                rows = completed
            yield Page(rows, are_plain)
            if left == 0:
                return


def _plain_decoder(codec: Codec) -> DecodePlain:
    """The function that decodes a page of plain values. It gives None for other pages."""
    write = codec.metadata.write
    decode = serializer(write.serializer).decode_plain if write.serializer in SAFE else None
    if decode is None or codec.id == NO_FORMAT or write.is_packed:
        return lambda _: None
    id = codec.id

    def decode_page(raws: Sequence[bytes]) -> list[Any] | None:
        try:
            values = [decode(raw[1:]) for raw in raws if raw[0] == id]
            return values if len(values) == len(raws) else None
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001  # the other decoder gives the values, or its own error
            return None

    return decode_page


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


def _completed(rows: Sequence[Row], views: Mapping[bytes, ViewsOf]) -> Iterator[Row]:
    for head, group in groupby(rows, lambda row: row[0].partition(b"/")[0]):
        views_of = views.get(head)
        if views_of is None:
            yield from group
            continue
        some = [*group]
        for (key, value), view in zip(some, views_of([key for key, _ in some]), strict=True):
            yield key, value if view is None else view(value)


def _is_same(before: Row, after: Row) -> bool:
    return before[1] is after[1]
