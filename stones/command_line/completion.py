"""What may be typed next in a shell: stores, collections, keys of records, fields.

The store that is named on the line is opened read-only. Only a part of its keys is looked at, and
after two seconds nothing is offered. Whatever fails, nothing is printed.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    Item = CompletionItem[Any]

Complete = Callable[[click.Context, click.Parameter, str], "list[Item]"]

SHOWN = 100
"""So many words are offered."""
LOOKED_AT = 1000
"""So many keys are looked at."""
SECONDS = 2
"""So long may it take: a server may not answer."""

_SCHEMES = {
    "dbm:": "files",
    "json:": "files",
    "leveldb:": "folders",
    "lmdb:": "folders",
    "sqlite:": "files",
    "postgresql://": "",
    "redis://": "",
    "rediss://": "",
    "unix://": "",
    "valkey://": "",
}
"""The schemes of URLs, and what comes after them."""
_MARKS = ("data.mdb", "CURRENT")
"""A file in a directory that is a store: of LMDB, of LevelDB."""

_BESIDE = ("-wal", "-shm", "-journal")
"""The ends of the names of files that SQLite has beside its own."""


class StorePath(click.Path):
    """The path or URL of a store."""

    def __init__(self) -> None:
        super().__init__(readable=False)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> "list[Item]":
        scheme, colon, rest = incomplete.partition(":")
        kind = _SCHEMES.get(f"{scheme}:", "") if colon else "folders"
        if colon and kind:
            return [*_paths(rest, kind, f"{scheme}:")]
        found = [*_paths(incomplete, kind)] if kind else []
        schemes = [each for each in _SCHEMES if incomplete and each.startswith(incomplete)]
        return [*found, *(_item(each, "nospace") for each in schemes)]


class CompletedCommand(click.Command):
    """A command whose arguments are known while the value of an option is typed.

    click parses none of `my-db --prefix`, since the option lacks its value.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if ctx.resilient_parsing and args and self._wants_value(args[-1]):
            args = args[:-1]
        return super().parse_args(ctx, args)

    def _wants_value(self, word: str) -> bool:
        return any(
            word in (*option.opts, *option.secondary_opts)
            for option in self.params
            if isinstance(option, click.Option) and not option.is_flag and not option.count
        )


def _paths(begun: str, kind: str, before: str = "") -> "Iterator[Item]":
    """The paths that begin so. A directory that is no store goes on."""
    folder, slash, name = begun.rpartition("/")
    with suppress(OSError):
        entries = sorted(os.scandir(os.path.expanduser(folder + slash) or "."), key=_name)
        for entry in entries:
            hidden = entry.name.startswith(".") and not name.startswith(".")
            if not entry.name.startswith(name) or hidden or entry.name.endswith(_BESIDE):
                continue
            path = f"{before}{folder}{slash}{entry.name}"
            if entry.is_dir():
                is_store = any(os.path.exists(os.path.join(entry.path, mark)) for mark in _MARKS)
                end = "" if is_store and kind == "folders" else "/"
                yield _item(path + end, "nospace" if end else "plain")
            elif kind == "files":
                yield _item(path)


def _item(word: str, kind: str = "plain") -> "Item":
    from click.shell_completion import CompletionItem  # commands run without it

    return CompletionItem(word, type=kind)


def _name(entry: "os.DirEntry[str]") -> str:
    return entry.name


def completes(words: Callable[[click.Context, str], Iterable[str]]) -> Complete:
    """A function for `shell_complete=` of an argument or option, of one that gives the words."""

    def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> "list[Item]":
        found: list[Item] = []
        with suppress(Exception), ctx.scope(cleanup=False):  # nobody reads an error at a Tab
            for word in islice(words(ctx, incomplete), SHOWN):
                kind = "nospace" if word.endswith(("/", "=")) else "plain"
                found.append(_item(word, kind))
        return found

    return complete


@contextmanager
def _store(ctx: click.Context) -> Iterator[Any]:
    """The store that is named on the line."""
    from .opening import open_store

    path = os.path.expanduser(ctx.params["path"])
    options = [ctx.params.get("serialize"), ctx.params.get("table")]
    with _time_limit(), open_store(path, *options, readonly=True) as store:
        yield store


@contextmanager
def _time_limit() -> Iterator[None]:
    """Ends the process if the block takes too long: the client of a server may be in C code."""
    import signal

    if not hasattr(signal, "setitimer"):  # Windows has no timer
        yield
        return
    before = signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@completes
def complete_collection(ctx: click.Context, incomplete: str) -> Iterator[str]:
    """The names of collections."""
    with _store(ctx) as store:
        yield from (name for name in _claimed(store)[0] if name.startswith(incomplete))


@completes
def complete_prefix(ctx: click.Context, incomplete: str) -> Iterator[str]:
    """The beginnings of keys: `User/`, and keys that are of no collection."""
    from stones.stores.key_text import parse_key

    with _store(ctx) as store:
        collections, namespaces = _claimed(store)
        names = sorted([*collections, *namespaces])
        yield from (f"{name}/" for name in names if name.startswith(incomplete))
        yield from _raw_keys(store, parse_key(incomplete), names)


@completes
def complete_key(ctx: click.Context, incomplete: str) -> Iterator[str]:
    """A key of the store, or the name of a collection and then the parts of a key."""
    with _store(ctx) as store:
        yield from _key_words(store, ctx.params.get("key") or (), incomplete)


@completes
def complete_record(ctx: click.Context, incomplete: str) -> Iterator[str]:
    """A key, and after the key of a record its fields: `Visit Paris 7 rating=`."""
    typed = [os.fsencode(word) for word in ctx.params.get("words") or ()]
    with _store(ctx) as store:
        if typed and typed[0].decode() in _claimed(store)[0]:
            found = _collection(store, typed[0].decode())
            first = next(iter(found), ())
            if len(typed) > (len(first) if isinstance(first, tuple) else 1):
                yield from (f"{name}=" for name in _names(found) if name.startswith(incomplete))
                return
        yield from _key_words(store, typed, incomplete)


@completes
def complete_fields(ctx: click.Context, incomplete: str) -> Iterator[str]:
    """The fields of the collection, after those that are there already: `name,-age`."""
    before, comma, word = incomplete.rpartition(",")
    sign = "-" if word.startswith("-") else ""
    for name in _fields(ctx):
        if name.startswith(word.removeprefix(sign)):
            yield f"{before}{comma}{sign}{name}"


@completes
def complete_condition(ctx: click.Context, incomplete: str) -> Iterator[str]:
    """The beginning of a condition: `age=`."""
    yield from (f"{name}=" for name in _fields(ctx) if name.startswith(incomplete))


def _fields(ctx: click.Context) -> tuple[str, ...]:
    with _store(ctx) as store:
        return _names(_collection(store, ctx.params["collection"]))


def _collection(store: Any, name: str) -> Any:
    from stones.collections.collection import Collection

    return Collection.without_class(store, name)


def _names(collection: Any) -> tuple[str, ...]:
    """The names of the fields."""
    from stones.collections.without_class.field_values import FieldValues

    return FieldValues.of(collection).names


def _claimed(store: Any) -> tuple[list[str], list[str]]:
    """The names of the collections of a store, and of its namespaces."""
    from stones.stores.claims import collection_names, namespace_names

    with store.database.reading() as txn:
        return [*collection_names(txn)], [*namespace_names(txn)]


def _key_words(store: Any, typed: Sequence[bytes], begun: str) -> Iterator[str]:
    """The next word of a key, after the words `typed`."""
    from stones.stores.key_text import parse_key, show_key

    collections, namespaces = _claimed(store)
    if not typed:
        names = sorted([*collections, *namespaces])
        yield from (name for name in names if name.startswith(begun))
        yield from _raw_keys(store, parse_key(begun), names)
    elif (name := typed[0].decode()) in namespaces:
        prefix = f"{name}/".encode()
        keys = store.range(prefix=prefix + parse_key(begun), limit=SHOWN)
        yield from (show_key(key.removeprefix(prefix)) for key in keys)
    else:
        yield from _parts_of_keys(store, name, typed[1:], begun)


def _raw_keys(store: Any, begun: bytes, names: Sequence[str]) -> Iterator[str]:
    """Keys of the store that begin so, without those of the collections and namespaces `names`."""
    from stones.stores.key_text import show_key

    claimed = {name.encode() for name in names} if b"/" not in begun else set()
    key = next(iter(store.range(ge=begun, limit=1)), None)
    while key is not None and key.startswith(begun):
        head, slash, _ = key.partition(b"/")
        if slash and head in claimed:
            following = store.range(ge=head + b"0", limit=1)  # what sorts after the slash
        else:
            yield show_key(key)
            following = store.range(gt=key, limit=1)
        key = next(iter(following), None)


def _parts_of_keys(store: Any, name: str, typed: Sequence[bytes], begun: str) -> Iterator[str]:
    """The next part of the keys of a collection, as it is typed, after the parts `typed`."""
    from stones.collections.typed_keys import key_type, show_parts

    annotation = key_type(store, name)
    collection = _collection(store, name)
    first = next(iter(collection), None)
    bounds: dict[str, Any] = {}
    if begun and not typed and isinstance(first, str):
        bounds = {"prefix": begun}
    elif isinstance(first, tuple) and all(isinstance(part, str) for part in first[: len(typed)]):
        before = tuple(part.decode() for part in typed)
        has_text = isinstance(first[len(typed)], str) and begun
        bounds = {"ge": (*before, begun)} if has_text else {"ge": before} if before else {}
    before_text = [part.decode() for part in typed]
    given: dict[str, None] = {}
    for key in collection.range(**bounds, limit=LOOKED_AT):
        parts = show_parts(annotation, key)
        if parts[: len(typed)] == before_text and parts[len(typed)].startswith(begun):
            given[parts[len(typed)]] = None
    yield from given
