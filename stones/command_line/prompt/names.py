"""The names at the prompt of `stones shell`, and the lines that tell of them."""

import builtins
import keyword
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from importlib import import_module
from typing import Any
from uuid import UUID

from stones.collections.collection import Collection
from stones.collections.without_class.field_values import FieldValues
from stones.command_line.terminal_text import printable
from stones.errors import StoneError
from stones.formats.messages import show_count
from stones.stores.claims import collection_names, namespace_names
from stones.stores.store import Store

LISTED = 20
"""So many collections are listed when the prompt begins."""


class Collections(Mapping[str, Any]):
    """The collections of a store by their names, each opened when it is first asked for.

    A collection that another program makes later is there too.
    """

    def __init__(self, store: Store[Any, Any], classes: Mapping[str, type]) -> None:
        self._store = store
        self._classes = classes
        self._opened: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._opened:
            if name in self._classes:
                self._opened[name] = Collection(self._store, self._classes[name])
            elif name in list(self):
                self._opened[name] = Collection.without_class(self._store, name)
            else:
                raise KeyError(name)
        return self._opened[name]

    def __iter__(self) -> Iterator[str]:
        with self._store.database.reading() as txn:
            found = [*collection_names(txn)]
        return iter(dict.fromkeys([*found, *self._classes]))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __repr__(self) -> str:
        return f"<collections: {', '.join(self) or 'none'}>"


def prompt_names(
    store: Store[Any, Any], classes: Sequence[type] = ()
) -> tuple[dict[str, Any], list[str]]:
    """The names at the prompt, and a line for each collection that cannot be opened.

    `store`, `collections`, and each collection and namespace whose name Python can have. `classes`
    are those of collections; their modules are there too. So are modules and classes of which
    values are made: `datetime`, `Decimal`, `UUID`.
    """
    names: dict[str, Any] = {
        "datetime": import_module("datetime"),
        "Decimal": Decimal,
        "UUID": UUID,
    }
    for cls in classes:
        module = cls.__module__.partition(".")[0]
        names[module] = sys.modules[module]
    with store.database.reading() as txn:
        spaces = [*namespace_names(txn)]
    names |= {name: store.namespace(f"{name}/") for name in spaces if _is_name(name)}
    collections = Collections(store, {cls.__name__: cls for cls in classes})
    problems = []
    for name in collections:
        if _is_name(name):
            try:
                names[name] = collections[name]
            except StoneError as error:
                problems.append(f"{name} cannot be opened: {' '.join(str(error).split())}")
    return names | {"store": store, "collections": collections}, problems


def _is_name(name: str) -> bool:
    return name.isidentifier() and not keyword.iskeyword(name) and not hasattr(builtins, name)


def first_lines(names: Mapping[str, Any], problems: Sequence[str], width: int) -> str:
    """What the prompt shows when it begins: what can be typed."""
    store, collections = names["store"], names["collections"]
    lines = [f"Python {platform.python_version()}. Ctrl-D ends.", ""]
    rows = [("store", repr(store).strip("<>"))]
    listed = [name for name in collections if name in names]
    rows += [(name, _collection_text(collections[name])) for name in listed[:LISTED]]
    if len(collections) > len(listed[:LISTED]):
        rows.append(("collections", f"all {len(collections)}: collections['name']"))
    wide = max(len(name) for name, _ in rows)
    lines += [printable(f"  {name:{wide}}  {text}")[:width] for name, text in rows]
    lines += [printable(problem)[:width] for problem in problems]
    if listed:
        name = listed[0]
        lines += ["", f"Try: {name}.find().limit(5).to_list()    Tab completes keys and fields."]
    return "\n".join(lines)


def _collection_text(collection: Any) -> str:
    values = FieldValues.of(collection)
    keys = ", ".join(values.key_names) or "generated"
    fields = ", ".join(values.names)
    return f"{show_count(len(collection), 'record')}, key {keys}: {fields}"
