"""The keys of a store or collection as Python writes them, for the completion at the prompt.

Only a part of the keys is looked at, so that the answer is there at once.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from stones.collections.collection_reader import CollectionReader
from stones.stores.reader import Reader

SHOWN = 100
"""So many keys are given."""
LOOKED_AT = 1000
"""So many keys are looked at."""

_STRING = re.compile(r"""(b?)(['"])((?:[^'"\\])*)""")


def keys_that_begin(mapping: Any, begun: str) -> tuple[str, ...]:
    """The keys of a mapping, as Python literals that begin with the text `begun`, in order.

    A key that is a tuple is written without parentheses, as in `Visit['Paris', 7]`.

    >>> from stones import MemoryStore
    >>> keys_that_begin(MemoryStore({'one': 1, 'two': 2, 'ten': 10}), "'t")
    ("'ten'", "'two'")
    """
    written = _STRING.match(begun)
    quote = written[2] if written else "'"
    if isinstance(mapping, Reader):
        shown = _shown_bytes(_bytes_keys(mapping, written), quote, bool(written and written[1]))
    elif isinstance(mapping, CollectionReader):
        shown = _shown(_record_keys(mapping, written), quote)
    elif isinstance(mapping, Mapping):
        shown = _shown(mapping, quote)
    else:
        return ()
    return tuple(islice((text for text in shown if text.startswith(begun)), SHOWN))


def _bytes_keys(store: Reader[Any, Any], written: "re.Match[str] | None") -> Iterable[Any]:
    prefix = written[3].encode("utf-8", "surrogatepass") if written else b""
    return store.range(prefix=prefix, limit=LOOKED_AT)


def _record_keys(
    collection: CollectionReader[Any, Any], written: "re.Match[str] | None"
) -> Iterable[Any]:
    first = next(iter(collection), None)
    if written and written[3] and isinstance(first, str):
        return collection.range(prefix=written[3], limit=LOOKED_AT)
    if written and written[3] and isinstance(first, tuple) and isinstance(first[0], str):
        return collection.range(ge=(written[3],), limit=LOOKED_AT)
    return collection.range(limit=LOOKED_AT)


def _shown(keys: Iterable[Any], quote: str) -> Iterator[str]:
    for key in islice(keys, LOOKED_AT):
        if isinstance(key, tuple):
            yield ", ".join(_literal(part, quote) for part in key)
        else:
            yield _literal(key, quote)


def _shown_bytes(keys: Iterable[bytes], quote: str, as_bytes: bool) -> Iterator[str]:
    for key in keys:
        if as_bytes:
            yield _literal(key, quote)
            continue
        try:
            yield _literal(key.decode(), quote)
        except UnicodeDecodeError:
            continue


def _literal(value: Any, quote: str) -> str:
    """A value as Python writes it, by this quotation mark where that is possible."""
    text = repr(value)
    if not isinstance(value, str | bytes) or text.endswith(quote):
        return text
    body = text.removeprefix("b")[1:-1]
    return text if quote in body else f"{text[: -len(body) - 2]}{quote}{body}{quote}"
