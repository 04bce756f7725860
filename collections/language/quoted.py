"""Texts in quotes, as RFC 9535 defines them (section 2.3.1.1), for names, strings and patterns.

jsonpath-ng drops each backslash, and so it does not know `\\n` or `\\u00e9`. `parsing` reads the
texts with this module instead.
"""

import re

_ESCAPE = re.compile(
    r"""\\(?:
        u(?P<high>[Dd][89ABab][0-9A-Fa-f]{2})\\u(?P<low>[Dd][C-Fc-f][0-9A-Fa-f]{2})
        |u(?P<code>(?![Dd][89A-Fa-f])[0-9A-Fa-f]{4})
        |(?P<letter>[btnfr/\\'"])
        |(?P<unknown>[\s\S]?)
    )""",
    re.VERBOSE,
)
_LETTERS = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r"}


class EscapeError(Exception):
    """An escape that RFC 9535 does not know. `place` is the position of its backslash."""

    def __init__(self, place: int, reason: str) -> None:
        super().__init__(reason)
        self.place = place


def unescaped(text: str) -> str:
    r"""The characters that a text between quotes stands for.

    >>> unescaped(r"it\'s \u00e9\ud83d\ude00 \\")
    "it's é😀 \\"

    Raises EscapeError for a backslash that begins no escape of RFC 9535.
    """
    return _ESCAPE.sub(_character, text) if "\\" in text else text


def written_step(name: str) -> str:
    r"""The step to the field with exactly this name, as it is written behind a path.

    >>> written_step("city"), written_step("it's"), written_step("where")
    ('.city', "['it\\'s']", "['where']")
    """
    if _PLAIN_NAME.fullmatch(name) and name not in _RESERVED:
        return f".{name}"
    escaped = name.replace("\\", "\\\\").replace("'", "\\'")
    return f"['{escaped}']"


_PLAIN_NAME = re.compile("[a-zA-Z_][a-zA-Z0-9_]*")
_RESERVED = frozenset({"where", "wherenot"})


def _character(escape: re.Match[str]) -> str:
    if escape["high"]:
        high, low = int(escape["high"], 16), int(escape["low"], 16)
        return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
    if escape["code"]:
        return chr(int(escape["code"], 16))
    if escape["letter"]:
        return _LETTERS.get(escape["letter"], escape["letter"])
    if escape["unknown"] == "u":
        reason = r"\u takes four hexadecimal digits, or two such escapes for one character"
    elif escape["unknown"].isprintable():
        reason = f"\\{escape['unknown']} is no escape"
    else:
        reason = "a backslash before such a character is no escape"
    raise EscapeError(escape.start(), f"{reason}: write \\\\ for a backslash")
