"""The entries of a record in all indexes of a collection, by a function made of generated source.

`entries.entry_maker` says what the entries are. The function made here gives the same ones for the
usual values, without a call for each: a str, an int or a float from 0 on, in an index of single
values. For everything else it calls `entry_maker`. A test compares the two.
"""

from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any

from .definition import IndexDefinition, Matches
from .encoding import FLOAT, MISSING
from .entries import KEY_SIZE, VALUES_SIZE, EntryMaker, entry_maker, inside
from .numbers import EXACT_INTS, NUMBER

AddEntries = Callable[[Any, bytes, list[bytes], list[bytes], dict[bytes, bytes]], None]
"""Adds the entries of a record, by its stored dict and its key, to two lists and a dict.

The first list gets the entries with an empty value, the second those whose value is `FLOAT`. To add
to a list takes a quarter of the time. The dict gets the others, and all of a unique index.
"""


def entries_adder(
    definitions: Sequence[IndexDefinition], matches: Sequence[Matches | None]
) -> AddEntries:
    """The function that adds the entries of a record in all these indexes.

    >>> plain, floats, others = [], [], {}
    >>> add_entries = entries_adder([IndexDefinition(7, ('age',))], [None])
    >>> add_entries({'age': 36}, b'ada', plain, floats, others)
    >>> plain
    [b'\\x00\\x00\\x00\\x07\\x11@B\\x00\\x00\\x00\\x00\\x00\\x00\\x00ada']
    """
    slow = [entry_maker(*pair) for pair in zip(definitions, matches, strict=True)]
    names: dict[str, Any] = {
        "MISSING": MISSING,
        "inside": inside,
        "pack": Struct(">IBdB").pack,
        "all_slow": _adder(slow),
    }
    lines = []
    for place, index in enumerate(definitions):
        names[f"slow_{place}"] = slow[place]
        if index.each or len(index.paths) > 1:
            lines.append(f"entries.update(slow_{place}(record, key))")
            continue
        names[f"text_{place}"] = index.prefix + b"\x20"
        body = [*_value(index.paths[0]), *_entry(place, index)]
        if matches[place] is not None:
            names[f"matches_{place}"] = matches[place]
            body = [f"if matches_{place}(record):", *(f"    {line}" for line in body)]
        lines += body
    source = "\n".join(
        [
            "def add_entries(record, key, plain, floats, entries):",
            "    counts = len(plain), len(floats)",
            f"    if len(key) >= {KEY_SIZE}:",
            "        return all_slow(record, key, plain, floats, entries)",
            "    try:",
            *(f"        {line}" for line in lines or ["pass"]),
            "    except UnicodeEncodeError:",
            "        del plain[counts[0] :], floats[counts[1] :]",
            "        all_slow(record, key, plain, floats, entries)",
        ]
    )
    exec(compile(source, "<entries of indexes>", "exec"), names)  # the source is ours
    made: AddEntries = names["add_entries"]
    return made


def _adder(makers: Sequence[EntryMaker]) -> AddEntries:
    def add_entries(
        record: Any, key: bytes, _: list[bytes], __: list[bytes], entries: dict[bytes, bytes]
    ) -> None:
        for make in makers:
            entries.update(make(record, key))

    return add_entries


def _value(path: str) -> list[str]:
    """The lines that find the value of a path. A path has names only: see `definition.PATH`."""
    first, *rest = path.split(".")
    lines = [f"value = record.get({first!r}, MISSING)"]
    for name in rest:
        get, other = f"value.get({name!r}, MISSING)", "inside(value)"
        lines.append(f"value = {get} if type(value) is dict else {other}")
    return lines


def _entry(place: int, index: IndexDefinition) -> list[str]:
    """The lines that add the entry of a value."""
    number = f"pack({index.id}, {NUMBER}, value, 0)"
    text = f'text_{place} + raw + b"\\0\\0"'
    if index.unique:
        add_text = f'entries[{text}] = b"\\0" + key'
        add_int = f'entries[{number}] = b"\\0" + key'
        add_float = f'entries[{number}] = {FLOAT!r} + b"\\0" + key'
    else:
        add_text, add_int = f"plain.append({text} + key)", f"plain.append({number} + key)"
        add_float = f"floats.append({number} + key)"
    slow = f"entries.update(slow_{place}(record, key))"
    return [
        "kind = type(value)",
        "if kind is str:",
        "    raw = value.encode()",
        f'    if len(raw) > {VALUES_SIZE - 3} or b"\\0" in raw:',
        f"        {slow}",
        "    else:",
        f"        {add_text}",
        f"elif kind is int and 0 <= value <= {EXACT_INTS}:",
        f"    {add_int}",
        "elif kind is float and value > 0:",
        f"    {add_float}",
        "else:",
        f"    {slow}",
    ]
