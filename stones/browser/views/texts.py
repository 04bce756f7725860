"""Texts as a page shows them: printable, and cut where they are long.

The text of a store may be anything. jinja2 escapes what HTML would take for markup. Here the other
characters become visible: controls, lone surrogates, and those that turn the direction of a text.
"""

from datetime import UTC, datetime


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
