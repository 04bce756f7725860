"""Spans: the keys between two bounds, and the arguments of `range()` that name them.

A span is what `range()` of a store and of a collection come down to, and what views iterate.
"""

from collections.abc import Callable
from typing import Any

from attrs import frozen

from stones.errors import InvalidKeyError, ValueTypeError
from stones.formats.messages import show


@frozen
class Span:
    """The keys with start <= key < stop, as stored, and the order to go through them."""

    start: bytes = b""
    stop: bytes | None = None
    """None: no upper bound."""
    reverse: bool = False
    limit: int | None = None
    """At most so many entries. None: all."""

    def __contains__(self, key: bytes) -> bool:
        return self.start <= key and (self.stop is None or key < self.stop)

    def reversed(self) -> "Span":
        """The same keys in the opposite order."""
        return Span(self.start, self.stop, not self.reverse, self.limit)


EVERYTHING = Span()


def prefix_span(prefix: bytes) -> Span:
    """The keys that begin with `prefix`."""
    return Span(prefix, after_prefix(prefix))


def after_prefix(prefix: bytes) -> bytes | None:
    """The lowest key above all keys that begin with `prefix`. None: there is no such key.

    >>> after_prefix(b'User/')
    b'User0'
    """
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else None


def span_of(
    encode: Callable[[Any], bytes],
    within: Span,
    *,
    ge: object = None,
    gt: object = None,
    le: object = None,
    lt: object = None,
    prefix: object = None,
    reverse: bool = False,
    limit: int | None = None,
) -> Span:
    """The span inside `within` that the arguments of a `range()` name; `encode` encodes a key.

    A `prefix` with bounds means the keys that have the prefix and are within the bounds.

    Raises InvalidKeyError for two bounds on the same side, or a negative `limit`; ValueTypeError
    for a `limit` that is not an int.
    """
    if (ge is not None and gt is not None) or (le is not None and lt is not None):
        raise InvalidKeyError("range() takes one lower and one upper bound: ge or gt, le or lt")
    check_limit(limit)
    start, stop = within.start, within.stop
    if prefix is not None:
        start = encode(prefix)
        stop = after_prefix(start)
    if ge is not None:
        start = max(start, encode(ge))
    if gt is not None:
        start = max(start, encode(gt) + b"\0")
    if lt is not None:
        # b"\0" is the lowest key: no key is below either of the two.
        stop = _lower(stop, encode(lt) or b"\0")
    if le is not None:
        stop = _lower(stop, encode(le) + b"\0")
    return Span(start, stop, bool(reverse), limit)


def _lower(stop: bytes | None, other: bytes) -> bytes:
    return other if stop is None else min(stop, other)


def check_limit(limit: object, noun: str = "a limit") -> None:
    """Raise ValueTypeError for a limit that is not an int, InvalidKeyError for a negative one."""
    if limit is None:
        return
    if not isinstance(limit, int) or isinstance(limit, bool):
        raise ValueTypeError(f"{noun} is an int, 0 or more, not {show(limit)}")
    if limit < 0:
        raise InvalidKeyError(f"{noun} is 0 or more, not {show(limit)}")
