"""Text of a store for a terminal: what a terminal would obey is escaped."""


def printable(text: str) -> str:
    r"""A text in which what is not printable is escaped as in Python.

    >>> print(printable('red\x1b[31m\n'))
    red\x1b[31m\n
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def printable_json(text: str) -> str:
    r"""The same JSON, in which what is not printable is escaped. Ends of lines stay.

    >>> print(printable_json('{"a": "\x9b"}'))
    {"a": "\u009b"}
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else _json_escape(c) for c in text)


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
