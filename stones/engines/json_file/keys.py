"""Keys and values as JSON that people can read, and exactly the same bytes again.

A key that is text stands as it is: `"theme"`. Text that starts with a dollar sign gets another one
in front. Other keys are escaped as in URLs: `"$bytes:User/%80%01"`.

A value that is the JSON of stones stands as JSON. That is a value of the format `JSON_FORMAT`, the
first byte, followed by the text that `compact` makes. Any other value is `{"$raw": "..."}`, in
base64, with its first byte.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

JSON_FORMAT = b"\x02"
"""The byte before a value in JSON."""
MAX_LEVELS = 200
"""So many arrays and objects may lie in each other in the file; deeper values are in base64."""
RAW = "$raw"
_BYTES = "$bytes:"
_SAFE = "".join(char for char in map(chr, range(0x20, 0x7F)) if char not in '%"\\')


def no_constant(name: str) -> Any:
    """Raise ValueError for NaN and Infinity, which Python reads as JSON."""
    raise ValueError(f"{name} is no JSON")


_dumps: Callable[[Any], str] = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")
).encode
_pretty: Callable[[Any], str] = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, indent=2
).encode
_strict_loads: Callable[[str], Any] = json.JSONDecoder(parse_constant=no_constant).decode


def compact(value: Any) -> bytes:
    """The JSON of a value as stones stores it. Raises ValueError for what JSON cannot have."""
    return _dumps(value).encode("utf-8", "backslashreplace")


def key_text(key: bytes) -> str:
    """A key as it stands in the file."""
    try:
        text = key.decode()
    except UnicodeDecodeError:
        return _BYTES + quote_from_bytes(key, _SAFE)
    return f"${text}" if text.startswith("$") else text


def key_bytes(text: str) -> bytes:
    """The key that stands in the file as `text`. Raises ValueError."""
    if not text.startswith("$"):
        return text.encode()
    if text.startswith("$$"):
        return text[1:].encode()
    if text.startswith(_BYTES):
        return unquote_to_bytes(text.removeprefix(_BYTES))
    raise ValueError(
        f"a key that starts with a dollar sign has another one in front: write {'$' + text[:60]!r}"
    )


def value_text(raw: bytes) -> str:
    """A stored value as it stands in the file, in several lines."""
    readable = _readable(raw)
    return _pretty({RAW: b64encode(raw).decode()} if readable is None else readable[0])


def _readable(raw: bytes) -> tuple[Any] | None:
    """The value as JSON, if that gives back exactly the same bytes."""
    if raw[:1] != JSON_FORMAT:
        return None
    try:
        value = _strict_loads(str(memoryview(raw)[1:], "utf-8"))
        is_exact = compact(value) == raw[1:] and not _is_raw(value)
    except (ValueError, RecursionError):
        return None
    return (value,) if is_exact and not is_deep(value, raw, MAX_LEVELS) else None


def value_bytes(value: Any) -> bytes:
    """The stored value that stands in the file as this JSON. Raises ValueError."""
    if _is_raw(value):
        return _base64(value[RAW])
    raw = JSON_FORMAT + compact(value)
    if is_deep(value, raw, MAX_LEVELS):
        raise ValueError(f"more than {MAX_LEVELS} arrays and objects lie in each other")
    return raw


def _is_raw(value: Any) -> bool:
    return type(value) is dict and len(value) == 1 and RAW in value


def _base64(text: Any) -> bytes:
    if type(text) is not str:
        raise ValueError(f"{RAW} takes text in base64")
    try:
        return b64decode(text, validate=True)
    except ValueError as error:
        raise ValueError(f"{RAW} takes text in base64: {error}") from error


def is_deep(value: Any, raw: bytes, levels: int) -> bool:
    """Whether more than `levels` arrays and objects of a value, stored as `raw`, are nested."""
    if raw.count(b"[") + raw.count(b"{") <= levels:
        return False
    here = [value]
    for _ in range(levels + 1):
        here = [
            inner
            for outer in here
            if type(outer) in (dict, list)
            for inner in (outer.values() if type(outer) is dict else outer)
        ]
    return bool(here)


# What stones keeps for itself is mostly JSON in the style of `json.dumps`, or digits.


def own_value(raw: bytes) -> Any:
    """A value of stones' own as it stands in the file: an object, text, or base64."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return {RAW: b64encode(raw).decode()}
    if text.startswith("{"):
        try:
            value = _strict_loads(text)
            if json.dumps(value).encode() == raw and not _is_raw(value):
                return value
        except (ValueError, RecursionError):
            pass
    return text


def own_bytes(value: Any) -> bytes:
    """The value of stones' own that stands in the file as this JSON. Raises ValueError."""
    if type(value) is str:
        return value.encode()
    if _is_raw(value):
        return _base64(value[RAW])
    if type(value) is dict:
        return json.dumps(value).encode()
    raise ValueError("a value of stones' own is an object or text")
