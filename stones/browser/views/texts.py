"""Texts as a page shows them: printable, and cut where they are long.

The text of a store may be anything. jinja2 escapes what HTML would take for markup. Here the other
characters become visible: controls, lone surrogates, and those that turn the direction of a text.
"""

from datetime import UTC, datetime

_UNITS = ("KiB", "MiB", "GiB", "TiB")


def printable(text: str, most: int, *, lines: bool = False) -> str:
    r"""The text with escapes for what is not printable, at most `most` characters of it and a `…`.

    With `lines`, the ends of lines and tabs stay.

    >>> printable('größe\x00\u202e', 20), printable('a' * 9, 4), printable('a\nb', 9, lines=True)
    ('größe\\x00\\u202e', 'aaaa…', 'a\nb')
    """
    cut = text[:most]
    if not cut.isprintable():
        kept = "\n\t" if lines else ""
        cut = "".join(
            each if each.isprintable() or each in kept else _escaped(each) for each in cut
        )
    return cut if len(text) <= most else f"{cut}…"


def size_text(size: int) -> str:
    """A number of bytes, for people.

    >>> size_text(700), size_text(1536), size_text(5 * 2**30)
    ('700 bytes', '1.5 KiB', '5.0 GiB')
    """
    if size < 1024:
        return f"{size:,} {'byte' if size == 1 else 'bytes'}"
    power = min((size.bit_length() - 1) // 10, len(_UNITS))
    return f"{size / 1024**power:,.1f} {_UNITS[power - 1]}"


def age_text(seconds: float) -> str:
    """How long ago something was, for people.

    >>> age_text(0.4), age_text(75), age_text(7300)
    ('just now', '1 minute ago', '2 hours ago')
    """
    for size, unit in ((3600, "hour"), (60, "minute"), (1, "second")):
        if (count := int(seconds // size)) > 0:
            return f"{count:,} {unit}{'' if count == 1 else 's'} ago"
    return "just now"


def clock_text(moment: float) -> str:
    """The time of day of a moment in seconds since 1970, in UTC: 14:05:09."""
    return datetime.fromtimestamp(moment, UTC).strftime("%H:%M:%S")


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode()
