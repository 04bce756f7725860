"""Numbers as ordered bytes: int, float and Decimal, by their exact values.

`encoding` has the layout, and the other classes of values.
"""

import math
import re
from decimal import Decimal
from struct import Struct

BELOW = 0x10
"""The tag of numbers below 0."""
NUMBER = 0x11
"""The tag of numbers from 0 on."""
NAN = b"\x08"
EXACT_INTS = 2**53
"""A float holds each int from 0 up to this one."""
SHORTEST = 10
"""The size of a number whose float is the number."""

pack_number = Struct(">BdB").pack
"""The bytes of a float from 0 on, or of an int that a float holds: of the tag, it, and 0."""
_float = Struct(">d").unpack
_ZERO = pack_number(NUMBER, 0.0, 0)
_COMPLEMENT = bytes(range(255, -1, -1))
_LARGEST = math.nextafter(math.inf, 0)
_EXPONENT = 0x8000  # added to the exponent of a decimal number, if it fits two bytes
_FAR = 0x7FFE  # from this exponent on, and from its negative on, eight bytes follow
_FAR_BIAS = 1 << 63


def encode_number(number: float | Decimal) -> bytes:
    """The ordered bytes of any number."""
    if number.is_nan() if isinstance(number, Decimal) else number != number:
        return NAN
    floor, exact = _floor(number)
    if floor >= 0:
        if exact:
            return pack_number(NUMBER, floor, 0) if floor else _ZERO
        return pack_number(NUMBER, floor, 1) + _tail(number)
    head = b"\x10" + pack_number(0, floor, 0)[1:-1].translate(_COMPLEMENT)
    return head + b"\0" if exact else head + b"\1" + _tail(number).translate(_COMPLEMENT)


def _floor(number: float | Decimal) -> tuple[float, bool]:
    """The greatest float that is not above a number, and whether it is the number."""
    if isinstance(number, float):
        return float.__float__(number), True
    try:
        floor = float(number)
    except OverflowError:
        return (_LARGEST if number > 0 else -math.inf), False
    # The context of decimal may forbid comparing with a float.
    value = Decimal.from_float(floor) if isinstance(number, Decimal) else floor  # noqa: FURB164
    if value == number:
        return floor, True
    return (math.nextafter(floor, -math.inf) if value > number else floor), False


def _tail(number: float | Decimal) -> bytes:
    """The magnitude of a number in decimal, ordered: exponent, digits, 00."""
    _, digits, exponent = Decimal(number).as_tuple()
    assert isinstance(exponent, int)
    first = exponent + len(digits) - 1
    text = bytes(digits).translate(_DIGITS).rstrip(b"0")
    if -_FAR < first < _FAR:
        return b"%b%b\0" % ((first + _EXPONENT).to_bytes(2), text)
    head = b"\xff\xff" if first > 0 else b"\0\0"
    return b"%b%b%b\0" % (head, (first + _FAR_BIAS).to_bytes(8), text)


_DIGITS = bytes.maketrans(bytes(range(10)), b"0123456789")
_FAR_HEADS = (b"\0\0", b"\xff\xff")


def decode_number(encoded: bytes, is_float: bool) -> float:
    """The int or the float of the bytes. Raises ValueError if there is none."""
    tag, is_exact, body = encoded[0], encoded[9] == 0, encoded[1:]
    if tag == BELOW:
        body = body.translate(_COMPLEMENT)
    if is_exact:
        found: float = _float(body[:8])[0]
        return found if is_float else int(found)
    if is_float or body[9:11] in _FAR_HEADS or body[-1]:
        raise ValueError("neither a float nor an int, or it is cut")
    digits, exponent = body[11:-1], int.from_bytes(body[9:11]) - _EXPONENT
    if exponent < len(digits) - 1:
        raise ValueError("not an int")
    # Not by int(): that refuses more than 4,300 digits.
    magnitude: int = int(Decimal(digits.decode())) * 10 ** (exponent - len(digits) + 1)
    return -magnitude if tag == BELOW else magnitude


def end_of_number(raw: bytes, at: int, *, below: bool) -> int:
    """Where the number ends that starts at a position; -1 if the bytes are damaged."""
    tail = at + SHORTEST
    is_exact = raw[tail - 1 : tail]
    if is_exact == b"\0":
        return tail
    digits = tail + (10 if raw[tail : tail + 2] in _FAR_HEADS else 2)
    found = (_DIGITS_BELOW if below else _DIGITS_FROM_0).match(raw, digits)
    return found.end() if is_exact == b"\1" and found is not None else -1


_DIGITS_FROM_0 = re.compile(rb"[0-9]*[\x00\x01]")
_DIGITS_BELOW = re.compile(rb"[\xc6-\xcf]*[\xff\xfe]")
