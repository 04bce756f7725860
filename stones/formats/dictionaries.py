"""The dictionaries of a store, by which its small values are compressed, in `Space.META`.

A dictionary is stored after its checksum, CRC-32 in 4 bytes (big-endian). By a damaged dictionary
zstd may give another value than was stored, without an error.
"""

import zlib
from collections.abc import Iterable, Mapping

from stones.engine import Space, Transaction

PREFIX = b"dictionary/"
"""The metadata key of a dictionary is this prefix and its number."""
_CHECKSUM = 4


def number_for(dictionary: bytes | None, dictionaries: dict[int, bytes], last: int) -> int | None:
    """The number of a dictionary, which is added to `dictionaries` if it is not there.

    `last` is the largest number that the store has given. No number is given twice.
    """
    if dictionary is None:
        return None
    for number, each in dictionaries.items():
        if each == dictionary:
            return number
    dictionaries[last + 1] = dictionary
    return last + 1


def read_dictionaries(txn: Transaction, numbers: Iterable[int | None]) -> dict[int, bytes]:
    """Those of the dictionaries that are there, and not damaged. One read for each number."""
    found = {}
    for number in numbers:
        stored = None if number is None else txn.get(Space.META, PREFIX + b"%d" % number)
        if number is not None and stored is not None and stored == _stored(stored[_CHECKSUM:]):
            found[number] = stored[_CHECKSUM:]
    return found


def write_dictionaries(txn: Transaction, dictionaries: Mapping[int, bytes]) -> None:
    """Let the store have these dictionaries, and no others."""
    names = {PREFIX + b"%d" % number: each for number, each in dictionaries.items()}
    for name in list(txn.keys(Space.META, PREFIX, b"dictionary0")):
        if name not in names:
            txn.delete(Space.META, name)
    for name, dictionary in names.items():
        if txn.get(Space.META, name) != _stored(dictionary):
            txn.put(Space.META, name, _stored(dictionary))


def _stored(dictionary: bytes) -> bytes:
    return zlib.crc32(dictionary).to_bytes(_CHECKSUM, "big") + dictionary
