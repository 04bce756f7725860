"""How the key of a store is shown and typed: as UTF-8 text, with escapes for the other bytes."""

import re


def show_key(key: bytes) -> str:
    r"""A key as printable text. Other bytes become escapes, and a backslash becomes two.

    >>> print(show_key('größe\n'.encode() + b'\xff'))
    größe\n\xff
    """
    text = key.decode("utf-8", "surrogateescape")
    return "".join(map(_show_character, text))


def parse_key(text: str) -> bytes:
    r"""The key that `show_key` shows as `text`: `\xff` is one byte, `\\` is a backslash.

    Raises ValueError for another escape.

    >>> parse_key(r'a\x00b')
    b'a\x00b'
    """
    return _ESCAPE.sub(_unescape, text.encode("utf-8", "surrogateescape"))


NEGATIVE = re.compile(r"-[0-9.]|-Infinity")
"""The beginning of a negative number, which is no option of a command."""

_SHORT_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|.?)", re.DOTALL)
_UNESCAPED = {b"\\": b"\\", b"n": b"\n", b"r": b"\r", b"t": b"\t"}


def _show_character(character: str) -> str:
    if character.isprintable() and character != "\\":
        return character
    if character in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[character]
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


def _unescape(found: "re.Match[bytes]") -> bytes:
    escape = found[1]
    if len(escape) == 3:
        return bytes([int(escape[1:], 16)])
    if escape in _UNESCAPED:
        return _UNESCAPED[escape]
    raise ValueError(
        f"{found[0].decode('utf-8', 'replace')!r} is no escape: type a backslash as two, and a "
        "byte as \\xff"
    )
