"""Sizes as people read them."""

import math

from stones.formats.messages import show_count


def size_text(count: float) -> str:
    """A number of bytes in the unit that fits.

    >>> size_text(1), size_text(2_500_000)
    ('1 byte', '2.5 MB')
    """
    if count < 1000:
        return show_count(round(count), "byte")
    units = ["kB", "MB", "GB", "TB"]
    power = min(int(math.log(count, 1000)), len(units))
    return f"{count / 1000**power:,.1f} {units[power - 1]}"
