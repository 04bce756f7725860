r"""The files of Python's `dbm`, as the files of a `WholeFileEngine`.

A store of stones has its three spaces in one file, and the key `\0stones\0`, which marks it. An
entry of the user has its own key. What stones keeps for itself has keys that start with
`\0stones\0m` for `Space.META` and `\0stones\0i` for `Space.INDEX`. A key of the user that starts
with `\0stones\0` has `\0stones\0d` in front.

A file without the mark is foreign: `dbm` or `shelve` has made it. All its keys are entries, and
their values have no format byte. It is written so that they can read it.

A commit makes the new files in a folder, `.NAME.stones-new`. One file is then renamed. If there are
several, the folder gets the name `.NAME.stones-commit`: that is the commit. Then the files are
moved to their places. The next writer finishes that if its process was killed meanwhile, and a
reader takes from the folder what is still there.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from tempfile import TemporaryDirectory
from typing import Any

from stones.engine import Space, Transaction
from stones.engines.sorted_map import SortedMap
from stones.engines.stones03 import Stones03Engine
from stones.engines.whole_file.contents import Contents, Signature, WholeFile
from stones.engines.whole_file.engine import WholeFileEngine
from stones.engines.whole_file.replaced import finish_file, keep_rights, sync_folder
from stones.errors import StoreOpenError, TransactionError

from .kinds import KINDS, Kind, default_kind, kind_at

MARK = b"\0stones\0"
_PREFIXES = {Space.DATA: MARK + b"d", Space.INDEX: MARK + b"i", Space.META: MARK + b"m"}


class DbmFiles(WholeFile):
    """The files at `path`, as `dbm.open` takes it. `kind` is the kind of new files: "gnu".

    Raises StoreOpenError for an unknown kind.
    """

    def __init__(self, path: str, kind: str | None = None) -> None:
        path = os.path.abspath(path)
        self._kind: Kind | None = None
        self._new_kind = kind
        if kind is not None and f"dbm.{kind}" not in KINDS:
            known = ", ".join(name.removeprefix("dbm.") for name in KINDS)
            raise StoreOpenError(f"kind is one of {known}, not {kind!r:.60}")
        self.path = path

    @property
    def kind(self) -> str:
        """The kind of the files: "dbm.gnu", "dbm.dumb" and so on."""
        return self._known_kind().name

    def look(self) -> Signature | None:
        kind = self._kind
        suffixes = _ALL if kind is None else kind.suffixes
        found = []
        for name in [self.path + suffix for suffix in suffixes]:
            with suppress(FileNotFoundError, NotADirectoryError):
                found.append(os.stat(name))
        if kind is None or len(kind.suffixes) > 1:
            with suppress(FileNotFoundError, NotADirectoryError):
                found.append(os.stat(self._folder("commit")))
        return tuple((at.st_ino, at.st_mtime_ns, at.st_size) for at in found) or None

    def read(self) -> Contents:
        with TemporaryDirectory() as folder:
            path = self.path
            if os.path.isdir(self._folder("commit")):
                path = os.path.join(folder, "copy")
                for name in [*self._paths(self.path), *self._paths(self._committed())]:
                    with suppress(FileNotFoundError):  # another process has moved it
                        shutil.copyfile(name, path + self._suffix(name))
            kind = kind_at(path)
            if kind is None:
                raise FileNotFoundError(2, os.strerror(2), self.path)
            self._kind = kind
            entries = dict(kind.read(path))
        foreign = entries.pop(MARK, None) is None
        spaces = tuple(SortedMap() for _ in Space)
        for key, value in entries.items():
            space, key = (Space.DATA, key) if foreign else _place_of(key)
            spaces[space].put(key, value)
        return Contents(spaces, foreign)

    def write(self, contents: Contents, durable: bool) -> Callable[[], None]:
        data, index, meta = contents.spaces
        if contents.foreign and (index.count or meta.count):
            raise TransactionError(
                f"{self.path!r} was made by dbm or shelve, and has no place for what stones keeps "
                "for itself: call stones.migrate(store, to=SERIALIZER) first"
            )
        kind = self._known_kind()
        folder = self._folder("new")
        shutil.rmtree(folder, ignore_errors=True)  # of a killed process
        os.mkdir(folder)
        try:
            entries = data.scan(b"", None, False) if contents.foreign else _stored(contents.spaces)
            kind.write(os.path.join(folder, os.path.basename(self._place())), entries)
            made = sorted(os.listdir(folder))
            for name in made:
                self._finish(os.path.join(folder, name), self._target(name), durable)
            if durable:
                sync_folder(folder)
            is_there = bool(self._paths(self.path))
            end = kind.guard(self._place()) if kind.guard and is_there else None
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

        def switch() -> None:
            try:
                if len(made) == 1:
                    os.replace(os.path.join(folder, made[0]), self._target(made[0]))
                    with suppress(OSError):
                        os.rmdir(folder)
                else:
                    os.rename(folder, self._folder("commit"))
                    if durable:
                        sync_folder(os.path.dirname(folder))
                    with suppress(OSError):  # it is committed: the next writer finishes it
                        self._move(durable)
            finally:
                if end is not None:
                    end()

        return switch

    def finish(self) -> None:
        self._move(durable=True)

    def _move(self, durable: bool) -> None:
        """Move the files of a commit to their places."""
        folder = self._folder("commit")
        try:
            names = os.listdir(folder)
        except FileNotFoundError:
            return
        for name in names:
            os.replace(os.path.join(folder, name), self._target(name))
        if durable:
            sync_folder(os.path.dirname(folder))
        os.rmdir(folder)

    def names(self) -> list[str]:
        more = [self.path + ".bak"] if self._known_kind().name == "dbm.dumb" else []
        return [name for name in [*self._paths(self.path), *more] if os.path.exists(name)]

    def lock_path(self) -> str:
        return self._place() + ".lock"

    def _known_kind(self) -> Kind:
        if self._kind is None:
            found = kind_at(self.path)
            named = self._new_kind
            self._kind = found or (default_kind() if named is None else KINDS[f"dbm.{named}"])
        return self._kind

    def _place(self) -> str:
        """The path without the suffixes of files. A symbolic link to a file is followed."""
        folder, name = os.path.split(self.path)
        if os.path.isfile(self.path) or os.path.islink(self.path):
            return os.path.realpath(self.path)
        return os.path.join(os.path.realpath(folder), name)

    def _folder(self, what: str) -> str:
        folder, name = os.path.split(self._place())
        return os.path.join(folder, f".{name}.stones-{what}")

    def _committed(self) -> str:
        return os.path.join(self._folder("commit"), os.path.basename(self._place()))

    def _paths(self, path: str) -> list[str]:
        """The files that are there, of those that may be at `path`."""
        suffixes = _ALL if self._kind is None else self._kind.suffixes
        return [path + suffix for suffix in suffixes if os.path.isfile(path + suffix)]

    def _suffix(self, name: str) -> str:
        base = os.path.basename(self._place())
        return os.path.basename(name).removeprefix(base)

    def _target(self, name: str) -> str:
        return os.path.join(os.path.dirname(self._place()), name)

    def _finish(self, name: str, target: str, durable: bool) -> None:
        earlier = None
        with suppress(FileNotFoundError):
            earlier = os.stat(target)
            if not os.access(target, os.W_OK):
                raise PermissionError(13, os.strerror(13), target)
            keep_rights(name, earlier)
        descriptor = os.open(name, os.O_RDWR)
        try:
            finish_file(name, descriptor, earlier, durable)
        finally:
            os.close(descriptor)


class DbmEngine(WholeFileEngine, Stones03Engine):
    """Ordered bytes in the files of `dbm`: see `DbmFiles` and `WholeFileEngine`."""

    def __init__(self, path: str, kind: str | None = None, **options: Any) -> None:
        self._adopting = False
        super().__init__(DbmFiles(path, kind), **options)

    @property
    def legacy(self) -> bool:
        return self._state.contents.foreign

    def adopt(
        self, prefix: bytes, finish: Callable[[Transaction], None], timeout: float | None = None
    ) -> None:
        txn = self.begin(write=True, timeout=timeout)
        try:
            if self._base.contents.foreign:  # else another process was quicker
                for key, value in txn.scan(Space.DATA):
                    txn.put(Space.DATA, key, prefix + value)
                finish(txn)
                self._adopting = True
            txn.commit()
        finally:
            self._adopting = False
            txn.abort()

    def _is_foreign(self, foreign: bool) -> bool:
        return foreign and not self._adopting


def _place_of(key: bytes) -> tuple[Space, bytes]:
    """The space of a stored key, and the key there."""
    if key.startswith(MARK):
        for space, prefix in _PREFIXES.items():
            if key.startswith(prefix):
                return space, key.removeprefix(prefix)
    return Space.DATA, key


def _stored(spaces: tuple[SortedMap, ...]) -> Iterator[tuple[bytes, bytes]]:
    """The entries of all spaces, with the keys that they have in the file."""
    yield MARK, b"1"
    for space, prefix in _PREFIXES.items():
        for key, value in spaces[space].scan(b"", None, False):
            own = space is not Space.DATA or key.startswith(MARK)
            yield prefix + key if own else key, value


_ALL = ("", ".db", ".pag", ".dat", ".dir")
