"""The dictionaries of a store, by which its small values are compressed, in `Space.META`.

A dictionary is made of parts of values. So a dictionary for encrypted values is encrypted too, by
the key of these values. It is a byte, `SEALED`, and the encrypted bytes (see `EncryptionKey.seal`).
Another dictionary is as zstd made it, and begins with 37 A4 30 EC.

Both are stored after their checksum, CRC-32 in 4 bytes (big-endian). By a damaged dictionary zstd
may give another value than was stored, without an error.
"""

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence

from attrs import define, frozen

from stones.engine import Space, Transaction

from .encryption import EncryptionKey
from .encryption_keys import KeyRing

PREFIX = b"dictionary/"
"""The metadata key of a dictionary is this prefix and its number."""
_CHECKSUM = 4
SEALED = b"\x01"
"""The first byte of a dictionary that is stored encrypted."""
_PURPOSE = b"stones: dictionary"

Trained = Callable[[EncryptionKey | None], bytes | None]
"""Gives the dictionary for values that a key encrypts, or for those that are not encrypted."""


def as_trained(dictionary: bytes | Trained | None) -> Trained:
    """The function that gives this dictionary for all values, or the function itself."""
    return dictionary if callable(dictionary) else lambda _: dictionary


def is_sealed(stored: bytes) -> bool:
    """Whether a dictionary is stored encrypted."""
    return stored[:1] == SEALED


def sealed(dictionary: bytes, number: int, key: EncryptionKey) -> bytes:
    """The bytes that are stored of a dictionary for values that `key` encrypts."""
    return SEALED + key.seal(_PURPOSE, PREFIX + b"%d" % number, dictionary)


def unsealed(stored: bytes, number: int, key: EncryptionKey) -> bytes:
    """The dictionary, from the bytes that `sealed` made. Raises anything for other bytes."""
    return key.unseal(_PURPOSE, PREFIX + b"%d" % number, stored[len(SEALED) :])


@frozen
class Keys:
    """The keys of a store whose formats are planned."""

    known: Sequence[EncryptionKey]
    checks: Mapping[str, str]
    """What recognizes the keys, by their ids."""

    def find(self, id: str | None) -> EncryptionKey | None:
        """The key with this id, or None if it is not known."""
        check = None if id is None else self.checks.get(id)
        return None if id is None or check is None else KeyRing(self.known).find(id, check)


@define
class PlannedDictionaries:
    """The dictionaries at the start of a migration.

    Each is for values of one key, or for values that are not encrypted. So where encryption
    changes, a format loses its dictionary, unless a new one was trained. If values become secret,
    others that share their dictionary lose it too.
    """

    by_number: dict[int, bytes]
    """Their stored bytes. A new dictionary is added."""
    last: int
    """The largest number that the store has given. No number is given twice."""
    trained: Trained | None
    """Gives new dictionaries. None keeps those that the formats have, where it may."""
    keys: Keys
    replaced: set[int]
    """The numbers of dictionaries that no format keeps."""

    def number(
        self, present: int | None, encryption_now: str | None, encryption: str | None
    ) -> int | None:
        """The dictionary for a format that had the dictionary `present` and another encryption."""
        if self.trained is not None:
            return self._add(self.trained, encryption)
        if present in self.replaced or encryption_now != encryption:
            return None
        return None if self.exposes(present, encryption) else present

    def exposes(self, number: int | None, encryption: str | None) -> bool:
        """Whether a dictionary of encrypted values is readable without the key."""
        stored = self.by_number.get(number or 0)
        return stored is not None and encryption is not None and not is_sealed(stored)

    def _add(self, trained: Trained, encryption: str | None) -> int | None:
        key = self.keys.find(encryption)
        if encryption is not None and key is None:
            return None  # it could be stored only in plain
        dictionary = trained(key)
        if dictionary is None:
            return None
        for number, stored in self.by_number.items():
            if self._is_same(stored, number, key, dictionary):
                return number
        self.last += 1
        new = dictionary if key is None else sealed(dictionary, self.last, key)
        self.by_number[self.last] = new
        return self.last

    @staticmethod
    def _is_same(stored: bytes, number: int, key: EncryptionKey | None, dictionary: bytes) -> bool:
        if key is None or not is_sealed(stored):
            return key is None and stored == dictionary
        try:
            return unsealed(stored, number, key) == dictionary
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001  # another key, or damaged
            return False


def read_dictionaries(txn: Transaction, numbers: Iterable[int | None]) -> dict[int, bytes]:
    """Those of the dictionaries that are there, and not damaged. One read for each number.

    An encrypted one stays encrypted.
    """
    found = {}
    for number in numbers:
        stored = None if number is None else txn.get(Space.META, PREFIX + b"%d" % number)
        if number is not None and stored is not None and stored == _stored(stored[_CHECKSUM:]):
            found[number] = stored[_CHECKSUM:]
    return found


def write_dictionaries(txn: Transaction, dictionaries: Mapping[int, bytes]) -> None:
    """Let the store have these dictionaries, given as stored bytes, and no others."""
    names = {PREFIX + b"%d" % number: each for number, each in dictionaries.items()}
    for name in list(txn.keys(Space.META, PREFIX, b"dictionary0")):
        if name not in names:
            txn.delete(Space.META, name)
    for name, dictionary in names.items():
        if txn.get(Space.META, name) != _stored(dictionary):
            txn.put(Space.META, name, _stored(dictionary))


def _stored(dictionary: bytes) -> bytes:
    return zlib.crc32(dictionary).to_bytes(_CHECKSUM, "big") + dictionary
