"""Sums and means that are exact, so that the order of the numbers makes no difference.

A sum of floats is rounded once, at its end. So a query has the same answer whichever way its
records are read. Numbers of several types add up as `arithmetic` says: ints and floats make a
float, a Decimal beside any of them makes a Decimal, in which a float counts as its repr shows it.
"""

import math
from array import array
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, Inexact

from stones.errors import QueryError

_AT_ONCE = 1 << 20
"""So many floats are kept as they are: 8 MiB. Then they become two exact sums."""

_BAND = 50_000
"""Decimals are added in bands of so many decimal digits, and a sum may reach over three bands."""
_EXACT = Context(prec=10 * _BAND, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=[Inexact])
_ROUNDED = Context(prec=28, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=[])


class ExactSum:
    """The sum of numbers that are added one by one.

    >>> numbers = ExactSum()
    >>> for number in [1e100, 1, -1e100, 0.5]:
    ...     numbers.add(number)
    >>> numbers.total(), numbers.mean()
    (1.5, 0.375)
    """

    __slots__ = ("_count", "_decimals", "_floats", "_folded", "_ints")

    def __init__(self) -> None:
        self._count = 0
        self._ints = 0
        self._floats = array("d")
        self._folded: _FoldedFloats | None = None
        self._decimals: dict[int, Decimal] | None = None

    def add(self, number: float | Decimal) -> None:
        """Add a number. It is no bool."""
        self._count += 1
        if isinstance(number, int):
            self._ints += number
        elif isinstance(number, float):
            self._floats.append(number)
            if len(self._floats) >= _AT_ONCE:
                self._fold()
        else:
            if self._decimals is None:
                self._decimals = {}
            _add_decimal(self._decimals, number)

    def total(self) -> float | Decimal:
        """The sum. 0 for no numbers."""
        if self._decimals is not None:
            return _ROUNDED.plus(self._decimal_total(self._decimals))
        if not self._floats and self._folded is None:
            return self._ints
        return self._float_total()

    def mean(self) -> float | Decimal | None:
        """The sum by the number of numbers. None for no numbers.

        Raises QueryError for ints whose mean no float holds.
        """
        if not self._count:
            return None
        if self._decimals is not None:
            return _ROUNDED.divide(self._decimal_total(self._decimals), Decimal(self._count))
        total = self.total()
        assert not isinstance(total, Decimal)
        if isinstance(total, float) and math.isinf(total):  # maybe only the sum is too large
            return self._float_total(self._count)
        try:
            return total / self._count
        except OverflowError as error:
            raise QueryError("the mean of these ints is too large for a float") from error

    def _float_total(self, count: int = 1) -> float:
        """The sum of the ints and the floats by `count`, rounded once."""
        if count == 1 and self._folded is None and abs(self._ints) <= 1 << 53:
            self._floats.append(self._ints)
            try:
                return math.fsum(self._floats)
            except (OverflowError, ValueError):  # a sum on the way was too large; inf - inf
                pass
            finally:
                self._floats.pop()
        folded = _FoldedFloats(self._folded)
        folded.fold(self._floats, decimals=False)
        return folded.total(self._ints, count)

    def _decimal_total(self, decimals: dict[int, Decimal]) -> Decimal:
        bands = dict(decimals)
        _add_decimal(bands, Decimal(self._ints))
        if self._folded is not None:
            for number in self._folded.shown.values():
                _add_decimal(bands, number)
        for value in self._floats:
            _add_decimal(bands, Decimal(repr(value)))
        used = [band for band, number in bands.items() if number]
        if used and max(used) - min(used) > 2:
            raise QueryError("these Decimals are too far apart to be added exactly")
        try:
            total = Decimal(0)
            for number in bands.values():
                total = _EXACT.add(total, number)
        except Inexact as error:
            raise QueryError("these Decimals have too many digits to be added exactly") from error
        return total

    def _fold(self) -> None:
        folded = _FoldedFloats(self._folded)
        folded.fold(self._floats, decimals=True)
        self._folded, self._floats = folded, array("d")


class _FoldedFloats:
    """Many floats as two sums: of their values, and of the decimal numbers that are shown of them.

    The second is the one that counts if a Decimal comes along.
    """

    def __init__(self, before: "_FoldedFloats | None" = None) -> None:
        self.ratios: dict[int, int] = {} if before is None else dict(before.ratios)
        """By denominator: the numerators, added up."""
        self.shown: dict[int, Decimal] = {} if before is None else dict(before.shown)
        self.special: float = 0.0 if before is None else before.special
        """The sum of what is not finite."""

    def fold(self, floats: "array[float]", *, decimals: bool) -> None:
        ratios = self.ratios
        for value in floats:
            if value - value != 0:
                self.special += value
                if decimals:
                    _add_decimal(self.shown, Decimal(value))
                continue
            numerator, denominator = value.as_integer_ratio()
            ratios[denominator] = ratios.get(denominator, 0) + numerator
            if decimals:
                _add_decimal(self.shown, Decimal(repr(value)))

    def total(self, ints: int, count: int) -> float:
        if self.special != 0:  # inf, or nan
            return self.special
        # Each denominator is a power of 2, so the greatest is a multiple of all others.
        common = max(self.ratios, default=1)
        total = ints * common + sum(n * (common // d) for d, n in self.ratios.items())
        try:
            return total / (common * count)
        except OverflowError:
            return math.inf if total > 0 else -math.inf


def _add_decimal(bands: dict[int, Decimal], number: Decimal) -> None:
    """Add a Decimal to the sum of the numbers of its magnitude."""
    band = number.adjusted() // _BAND
    before = bands.get(band)
    if before is not None:
        try:
            number = _EXACT.add(before, number)
        except Inexact as error:
            raise QueryError("these Decimals have too many digits to be added exactly") from error
    elif number.is_snan():
        number = Decimal("NaN")
    bands[band] = number
