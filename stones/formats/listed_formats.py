"""Checks what the list of formats of a store says, which an attacker may have written.

A name in it could be of a wrong type, very long, or contain the control characters of a terminal.
`stones.formats.metadata` reads and writes the list. All functions here raise ValueError or
TypeError.
"""

import re
from collections.abc import Collection
from typing import Literal

from .compression import ZSTD

_SERIALIZER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,67}")
_ID, _CHECK = re.compile(r"[0-9a-f]{32}"), re.compile(r"[0-9a-f]{32}")
_MAX_RULE_SIZE = 511
MAX_DICTIONARY = 10_000_000
"""The largest number of a dictionary."""


def checked_serializer(name: object, id: int) -> str:
    """The name of the serializer of the format `id`."""
    if type(name) is not str or not _SERIALIZER_NAME.fullmatch(name):
        raise ValueError(f"the serializer of the format {id} has no valid name")
    return name


def checked_id(id: object, last: int) -> int:
    """The id of a format, which is a number from 1 to `last`."""
    if type(id) is not int or not 1 <= id <= last:
        raise ValueError(f"the id of a format is not a number from 1 to {last}")
    return id


def checked_compression(name: object) -> Literal["zstd"] | None:
    """The name of a compression, or None."""
    if name is None:
        return None
    if name != ZSTD:
        raise ValueError("a compression has no valid name")
    return "zstd"


def checked_dictionary(number: object) -> int | None:
    """The number of a dictionary, or None."""
    if number is None:
        return None
    if type(number) is not int or not 1 <= number <= MAX_DICTIONARY:
        raise ValueError("the number of a dictionary is not valid")
    return number


def checked_keys(keys: object) -> dict[str, str]:
    """What recognizes the keys of encrypted values, by their ids."""
    if type(keys) is not dict or not all(
        type(check) is str and _ID.fullmatch(id) and _CHECK.fullmatch(check)
        for id, check in keys.items()
    ):
        raise ValueError("what recognizes the keys of encrypted values is not valid")
    return keys


def checked_rules(rules: object, ids: Collection[int]) -> dict[bytes, int]:
    """The ids of formats by the prefixes of keys, which are listed in hexadecimal."""
    if type(rules) is not dict or not all(
        len(prefix) <= 2 * _MAX_RULE_SIZE and type(id) is int and id in ids
        for prefix, id in rules.items()
    ):
        raise ValueError("a rule is not valid")
    return {bytes.fromhex(prefix): id for prefix, id in rules.items()}


def checked_ids(ids: object, known: Collection[int]) -> frozenset[int]:
    """Some of the ids of formats."""
    if type(ids) is not list or not all(type(id) is int and id in known for id in ids):
        raise ValueError("a format that values are left in is not listed")
    return frozenset(ids)
