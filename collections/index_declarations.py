"""What a program writes to declare indexes: `index()` in a class, `Index` in `indexes=[...]`.

Each path is checked against the class: whether it leads to a value that can be indexed. So a
mistake is an error when the collection is opened, before anything is written.
"""

import inspect
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import attrs
from attrs import frozen

from stones.collections.records.conversion import Conversion
from stones.collections.records.record_type import RecordType
from stones.errors import CollectionError, QueryError
from stones.formats.messages import show

from .later import Later

__all__ = ["Index", "declared_indexes", "index"]

_INDEX = "stones.index"

if TYPE_CHECKING:
    from stones.collections.indexes import definition
    from stones.collections.indexes.definition import IndexDefinition
    from stones.collections.language.record_paths import RecordPaths
else:
    definition = Later("stones.collections.indexes.definition")

if TYPE_CHECKING:
    # To type checkers, index() is attrs.field: see stones.collections.records.record_type.key.
    from attrs import field as index
else:

    def index(**options: Any) -> Any:
        """A field of an attrs class that has an index.

        No two records may have the same value of a `unique` field; None is never the same. With
        `each=True` the elements of a list, tuple or set are indexed. The other options are those of
        `attrs.field`, with the same meaning.

        >>> from attrs import define
        >>> from stones import Collection, MemoryStore, index, key
        >>> @define
        ... class User:
        ...     email: str = key()
        ...     nick: str | None = index(unique=True, default=None)
        ...     tags: set[str] = index(each=True, factory=set)
        >>> users = Collection(MemoryStore(), User)
        >>> users.add(User('ada@example.org', 'ada'))
        'ada@example.org'
        >>> [found.name for found in users.indexes]
        ['nick', 'tags']
        >>> users.add(User('eve@example.org', 'ada'))
        Traceback (most recent call last):
            ...
        stones.errors.DuplicateKeyError: ...has the same nick as User['ada@example.org'], 'ada'...

        `Index` declares an index of several fields, of a field inside, or of some records. To a
        type checker the function is `attrs.field`, so the arguments of `User(...)` are checked. It
        refuses `unique` and `each`, which `attrs.field` does not have. In code that is type
        checked, declare such an index with `Index('nick', unique=True)`.
        """
        unique, each = (options.pop(name, False) for name in ("unique", "each"))
        metadata = {**(options.pop("metadata", None) or {}), _INDEX: (unique, each)}
        return attrs.field(metadata=metadata, **options)

    # help() and the documentation show the options by name, as those of `key`.
    _own = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False)
            for name in ("unique", "each")]  # fmt: skip
    index.__signature__ = inspect.Signature(
        [*inspect.signature(attrs.field).parameters.values(), *_own]
    )


@frozen(init=False)
class Index:
    """An index of one field or several, declared with `Collection(..., indexes=[...])`.

    A path is the name of a field, or leads to a field inside: 'address.city'. Several paths make an
    index sorted by the first, then by the next. `unique`: no two records have the same values in
    all paths; None and missing are never the same. `each`: the elements of a list, tuple or set are
    indexed, of the one path that has such a value. `where`: only the records that meet a JSONPath
    condition are indexed.

    >>> Index('age', where='@.active == true')
    Index(paths=('age',), unique=False, each=False, where='@.active == true')
    """

    paths: tuple[str, ...]
    unique: bool
    each: bool
    where: str | None

    def __init__(
        self, *paths: str, unique: bool = False, each: bool = False, where: str | None = None
    ) -> None:
        self.__attrs_init__(paths, unique, each, where)


def declared_indexes(
    record_type: RecordType[Any], declared: Iterable[Any] = ()
) -> "tuple[IndexDefinition, ...]":
    """The indexes of a class, and of `indexes=[...]`, as definitions without an id.

    Raises CollectionError for a path that no record can have, for a value that cannot be indexed,
    for the same index twice, and for what is no index. Raises QueryError for a `where` that does
    not parse, or that names a field that the class does not have.
    """
    if isinstance(declared, str | Index) or not isinstance(declared, Iterable):
        raise CollectionError(f"indexes= takes a list, not {show(declared)}: indexes=['age']")
    every = [*_fields_with_index(record_type), *map(_as_index, declared)]
    if not every:
        return ()
    from stones.collections.language.record_paths import RecordPaths  # as every query does

    paths = RecordPaths(record_type.conversion)
    found: list[IndexDefinition] = []
    for wanted in every:
        index = _definition(wanted, record_type, paths)
        if any(index.name == other.name for other in found):
            raise CollectionError(f"{record_type.name}: the index {index.name!r} is declared twice")
        found.append(index)
    return tuple(found)


def _fields_with_index(record_type: RecordType[Any]) -> list[Index]:
    marks = {
        field.name: field.metadata[_INDEX]
        for field in attrs.fields(record_type.cls)
        if _INDEX in field.metadata
    }
    return [
        Index(field.name, unique=marks[field.attribute][0], each=marks[field.attribute][1])
        for field in record_type.schema.fields.values()
        if field.attribute in marks
    ]


def _as_index(declared: Any) -> Index:
    if isinstance(declared, Index):
        return declared
    if isinstance(declared, str):
        return Index(declared)
    if isinstance(declared, tuple) and all(isinstance(path, str) for path in declared):
        return Index(*declared)
    raise CollectionError(
        f"{show(declared)} is no index: give a path 'age', a tuple of paths ('country', 'age'), "
        "or Index('age', unique=True)"
    )


def _definition(
    wanted: Index, record_type: RecordType[Any], paths: "RecordPaths"
) -> "IndexDefinition":
    owner = record_type.name
    if not 0 < len(wanted.paths) <= definition.MAX_PATHS:
        raise CollectionError(
            f"{owner}: an index has 1 to {definition.MAX_PATHS} paths, not {show(wanted)}"
        )
    if type(wanted.unique) is not bool or type(wanted.each) is not bool:
        raise CollectionError(f"{owner}: unique= and each= are True or False, not {show(wanted)}")
    if len(set(wanted.paths)) < len(wanted.paths):
        raise CollectionError(f"{owner}: an index has the same path twice: {show(wanted)}")
    places = [
        place
        for place, path in enumerate(wanted.paths)
        if _has_elements(_checked(path, record_type), path, owner, wanted)
    ]
    if wanted.each and len(places) != 1:
        raise CollectionError(
            f"{owner}: each=True takes one path to a list, tuple or set; {len(places)} of "
            f"{', '.join(wanted.paths)} are such paths"
        )
    found = definition.IndexDefinition(
        id=0,
        paths=wanted.paths,
        each_path=places[0] if wanted.each else None,
        unique=wanted.unique,
        where=None if wanted.where is None else _condition(wanted.where, owner, paths),
    )
    if len(found.name.encode()) > definition.MAX_NAME:
        raise CollectionError(
            f"{owner}: the paths and the condition of an index have at most "
            f"{definition.MAX_NAME} bytes, {show(found.name)} has {len(found.name.encode())}"
        )
    return found


# -- paths -------------------------------------------------------------------------------------

_CONTAINERS = (list, tuple, set, frozenset)


def _checked(path: Any, record_type: RecordType[Any]) -> list[Conversion]:
    """The types of the values at a path. Raises CollectionError if a record has none there."""
    owner = record_type.name
    if not isinstance(path, str) or not definition.PATH.fullmatch(path):
        raise CollectionError(
            f"{owner}: {show(path)} is no path of an index: write 'age', or 'address.city'"
        )
    kinds = [record_type.conversion]
    for name in path.split("."):
        inside: list[Conversion] = []
        for kind in kinds:
            if kind.fields is not None:
                inside += [kind.fields[name]] if name in kind.fields else []
            elif dict in _stored_types(kind):
                if any(item.part is not None for item in kind.items):
                    raise CollectionError(
                        f"{owner}: the index {path!r} leads through a dict of records, "
                        f"{kind.name}, which cannot be indexed"
                    )
                inside += kind.items
            elif object in _stored_types(kind):
                inside.append(kind)
        if not inside:
            is_list = any(_is_container(kind) for kind in kinds)
            hint = "it leads through a list" if is_list else f"there is no field {show(name)}"
            raise CollectionError(f"{owner}: no record can have the indexed path {path!r}: {hint}")
        kinds = _alternatives(inside)
    return kinds


def _has_elements(kinds: Sequence[Conversion], path: str, owner: str, wanted: Index) -> bool:
    """Whether the elements at a path are indexed. Raises CollectionError if nothing can be."""
    containers = [kind for kind in kinds if _is_container(kind)]
    if wanted.each and containers:
        items = [item for kind in containers for item in _alternatives(kind.items)]
        if containers[0].items and not any(map(_is_indexable, items)):
            raise CollectionError(
                f"{owner}: the elements of {path!r} cannot be indexed: each is a "
                f"{' | '.join(item.name for item in items)}, which has no order"
            )
        return True
    if not any(map(_is_indexable, kinds)):
        names = " | ".join(kind.name for kind in kinds)
        hint = "" if not containers else f": index its elements, Index({path!r}, each=True)"
        raise CollectionError(f"{owner}: {path!r} cannot be indexed: a {names} has no order{hint}")
    return wanted.each and len(wanted.paths) == 1 and _may_be_container(kinds)


def _alternatives(kinds: Iterable[Conversion]) -> list[Conversion]:
    """The types, with the members of a union in the place of the union."""
    found: list[Conversion] = []
    waiting = [*kinds]
    while waiting:
        kind = waiting.pop(0)
        if kind in found:
            continue
        found.append(kind)
        waiting += kind.members
    return [kind for kind in found if not kind.members or kind.fields is not None]


def _stored_types(kind: Conversion) -> set[Any]:
    return {form[0] if isinstance(form, tuple) else form for form in kind.stored_as}


def _is_container(kind: Conversion) -> bool:
    return kind.fields is None and not _stored_types(kind).isdisjoint(_CONTAINERS)


def _may_be_container(kinds: Sequence[Conversion]) -> bool:
    return any(object in _stored_types(kind) for kind in kinds)


def _is_indexable(kind: Conversion) -> bool:
    """Whether some value of a type has an order. None alone has none to speak of."""
    types = _stored_types(kind) - {dict, *_CONTAINERS, type(None)}
    return kind.fields is None and bool(types)


# -- conditions --------------------------------------------------------------------------------

_FILTER = re.compile(r"\$\[\?\s*\((.*)\)\s*\]|\$\[\?(.*)\]", re.DOTALL)


def _condition(where: Any, owner: str, paths: "RecordPaths") -> str:
    """The text of a condition, without the brackets of a filter. Raises QueryError."""
    from stones.collections.language.jsonpath import parse_filter

    found = paths.filter(where)
    if found.needs_all_records or found.placeholders:
        raise CollectionError(
            f"{owner}: the condition of an index concerns one record, and has no placeholders: "
            f"{show(where)}"
        )
    text: str = where.strip()
    match = _FILTER.fullmatch(text)
    inside = "" if match is None else (match[1] or match[2] or "").strip()
    if inside.startswith(("@", "!", "(")):
        with suppress(QueryError):
            parse_filter(inside)
            text = inside
    if not text.isprintable():
        raise CollectionError(f"{owner}: the condition of an index is one line: {show(where)}")
    return text
