"""Tells whether a class stores a dict as it is, without making a record of it.

A dict of the usual kind has exactly the fields of its class, and each value is stored as it is and
read as it is. To make the record and its dict again would give the same dict. A function that only
tests the types takes a quarter of that time. It is made of generated source, as in `generated`.
"""

from collections.abc import Callable
from typing import Any

from .classes import Schema
from .conversion import Conversion

PlainCheck = Callable[[dict[str, Any]], bool]


def plain_check(schema: Schema) -> PlainCheck | None:
    """The function that tells of a dict whether the class would store it as it is.

    False says nothing: then load the record and dump it. None for a class of which nothing can be
    told: it has validators, converters, or fields that are not stored as they are.

    >>> from attrs import define
    >>> from stones.collections.records.record_type import record_type
    >>> @define
    ... class User:
    ...     name: str
    ...     tags: list[str]
    >>> is_plain = plain_check(record_type(User).schema)
    >>> is_plain({'name': 'ada', 'tags': ['x']}), is_plain({'name': 'ada', 'tags': [5]})
    (True, False)
    """
    fields = [*schema.fields.values()]
    if schema.constructor_may_change or not all(field.is_argument for field in fields):
        return None
    objects: dict[str, Any] = {}
    lines = [
        "def is_plain(stored):",
        f"    if len(stored) != {len(fields)}: return False",
        "    try:",
    ]
    for place, field in enumerate(fields):
        test = _test(place, field.conversion, objects)
        if test is None:
            return None
        objects[f"n{place}"] = field.name
        lines += [f"        v = stored[n{place}]", f"        if not ({test}): return False"]
    lines += ["    except KeyError: return False", "    return True"]
    # The source has only numbered names: no name of a field or of a class is in it.
    exec("\n".join(lines), objects)
    found: PlainCheck = objects["is_plain"]
    return found


def _test(place: int, conversion: Conversion, objects: dict[str, Any]) -> str | None:
    """The source of a test of the value `v`. None if no type is stored as it is."""
    tests = []
    for number, kind in enumerate(conversion.exact_types):
        objects[f"t{place}_{number}"] = kind
        tests.append(f"type(v) is t{place}_{number}")
    copied = conversion.copied
    if copied is not None:
        objects[f"c{place}"] = copied.kind
        objects[f"i{place}"] = frozenset(copied.item_types)
        objects[f"k{place}"] = frozenset(copied.key_types)
        items = f"i{place}.issuperset(map(type, v))"
        if copied.key_types:
            items = (
                f"k{place}.issuperset(map(type, v)) and i{place}.issuperset(map(type, v.values()))"
            )
        tests.append(f"(type(v) is c{place} and {items})")
    return " or ".join(tests) or None
