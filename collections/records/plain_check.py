"""The dict that a class would store of a dict, without making a record of it.

A dict of the usual kind has exactly the fields of its class, and each value is stored as it is and
read as it is. The record of it, and the dict of that record, would have the same values. A function
that only tests the types takes a quarter of the time. It is made of generated source, as in
`generated`.
"""

from collections.abc import Callable
from typing import Any

from .classes import Schema
from .conversion import Conversion

PlainCheck = Callable[[dict[str, Any]], dict[str, Any] | None]


def plain_check(schema: Schema) -> PlainCheck | None:
    """The function that gives the dict, in the order of the fields, if all values are as usual.

    If it gives None, load the record and dump it. There is no function for a class of which nothing
    can be told: it has validators, converters, or fields that are not stored as they are.

    >>> from attrs import define
    >>> from stones.collections.records.record_type import record_type
    >>> @define
    ... class User:
    ...     name: str
    ...     tags: list[str]
    >>> plain = plain_check(record_type(User).schema)
    >>> plain({'tags': ['x'], 'name': 'ada'})
    {'name': 'ada', 'tags': ['x']}
    >>> plain({'tags': [5], 'name': 'ada'})
    """
    fields = [*schema.fields.values()]
    if schema.constructor_may_change or not all(field.is_argument for field in fields):
        return None
    objects: dict[str, Any] = {}
    lines = ["def plain(stored):", f"    if len(stored) != {len(fields)}: return None", "    try:"]
    for place, field in enumerate(fields):
        test = _test(place, field.conversion, objects)
        if test is None:
            return None
        objects[f"n{place}"] = field.name
        lines.append(f"        v{place} = stored[n{place}]")
        lines.append(f"        if not ({test}): return None")
    entries = ", ".join(f"n{place}: v{place}" for place in range(len(fields)))
    lines += ["    except KeyError: return None", f"    return {{{entries}}}"]
    # The source has only numbered names: no name of a field or of a class is in it.
    exec("\n".join(lines), objects)
    found: PlainCheck = objects["plain"]
    return found


def _test(place: int, conversion: Conversion, objects: dict[str, Any]) -> str | None:
    """The source of a test of the value of a field. None if no type is stored as it is."""
    tests = []
    for number, kind in enumerate(conversion.exact_types):
        objects[f"t{place}_{number}"] = kind
        tests.append(f"type(v{place}) is t{place}_{number}")
    copied = conversion.copied
    if copied is not None:
        objects[f"c{place}"] = copied.kind
        objects[f"i{place}"] = frozenset(copied.item_types)
        objects[f"k{place}"] = frozenset(copied.key_types)
        items = f"i{place}.issuperset(map(type, v{place}))"
        if copied.key_types:
            keys = f"k{place}.issuperset(map(type, v{place}))"
            items = f"{keys} and i{place}.issuperset(map(type, v{place}.values()))"
        tests.append(f"(type(v{place}) is c{place} and {items})")
    return " or ".join(tests) or None
