"""JSON Lines: a value in each line, of any program or of `stones export`.

`stones export` writes what JSON has no form for as a dict of one key, a dollar sign and the name of
the type. The kind `jsonl` reads such a dict as the value. `plain-jsonl` leaves it a dict.
"""

from collections.abc import Iterator
from io import BytesIO
from itertools import repeat
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from .json_text import BOM, Decode, check_text, decoder, quick_decoder, tagged_decoder, why
from .sources import CutShortError, Entry, Options, PlainSource, Unreadable

_CHUNK = 1 << 15
"""So many bytes are decoded at once: their dicts fit the cache of a processor."""


class JsonLines(PlainSource):
    """Lines of JSON. An entry has no key of its own."""

    places = "line"
    has_tags = True

    def __init__(self, path: Path, options: Options) -> None:
        super().__init__(path, options)
        check_text(path)

    def entries(self) -> Iterator[Entry]:
        exact = self.options.exact_numbers
        decode = tagged_decoder(exact) if self.has_tags else decoder(exact)
        decode_lines = quick_decoder(exact).decode_lines
        number = 1
        with open(self.path, "rb") as file:
            if file.read(len(BOM)) != BOM:
                file.seek(0)
            while chunk := file.read(_CHUNK):
                if not chunk.endswith(b"\n"):
                    chunk += file.readline()
                lines = chunk.count(b"\n")
                values: list[Any] = []
                if not (self.has_tags and b'"$' in chunk):
                    try:
                        values = decode_lines(chunk)
                    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
                        values = []
                if len(values) == lines:
                    yield from zip(range(number, number + lines), repeat(None), values)
                else:  # line by line, to find the one that is wrong
                    yield from _entries(chunk, number, decode)
                number += lines


class PlainJsonLines(JsonLines):
    """Lines of JSON in which no dict is a tag."""

    has_tags = False


def _entries(chunk: bytes, first: int, decode: Decode) -> Iterator[Entry]:
    for number, line in enumerate(BytesIO(chunk), first):
        if line.isspace():
            continue
        try:
            value = decode(line)
        except Exception as error:  # a tag may be read by a user's function
            if not line.endswith(b"\n"):
                raise CutShortError(f"line {number} is cut short: {why(error)}") from error
            value = Unreadable(why(error))
        yield number, None, value


def first_line(file: BinaryIO) -> bytes:
    """The first line with text, or what there is of it in the first 64 kB."""
    for line in file.read(1 << 16).removeprefix(BOM).splitlines():
        if line.strip():
            return line.strip()
    return b""
