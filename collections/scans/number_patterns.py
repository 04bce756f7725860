"""Patterns for the bytes of all numbers that compare so with a number.

MessagePack and CBOR write an int or a float as a first byte and a big-endian number. So a range of
numbers is a few ranges of bytes, for each form that a number may have. A pattern may find too much,
but it never misses a number: it is exact in the first three bytes of a number, and it finds what
may be a number of another type (Decimal, Fraction, an int of more than 64 bits).

`byte_patterns` puts the name of a field before such a pattern.
"""

import math
import re
import struct
from functools import lru_cache
from typing import Final

from attrs import frozen

_EXACT_BYTES = 3
"""A pattern is exact in so many bytes. More bytes make a pattern slower than the rows they save."""


@frozen
class IntForm:
    """One way to write the ints from `lowest` to `highest`: `code`, then `size` bytes."""

    lowest: int
    highest: int
    code: bytes
    size: int
    sign: int = 1
    base: int = 0
    """The `size` bytes are the number `sign * int + base`, without a sign, big-endian."""


@frozen
class NumberForms:
    """How a serializer writes numbers."""

    ints: tuple[IntForm, ...]
    float_code: bytes
    """The first byte of a float of 64 bits."""
    others: bytes
    """A pattern for the start of all that may be a number of another type."""


_SIZES = (1, 2, 4, 8)

MSGPACK: Final = NumberForms(
    (
        IntForm(0, 127, b"", 1),
        IntForm(-32, -1, b"", 1, base=1 << 8),
        *(
            IntForm(0, (1 << 8 * size) - 1, bytes([0xCC + place]), size)
            for place, size in enumerate(_SIZES)
        ),
        *(
            IntForm(-1 << 8 * size - 1, -1, bytes([0xD0 + place]), size, base=1 << 8 * size)
            for place, size in enumerate(_SIZES)
        ),
    ),
    b"\xcb",
    # A float of 32 bits, an extension, and a registered type: a list of three, of which the first
    # is the extension 15.
    rb"[\xca\xc7-\xc9\xd4-\xd8]|\x93\xc7\x00\x0f",
)
CBOR: Final = NumberForms(
    (
        IntForm(0, 23, b"", 1),
        IntForm(-24, -1, b"", 1, sign=-1, base=0x1F),
        *(
            IntForm(0, (1 << 8 * size) - 1, bytes([0x18 + place]), size)
            for place, size in enumerate(_SIZES)
        ),
        *(
            IntForm(-1 << 8 * size, -1, bytes([0x38 + place]), size, sign=-1, base=-1)
            for place, size in enumerate(_SIZES)
        ),
    ),
    b"\xfb",
    # Tags, and floats of 16 and 32 bits, as which cbor2 writes the infinities and nan.
    rb"[\xc0-\xdb\xf9\xfa]",
)


@lru_cache(512)
def number_pattern(forms: NumberForms, op: str, kind: type, value: float) -> bytes | None:
    """The pattern for all numbers `x` with `x op value`. None for nan and the infinities.

    `op` is one of `==`, `<`, `<=`, `>` and `>=`. `kind` is the type of `value`, int or float: the
    results are cached, and Python takes 1 and 1.0 for the same key.

    >>> pattern = re.compile(number_pattern(MSGPACK, '>', int, 95))
    >>> from msgpack import packb
    >>> [number for number in (-5, 94, 95, 96, 96.5, 1e9) if pattern.match(packb(number))]
    [96, 96.5, 1000000000.0]
    """
    if kind is float and not math.isfinite(value):
        return None
    least = None if op[0] == "<" else value
    most = None if op[0] == ">" else value
    parts = [*_ints(forms, op, least, most), *_floats(forms.float_code, least, most), forms.others]
    return b"(?:" + b"|".join(parts) + b")"


def _ints(forms: NumberForms, op: str, least: float | None, most: float | None) -> list[bytes]:
    first = None if least is None else math.floor(least) + 1 if op == ">" else math.ceil(least)
    last = None if most is None else math.ceil(most) - 1 if op == "<" else math.floor(most)
    parts = []
    for form in forms.ints:
        low = form.lowest if first is None else max(form.lowest, first)
        high = form.highest if last is None else min(form.highest, last)
        if low <= high:
            ends = sorted((form.sign * low + form.base, form.sign * high + form.base))
            least_bytes, most_bytes = (end.to_bytes(form.size, "big") for end in ends)
            parts.append(re.escape(form.code) + between(least_bytes, most_bytes))
    return parts


def _floats(code: bytes, least: float | None, most: float | None) -> list[bytes]:
    """Floats of the same sign have the order of their bits. -0.0 is beside the negative ones."""
    low = -math.inf if least is None else _float_near(least)
    high = math.inf if most is None else _float_near(most)
    parts = []
    if high >= 0:
        parts.append(code + between(_bits(abs(max(low, 0.0))), _bits(abs(high))))
    if low <= 0:
        parts.append(code + between(_bits(-abs(min(high, 0.0))), _bits(-abs(low))))
    return parts


def _float_near(number: float) -> float:
    """The float next to a number: no other float lies between the two."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def _bits(number: float) -> bytes:
    return struct.pack(">d", number)


def between(low: bytes, high: bytes, depth: int = _EXACT_BYTES) -> bytes:
    """The pattern for big-endian numbers from `low` to `high`, exact in the first `depth` bytes.

    >>> between(b"\\x05\\x00", b"\\x05\\x7f")
    b'\\x05[\\x00-\\x7f]'
    """
    if not depth or not (low.strip(b"\0") or high.strip(b"\xff")):
        return b""
    first, last, rest = re.escape(low[:1]), re.escape(high[:1]), len(low) - 1
    if low[0] == high[0]:
        return first + between(low[1:], high[1:], depth - 1)
    if depth == 1 or not rest:
        return b"[%s-%s]" % (first, last)
    parts = [
        first + between(low[1:], b"\xff" * rest, depth - 1),
        last + between(bytes(rest), high[1:], depth - 1),
    ]
    if high[0] - low[0] > 1:
        inner = re.escape(bytes([low[0] + 1])), re.escape(bytes([high[0] - 1]))
        parts.append(b"[%s-%s]" % inner)
    return b"(?:" + b"|".join(parts) + b")"
