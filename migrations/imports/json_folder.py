"""A folder of JSON files: the path of a file below the folder, without .json, is its key."""

import os
from collections.abc import Iterator
from pathlib import Path

from stones.errors import MigrationError
from stones.formats.messages import show, show_count

from .json_text import decoder, why
from .sources import CutShortError, Entry, Options, PlainSource, Unreadable


class JsonFolder(PlainSource):
    """The files of a folder and of the folders in it, in the order of their names."""

    places = "file"

    def __init__(self, path: Path, options: Options) -> None:
        super().__init__(path, options)
        if not path.is_dir():
            raise MigrationError(
                f"there is no folder {show(str(path))}: the kind json-folder is for a folder of "
                "files, and jsonl for one file"
            )

    def entries(self) -> Iterator[Entry]:
        decode = decoder(self.options.exact_numbers)
        others = links = 0
        for folder, folders, names in os.walk(self.path, onerror=_refuse):
            folders.sort()
            links += sum(os.path.islink(os.path.join(folder, name)) for name in folders)
            for name in sorted(names):
                if not name.endswith(".json"):
                    others += 1
                    continue
                path = os.path.join(folder, name)
                place = os.path.relpath(path, self.path).replace(os.sep, "/")
                try:
                    yield place, place.removesuffix(".json"), decode(_content(path))
                except (OSError, ValueError, RecursionError) as error:
                    yield place, None, Unreadable(why(error))
        if others:
            self.notes.append(
                f"{show_count(others, 'file')} whose name does not end with .json: not taken over"
            )
        if links:
            self.notes.append(
                f"{show_count(links, 'link')} to other folders: import them by their own paths"
            )


def _content(path: str) -> bytes:
    """The bytes of a file. Raises OSError, also for what is no file: a pipe would never end."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise OSError("it is not a file")
    with open(path, "rb") as file:
        return file.read()


def _refuse(error: OSError) -> None:
    """Raise for a folder that cannot be read. Its files would be left out in silence."""
    raise CutShortError(f"a folder in it cannot be read: {error}") from error
