"""The file of NeDB: a log of JSON lines, in which a later line wins.

A line is a whole document, or says that one is deleted, or that an index was made or removed.
`{"$$date": ...}` is a date, in milliseconds since 1970. The first pass over the file remembers
where the last line of each document is. The second one reads these lines. So only the ids are in
memory.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

from stones.formats.messages import show

from .json_text import Decode, check_text, decoder, why
from .sources import CutShortError, Entry, Options, PlainSource, Unreadable

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class NeDBFile(PlainSource):
    """The documents of a file of NeDB, in the order of their last lines. The key is the `_id`."""

    places = "line"
    repeated_key: ClassVar[str | None] = "_id"

    def __init__(self, path: Path, options: Options) -> None:
        super().__init__(path, options)
        check_text(path)

    def entries(self) -> Iterator[Entry]:
        decode = decoder(self.options.exact_numbers)
        with open(self.path, "rb") as file:
            wrong: list[Entry] = []
            places = self._last_lines(file, decode, wrong)
            yield from wrong
            for at, number in sorted(places.values()):
                file.seek(at)
                document = decode(file.readline())
                try:
                    yield number, document["_id"], _with_dates(document)
                except (OverflowError, TypeError, ValueError):
                    reason = "a $$date of it is out of the range of datetime"
                    yield number, document["_id"], Unreadable(reason)

    def _last_lines(
        self, file: BinaryIO, decode: Decode, wrong: list[Entry]
    ) -> dict[Any, tuple[int, int]]:
        """Of each document where its last line begins, and its number."""
        places: dict[Any, tuple[int, int]] = {}
        indexes: dict[str, str] = {}
        at = 0
        for number, line in enumerate(file, 1):
            start, at = at, at + len(line)
            if line.isspace():
                continue
            try:
                found = decode(line)
            except ValueError as error:
                if not line.endswith(b"\n"):
                    raise CutShortError(f"line {number} is cut short: {why(error)}") from error
                wrong.append((number, None, Unreadable(why(error))))
                continue
            if type(found) is not dict:
                wrong.append((number, None, Unreadable("it is not an object")))
            elif "$$indexCreated" in found:
                made = found["$$indexCreated"]
                name = made.get("fieldName") if type(made) is dict else made
                kinds = {
                    "unique": ", unique",
                    "expireAfterSeconds": ", after which documents expire",
                }
                more = [
                    text for kind, text in kinds.items() if type(made) is dict and made.get(kind)
                ]
                indexes[str(name)] = f"the index of {show(name)}{''.join(more)}: not taken over"
            elif "$$indexRemoved" in found:
                indexes.pop(str(found["$$indexRemoved"]), None)
            elif type(found.get("_id")) not in (str, int, float):
                wrong.append((number, None, Unreadable("it has no _id")))
            elif found.get("$$deleted") is True:
                places.pop(found["_id"], None)
            else:
                places[found["_id"]] = start, number
        self.notes += [f"{text}; declare it in the class" for text in indexes.values()]
        return places


def _with_dates(value: Any) -> Any:
    """The value with a datetime in UTC in the place of each `{"$$date": ...}`."""
    kind = type(value)
    if kind is dict:
        if len(value) == 1 and "$$date" in value:
            return _EPOCH + timedelta(milliseconds=value["$$date"])
        for name, item in value.items():
            if type(item) in (dict, list):
                value[name] = _with_dates(item)
    elif kind is list:
        value[:] = map(_with_dates, value)
    return value
