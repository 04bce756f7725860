"""Pages as documents that msgspec decodes in one call.

The values of a page, one after the other with a number (MessagePack) or a line break (JSON) before
each, are one valid document. The first byte of a stored value is such a number. So is the id of the
format JSON once it is replaced by a line break.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec
from attrs import frozen

from .page import Page

Rows = Sequence[Any]
"""For each value of a page an instance of the Struct with the wanted fields."""

DECODABLE: Final = frozenset({"msgpack", "json"})
"""The serializers whose pages msgspec can decode."""

_OTHERS: Any = None | bool | int | float | str | list | msgspec.UnsetType
"""What may be where a dict is looked for. A page with anything else is refused."""

Tree = tuple[tuple[str, "Tree | None"], ...]
"""The names of the wanted fields, and the trees of what is wanted inside of these."""


def attribute(name: str) -> str:
    """The attribute of a Struct for a field: no text of the user's gets into source."""
    return "f" + name.encode().hex()


@frozen(eq=False)
class Structs:
    """The Structs into which msgspec decodes the fields of a tree."""

    row: type
    """The Struct of a record."""
    inner: Mapping[Tree, type]
    """The Struct of each tree inside."""


@lru_cache(256)
def structs(tree: Tree) -> Structs:
    """The Structs of a tree. To make them takes a tenth of a millisecond, so they are cached.

    A field that a dict lacks is UNSET. A field of which something inside is wanted holds a Struct,
    or a value that is no dict.
    """
    inner: dict[Tree, type] = {}
    return Structs(_struct(tree, inner), inner)


def _struct(tree: Tree, inner: dict[Tree, type]) -> type:
    fields = []
    for name, inside in tree:
        kind: Any = Any
        if inside is not None:
            inner[inside] = inner.get(inside) or _struct(inside, inner)
            kind = inner[inside] | _OTHERS
        fields.append((attribute(name), kind, msgspec.UNSET))
    names = {attribute(name): name for name, _ in tree}
    return msgspec.defstruct("Row", fields, gc=False, rename=names)


class Documents:
    """Decodes the wanted fields of pages that one serializer has written."""

    def __init__(self, serializer: str, row: type, first: int, start: int) -> None:
        """`first` is the first byte of a value, `start` where its serializer's bytes begin."""
        self._is_json = serializer == "json"
        self._separator = b"\n" if self._is_json else b"\0"
        self._start = start
        # With a checksum before them, the bytes are no document.
        self._prefix = bytes([first]) if start == 1 else None
        rows: Any = list[int | row]  # type: ignore[valid-type]  # mypy knows no type at run time
        self._decode = msgspec.msgpack.Decoder(rows).decode
        self._decode_lines: Any = msgspec.json.Decoder(row).decode_lines

    def rows(self, page: Page, places: Sequence[int] | None) -> Rows | None:
        """The rows of some readable values, or of all. None for a page that is refused.

        msgspec refuses lone surrogates, and dicts with keys that are not str; damaged values too,
        but not all of them. Without `places`, a page with unreadable values is refused.
        """
        if places is None and self._prefix is not None:
            number, document, count = self._prefix[0], page.joined, len(page.raws)
            if self._is_json:
                if document.count(self._prefix) != count:
                    return None
                document = document.replace(self._prefix, self._separator)
        else:
            raws, start, separator = page.raws, self._start, self._separator
            chosen = range(len(raws)) if places is None else places
            parts = [raws[place][start:] for place in chosen]
            number, document, count = 0, separator + separator.join(parts), len(parts)
        try:
            return self._rows(number, document, count)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None

    def _rows(self, number: int, document: bytes, count: int) -> Rows | None:
        if self._is_json:
            rows: list[Any] = self._decode_lines(document)
            return rows if len(rows) == count else None
        found: list[Any] = self._decode(b"\xdd" + (2 * count).to_bytes(4, "big") + document)
        # Damaged values might take a part of their neighbours. Then the numbers are not in place.
        return found[1::2] if found[::2].count(number) == count else None
