"""A folder of JSON files: the path of a file below the folder, without .json, is its key."""

import os
from collections.abc import Iterator

from stones.formats.messages import show_count

from .json_text import decoder, why
from .sources import Entry, PlainSource, Unreadable


class JsonFolder(PlainSource):
    """The files of a folder and of the folders in it, in the order of their names."""

    places = "file"

    def entries(self) -> Iterator[Entry]:
        decode = decoder(self.options.exact_numbers)
        others = 0
        for folder, folders, names in os.walk(self.path):
            folders.sort()
            for name in sorted(names):
                if not name.endswith(".json"):
                    others += 1
                    continue
                path = os.path.join(folder, name)
                place = os.path.relpath(path, self.path).replace(os.sep, "/")
                with open(path, "rb") as file:
                    raw = file.read().removeprefix(b"\xef\xbb\xbf")
                try:
                    yield place, place.removesuffix(".json"), decode(raw)
                except (ValueError, RecursionError) as error:
                    yield place, None, Unreadable(why(error))
        if others:
            self.notes.append(
                f"{show_count(others, 'file')} whose name does not end with .json: not taken over"
            )
