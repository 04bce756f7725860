"""The span of a range of records: bounds and a prefix that are keys, or first parts of tuples."""

from collections.abc import Mapping
from typing import Any

from stones.errors import InvalidKeyError
from stones.stores.spans import Span, span_of

from .keys import KeyCodec


def key_span(
    name: str,
    codec: KeyCodec[Any],
    within: Span,
    bounds: Mapping[str, Any],
    reverse: bool,
    limit: int | None,
) -> Span:
    """The span that the arguments of `range()` name in the collection `name`.

    `within` is the span of all keys of the collection. `bounds` has the bounds and the prefix.

    Raises InvalidKeyError for a prefix of keys that have no prefix, and what `span_of` raises.
    """
    if bounds["prefix"] is not None and not (codec.encode_parts or codec.name in _HAVE_PREFIX):
        raise InvalidKeyError(
            f"{name}: a prefix is for keys that are str, bytes or a tuple, not {codec.name}: use "
            "bounds"
        )
    encode = codec.encode_parts or codec.encode
    return span_of(
        lambda key: within.start + encode(key), within, **bounds, reverse=reverse, limit=limit
    )


_HAVE_PREFIX = ("str", "bytes")
