"""Nearly valid JSON, CBOR and MessagePack, made from the bytes of an input.

atheris does not see into the decoders, because they are not written in Python. So the bytes that it
mutates are mostly refused early. The bytes made here reach the code of stones for types, tags and
extensions.
"""

import json
import struct
from collections.abc import Callable
from typing import Any

from stones.formats.tags import TAGS

NAMES = [tag.name for tag in TAGS] + ["", "list", "complex", "pickle"]
# Packed forms of types: times, numbers and zones. Some are right, some odd, some wrong.
TEXTS = [
    "",
    "text",
    "1",
    "-0",
    "1e999999999",
    "NaN",
    "sNaN123",
    "-Infinity",
    "0x1F",
    "ffffffffffffffffffff",
    "2024-05-06",
    "2024-05-06T07:08:09.123456",
    "2024-05-06T07:08:09+02:00",
    "2024-05-06T07:08:09+23:59:59.999999",
    "0001-01-01T00:00:00+23:00",
    "9999-12-31T23:59:59.999999-23:00",
    "2024-10-27T02:30:00[Europe/Paris][_fold=1]",
    "07:08:09[_offset=1]",
    "07:08:09[_offset=99999999999999999999]",
    "07:08:09[/etc/passwd]",
    "07:08:09[..]",
    "07:08:09[UTC]",
    "2024-W01-1",
    "20240506T070809Z",
    "00000000-0000-0000-0000-000000000005",
    "AAAA",
    "\x00\x1b[2J",
]
# Names of registered types, and what they are made of.
TEXTS += [
    "pathlib.Path",
    "ipaddress.IPv4Network",
    "fractions.Fraction",
    "numpy.ndarray",
    "numpy.float32",
    "numpy.datetime64",
    "own.type",
    "<f8",
    "|O",
    "<M8[s]",
    "C",
    "10.0.0.0/8",
]
NUMBERS = [0, 1, 23, 24, 255, 256, 65535, 65536, 2**31, 2**32 - 1, 2**53, 2**63 - 1, 2**64 - 1]

Form = Callable[[Any, int], bytes]
"""Makes the bytes of a value from a `Source`. The number is how many levels it may have."""


# -- JSON ------------------------------------------------------------------------------------------


def json_form(source: Any, room: int = 6) -> bytes:
    kind = source.number() % (12 if room else 6)
    if kind < 3:
        return json.dumps(source.choose(*TEXTS)).encode()
    if kind == 3:
        return source.choose(b"null", b"true", b"1.5", b"-0.0", b"1e999", b"NaN", b"-Infinity")
    if kind == 4:
        return str(source.choose(*NUMBERS) * source.choose(1, -1, 1 << 70)).encode()
    if kind == 5:
        return json.dumps(source.text()).encode()
    parts = [json_form(source, room - 1) for _ in range(source.number() % 4)]
    if kind in (6, 7):
        return b"[%s]" % b",".join(parts)
    if kind == 8:
        return b"{%s}" % b",".join(b'"%d":%s' % entry for entry in enumerate(parts))
    name = json.dumps("$" + source.choose(*NAMES)).encode()
    return b"{%s:%s}" % (name, json_form(source, room - 1))


# -- CBOR ------------------------------------------------------------------------------------------

# cbor2 reads some tags that stones refuses: shared values, references to strings, regular
# expressions, MIME, fractions, addresses, dates as numbers, complex numbers.
CBOR_TAGS = [27, 258, 1004, 37, 4, 2, 3, 0, 1, 5, 25, 256, 28, 29, 30, 35, 36, 38, 100, 260, 261]
CBOR_TAGS += [39, 43000, 52, 54, 55799, 2**64 - 1]


def cbor_form(source: Any, room: int = 6) -> bytes:
    kind = source.number() % (14 if room else 7)
    if kind == 0:
        return _cbor_head(source.choose(0, 1), source.choose(*NUMBERS))
    if kind in (1, 2):
        return _cbor_bytes(3, source.choose(*TEXTS).encode())
    if kind in (3, 4):
        return _cbor_bytes(source.choose(2, 3), source.some())
    if kind == 5:
        simple = b"\xf4\xf5\xf6\xf7\xe0\xf8\xff\xfa\x7f\x80\0\0\xfb\x7f\xf0\0\0\0\0\0\0\xf9\x7e\0"
        return source.choose(*(simple[i : i + 1] for i in range(6)), simple[8:13], simple[13:22])
    if kind == 6:
        return bytes([source.number()])
    if kind in (7, 8, 9):
        count = source.number() % 4
        parts = b"".join(cbor_form(source, room - 1) for _ in range(count))
        if source.number() % 8 == 0:
            return b"\x9f" + parts + b"\xff"
        return _cbor_head(4, count) + parts
    if kind == 10:
        count = source.number() % 4
        return _cbor_head(5, count) + b"".join(cbor_form(source, room - 1) for _ in "12" * count)
    if kind in (11, 12):
        name = _cbor_bytes(3, source.choose(*NAMES).encode())
        return b"\xd8\x1b\x82" + name + cbor_form(source, room - 1)
    return _cbor_head(6, source.choose(*CBOR_TAGS)) + cbor_form(source, room - 1)


def _cbor_bytes(major: int, raw: bytes) -> bytes:
    return _cbor_head(major, len(raw)) + raw


def _cbor_head(major: int, number: int) -> bytes:
    if number < 24:
        return bytes([major << 5 | number])
    size = next(size for size in range(4) if number < 1 << (8 << size))
    return bytes([major << 5 | 24 + size]) + number.to_bytes(1 << size, "big")


# -- MessagePack -----------------------------------------------------------------------------------


def msgpack_form(source: Any, room: int = 6) -> bytes:
    kind = source.number() % (12 if room else 6)
    if kind == 0:
        return b"\xcf" + source.choose(*NUMBERS).to_bytes(8, "big")
    if kind in (1, 2):
        raw = source.choose(*TEXTS).encode()
        return b"\xd9%c%s" % (len(raw), raw)
    if kind == 3:
        raw = source.some()
        return b"%s%c%s" % (source.choose(b"\xc4", b"\xd9"), len(raw), raw)
    if kind == 4:
        return source.choose(b"\xc0", b"\xc2", b"\xc3", b"\xcb" + struct.pack(">d", 1e300), b"\xc1")
    if kind == 5:
        return bytes([source.number()])
    if kind in (6, 7):
        count = source.number() % 4
        return b"%c" % (0x90 + count) + b"".join(
            msgpack_form(source, room - 1) for _ in "1" * count
        )
    if kind == 8:
        count = source.number() % 4
        parts = [msgpack_form(source, room - 1) for _ in "12" * count]
        return b"%c" % (0x80 + count) + b"".join(parts)
    if kind == 9:
        count = source.number() % 4
        head = b"%c\xc7\x00%c" % (0x91 + count, source.number() % 20)
        return head + b"".join(msgpack_form(source, room - 1) for _ in "1" * count)
    packed = msgpack_form(source, room - 1)[:255]
    code = source.choose(*(tag.code for tag in TAGS), 0, 255, 254, 99)
    return b"\xc7%c%c%s" % (len(packed), code, packed)
