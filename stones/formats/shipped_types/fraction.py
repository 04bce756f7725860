"""`fractions.Fraction`, packed as a list of two ints, which may have any number of digits."""

from fractions import Fraction
from typing import Any

from stones.formats.registered_types import RegisteredType


def _pack(fraction: Fraction) -> list[int]:
    return [int(fraction.numerator), int(fraction.denominator)]


def _unpack(packed: Any) -> Fraction:
    numerator, denominator = packed
    if type(numerator) is not int or type(denominator) is not int or denominator < 1:
        raise ValueError("a fraction is made of an int and a positive int")
    return Fraction(numerator, denominator)


TYPES = [RegisteredType(Fraction, "fractions.Fraction", _pack, _unpack, (Fraction,))]
