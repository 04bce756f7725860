"""CSV with a header: each line is a dict of the text of its cells."""

import codecs
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from stones.errors import MigrationError
from stones.formats.messages import show, show_count

from .sources import CutShortError, Entry, Options, PlainSource, Unreadable

_DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_LOOKED_AT = 100
"""So many rows show which delimiter the file has."""


class CsvTable(PlainSource):
    """The rows of a file of CSV. An entry has no key of its own."""

    places = "line"
    is_text = True

    def __init__(self, path: Path, options: Options) -> None:
        super().__init__(path, options)
        given = options.delimiter
        if given is not None and (len(given) != 1 or given in '"\r\n'):
            raise MigrationError(
                f"delimiter= is one character, no quote and no end of a line, not {show(given)}"
            )
        self._delimiter = self._sniffed() if given is None else given
        self.columns = header = self._header()
        if "" in header:
            raise MigrationError(
                f"column {header.index('') + 1} of {show(str(path))} has no name: give it one in "
                "the first line, or remove the column"
            )
        twice = [name for name in header if header.count(name) > 1]
        if twice or not header:
            raise MigrationError(
                f"the first line of {show(str(path))} has to be a header: "
                + (f"it has {show(twice[0])} twice: rename one" if twice else "it is empty")
            )

    def entries(self) -> Iterator[Entry]:
        columns = self.columns or ()
        with self._open() as file:
            # strict: a quote that is never closed is an error, as in a file that is cut short.
            reader = csv.reader(file, delimiter=self._delimiter, strict=True)
            next(reader)
            line = reader.line_num + 1
            wrong: tuple[int, str] | None = None
            try:
                for cells in reader:
                    if wrong:
                        yield wrong[0], None, Unreadable(wrong[1])
                        wrong = None
                    if len(cells) == len(columns):
                        yield line, None, dict(zip(columns, cells, strict=True))
                    elif cells:
                        found = show_count(len(cells), "cell")
                        sizes = f"it has {found}, and the header has {len(columns)}"
                        wrong = line, sizes
                    line = reader.line_num + 1
            except csv.Error as error:
                text = str(error)
                if "limit" in text:
                    text += ": raise it with csv.field_size_limit()"
                raise CutShortError(f"line {line} cannot be read: {text}") from error
            except UnicodeDecodeError as error:
                raise CutShortError(self._not_decoded(error)) from error
            if wrong and not self._ends_with_a_line():
                raise CutShortError(f"line {wrong[0]} is cut short: {wrong[1]}")
            if wrong:
                yield wrong[0], None, Unreadable(wrong[1])

    def _header(self) -> list[str]:
        try:
            with self._open() as file:
                return next(csv.reader(file, delimiter=self._delimiter), [])
        except csv.Error as error:
            raise MigrationError(
                f"the header of {show(str(self.path))} cannot be read: {error}"
            ) from error
        except UnicodeDecodeError as error:
            raise MigrationError(f"{show(str(self.path))}: {self._not_decoded(error)}") from error

    def _open(self) -> IO[str]:
        name = self.options.encoding
        encoding = "utf-8-sig" if name.lower() in ("utf-8", "utf8") else name
        try:
            return open(self.path, encoding=encoding, newline="")
        except LookupError as error:
            raise MigrationError(f"encoding={name!r} is not known to Python") from error

    def _sniffed(self) -> str:
        """The delimiter with which all of the first rows have as many cells as the header."""
        fitting = {}
        for delimiter in _DELIMITERS:
            sizes = self._sizes(delimiter)
            if len({*sizes}) == 1 and sizes[0] > 1:
                fitting[delimiter] = sizes[0]
        if len(fitting) == 1:
            return next(iter(fitting))
        if not fitting:
            counts = {delimiter: self._sizes(delimiter)[:1] for delimiter in _DELIMITERS}
            several = [delimiter for delimiter, sizes in counts.items() if sizes > [1]]
            if len(several) <= 1:  # one column, or rows that are not whole
                return several[0] if several else ","
            fitting = dict.fromkeys(several, 0)
        names = " or ".join(_DELIMITERS[delimiter] for delimiter in fitting)
        raise MigrationError(
            f"the delimiter of {show(str(self.path))} may be {names}: name it with delimiter="
        )

    def _sizes(self, delimiter: str) -> list[int]:
        sizes: list[int] = []
        try:
            with self._open() as file:
                for cells in csv.reader(file, delimiter=delimiter):
                    if cells:
                        sizes.append(len(cells))
                    if len(sizes) == _LOOKED_AT:
                        break
        except csv.Error:
            pass
        except UnicodeDecodeError as error:
            raise MigrationError(f"{show(str(self.path))}: {self._not_decoded(error)}") from error
        return sizes

    def _not_decoded(self, error: UnicodeDecodeError) -> str:
        with open(self.path, "rb") as file:
            other = "utf-16" if file.read(2) in _UTF_16 else "cp1252"
            file.seek(0)
            line = next((n for n, raw in enumerate(file, 1) if not self._can_decode(raw)), None)
        where = "it" if line is None or other == "utf-16" else f"line {line}"
        return (
            f"{where} is not {self.options.encoding}: {error.reason}; name another encoding with "
            f"encoding=, {other} for example"
        )

    def _can_decode(self, line: bytes) -> bool:
        try:
            line.decode(self.options.encoding)
        except UnicodeDecodeError:
            return False
        return True

    def _ends_with_a_line(self) -> bool:
        with open(self.path, "rb") as file:
            file.seek(-1, 2)
            return file.read(1) in (b"\n", b"\r")
