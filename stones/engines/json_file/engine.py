"""One JSON file that people can read and edit, as the files of a `WholeFileEngine`.

    {
      "theme": "dark",
      "window": {
        "width": 800
      },
      "$stones": {
        "digest": "...",
        "index": {...},
        "meta": {...}
      }
    }

The keys of the user come first, in key order, and each of them begins a line. `json_keys` says how
keys and values are written. What stones keeps for itself is under "$stones". That part is left out
as long as it says nothing: in a store without collections whose values are in JSON.

The digest is a hash of all entries. It is there if a layer above has derived something from the
entries, the number of records for instance. It tells the layer whether somebody has edited them.
"""

import json
import os
from collections.abc import Callable, Mapping
from hashlib import blake2b
from stat import S_ISREG
from typing import Any

from stones.engine import MAX_KEY_SIZE, Engine, Space
from stones.engines.memory import MemoryEngine
from stones.engines.sorted_map import SortedMap
from stones.engines.whole_file.contents import Contents, Signature, Spaces, WholeFile
from stones.engines.whole_file.engine import WholeFileEngine
from stones.engines.whole_file.replaced import write_beside
from stones.errors import StorageError

from .keys import (
    key_bytes,
    key_text,
    no_constant,
    own_bytes,
    own_value,
    value_bytes,
    value_text,
)
from .problems import first_problem, key_places, where

OWN = "$stones"
"""The key under which stones keeps what it knows of the store."""

Renew = Callable[[Engine], None]
"""Makes again what is derived from the entries, after somebody has edited them."""


class JsonFile(WholeFile):
    """The JSON file at `path`.

    `plain` are the entries of `Space.META` that a file without "$stones" stands for. If the entries
    were edited and there is something derived from them, `renew` is called with them, in an engine
    of their own.
    """

    def __init__(
        self, path: str, plain: Mapping[bytes, bytes] | None = None, renew: Renew | None = None
    ) -> None:
        self.path = os.path.abspath(path)
        self._plain = dict(plain or {})
        self._renew = renew
        self._texts: dict[bytes, tuple[bytes, str]] = {}
        """What was last written for each key: the stored value, and its text."""

    def look(self) -> Signature | None:
        try:
            return _signature(os.stat(self.path))
        except FileNotFoundError:
            return None

    def read(self) -> Contents:
        if not S_ISREG(os.stat(self.path).st_mode):
            raise StorageError(f"{self.path!r} is no file")
        with open(self.path, "rb") as file:
            before = _signature(os.fstat(file.fileno()))
            data = file.read()
            is_whole = before == _signature(os.fstat(file.fileno()))
        spaces = tuple(SortedMap() for _ in Space)
        digest = _Text(self.path, data).fill(spaces)
        if not spaces[Space.META].count and not spaces[Space.INDEX].count:
            _fill(spaces[Space.META], self._plain)
        if self._has_derived(spaces) and digest != _digest(spaces) and self._renew is not None:
            engine = _Lent.of(spaces)
            self._renew(engine)
            spaces = engine.spaces()
        return Contents(spaces, signature=before if is_whole else None)

    def write(self, contents: Contents, durable: bool) -> Callable[[], None]:
        place = os.path.realpath(self.path)
        try:
            earlier: os.stat_result | None = os.stat(place)
        except FileNotFoundError:
            earlier = None
        if earlier is not None and not os.access(place, os.W_OK):
            raise PermissionError(13, os.strerror(13))
        data = self._text(contents.spaces).encode("utf-8", "backslashreplace")
        beside = self._beside(place)
        write_beside(beside, data, earlier, durable)
        return lambda: os.replace(beside, place)

    def finish(self) -> None:
        pass  # a file that is left beside says nothing, and the next commit replaces it

    def names(self) -> list[str]:
        place = os.path.realpath(self.path)
        return [name for name in (place, self._beside(place)) if os.path.exists(name)]

    def lock_path(self) -> str:
        return os.path.realpath(self.path) + ".lock"

    def _beside(self, place: str) -> str:
        folder, name = os.path.split(place)
        return os.path.join(folder, f".{name}.new")

    def _has_derived(self, spaces: Spaces) -> bool:
        known = {*self._plain}
        return spaces[Space.INDEX].count > 0 or any(
            key not in known for key, _ in spaces[Space.META].scan(b"", None, False)
        )

    def _text(self, spaces: Spaces) -> str:
        before, texts = self._texts, {}
        lines = []
        for key, raw in spaces[Space.DATA].scan(b"", None, False):
            known = before.get(key)
            if known is None or known[0] is not raw:
                known = raw, _line(key_text(key), value_text(raw))
            texts[key] = known
            lines.append(known[1])
        own = self._own(spaces)
        if own is not None:
            lines.append(_line(OWN, json.dumps(own, ensure_ascii=False, indent=2)))
        self._texts = texts
        return "{\n" + ",\n".join(lines) + "\n}\n" if lines else "{}\n"

    def _own(self, spaces: Spaces) -> dict[str, Any] | None:
        """What stands under "$stones"; None if nothing has to."""
        meta = dict(spaces[Space.META].scan(b"", None, False))
        if meta == self._plain and not spaces[Space.INDEX].count:
            return None
        own: dict[str, Any] = {"digest": _digest(spaces)} if self._has_derived(spaces) else {}
        for name, space in _OWN_SPACES.items():
            entries = spaces[space].scan(b"", None, False)
            if spaces[space].count:
                own[name] = {key_text(key): own_value(raw) for key, raw in entries}
        return own


class JsonFileEngine(WholeFileEngine):
    """Ordered bytes in a JSON file: see `JsonFile` and `WholeFileEngine`."""

    def __init__(self, path: str, **options: Any) -> None:
        super().__init__(JsonFile(path), **options)


def _signature(found: os.stat_result) -> Signature:
    return ((found.st_ino, found.st_mtime_ns, found.st_size),)


class _Lent(MemoryEngine):
    """An engine that can be read after its user has closed it."""

    def close(self) -> None:
        pass


class _Text:
    """The text of a file, on its way into the spaces."""

    def __init__(self, path: str, data: bytes) -> None:
        self._path = path
        try:
            self._text = data.removeprefix(b"\xef\xbb\xbf").decode()  # editors of Windows write it
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            column = error.start - data.rfind(b"\n", 0, error.start)
            raise self._error(f"line {line:,}, column {column:,}: it is not UTF-8") from error

    def fill(self, spaces: Spaces) -> Any:
        """Put the entries into the spaces. Returns the digest that stands in the file, or None."""
        if not self._text.strip():
            raise self._error("it is empty: write {} into it, or delete it")
        try:
            found = _loads(self._text)
        except (ValueError, RecursionError) as error:
            raise self._explained(str(error)) from error
        if type(found) is not dict:
            raise self._error(
                f"line 1, column 1: it is {_NAMES.get(type(found), 'a number')}, and a store is an "
                "object, in braces"
            )
        own = found.pop(OWN, {})
        for name, value in found.items():
            try:
                key, raw = key_bytes(name), value_bytes(value)
                if not 0 < len(key) <= MAX_KEY_SIZE:
                    raise ValueError(
                        f"a key has {MAX_KEY_SIZE} bytes at most, and one at least, not {len(key)}"
                    )
                if spaces[Space.DATA].get(key) is not None:
                    raise ValueError("this key is there twice, in two ways to write it")
            except (ValueError, RecursionError) as error:
                raise self._explained(str(error), name) from error
            spaces[Space.DATA].put(key, raw)
        return self._fill_own(own, spaces)

    def _fill_own(self, own: Any, spaces: Spaces) -> Any:
        try:
            if type(own) is not dict:
                raise ValueError("it is no object")
            for name, space in _OWN_SPACES.items():
                for key, value in own.get(name, {}).items():
                    spaces[space].put(key_bytes(key), own_bytes(value))
        except (ValueError, AttributeError, RecursionError) as error:
            raise self._explained(
                f"what stones keeps for itself is damaged: {error}", OWN
            ) from error
        return own.get("digest")

    def _explained(self, reason: str, name: str | None = None) -> StorageError:
        """The error with its place: what is wrong with the text, or with a key or its value."""
        problem = first_problem(self._text)
        if problem is not None:
            place, reason = problem
        else:
            place = key_places(self._text).get(name, 0) if name is not None else 0
        return self._error(f"{where(self._text, place)}: {reason}")

    def _error(self, reason: str) -> StorageError:
        return StorageError(f"{self._path!r} cannot be read, {reason}; mend the file by hand")


def _line(name: str, text: str) -> str:
    """A key and its value, in the object that is the file."""
    return "  " + json.dumps(name, ensure_ascii=False) + ": " + text.replace("\n", "\n  ")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is there twice")
    return found


_loads: Callable[[str], Any] = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=no_constant
).decode

_OWN_SPACES = {"index": Space.INDEX, "meta": Space.META}
_NAMES: Mapping[type, str] = {list: "an array", str: "text", bool: "a bool", type(None): "null"}


def _fill(space: SortedMap, entries: Mapping[bytes, bytes]) -> None:
    for key, value in entries.items():
        space.put(key, value)


def _digest(spaces: Spaces) -> str:
    digest = blake2b(digest_size=12)
    for keys, values in spaces[Space.DATA].spans(b"", None, False):
        for key, value in zip(keys, values, strict=True):
            digest.update(b"%d %d\n%b%b" % (len(key), len(value), key, value))
    return digest.hexdigest()
