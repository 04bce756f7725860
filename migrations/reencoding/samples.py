"""Samples: some of the values of a store, spread over all keys, to train a dictionary on."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from stones.formats.compression import DICTIONARY_SIZE, compressor, train
from stones.formats.encryption import EncryptionKey

MOST = 20_000
"""At most so many samples are kept."""
MOST_BYTES = 8_000_000
"""At most so many bytes of samples are kept."""
LARGEST = 16_384
"""A dictionary helps little with larger values, so they are no samples."""
_TRIED = 500
_VALUES_TO_DICTIONARY = 16
"""A dictionary has at most this part of the bytes of all values."""

Sample = Callable[[Sequence[bytes], Sequence[bytes]], Iterator[bytes]]
"""Makes the bytes to train on, from keys and stored values."""


class Samples:
    """Every value, then every second, every fourth and so on: as many as fit.

    The same values in the same order give the same dictionary.
    """

    def __init__(self) -> None:
        self._kept: list[bytes] = []
        self._stride = 1
        self._bytes = 0
        self._next = 0
        """How many values are left out before the next one that is taken."""

    def offer(self, keys: Sequence[bytes], values: Sequence[bytes], sample: Sample) -> None:
        """Take the values whose turn it is."""
        first, stride = self._next, self._stride
        count = len(range(first, len(keys), stride))
        self._next = first + count * stride - len(keys)
        if not count:
            return
        for each in sample(keys[first::stride], values[first::stride]):
            if len(each) <= LARGEST:
                self._kept.append(each)
                self._bytes += len(each)
        while len(self._kept) > MOST or self._bytes > MOST_BYTES:
            del self._kept[1::2]
            self._bytes = sum(map(len, self._kept))
            self._stride *= 2

    def dictionary(self) -> bytes | None:
        """The dictionary, or None if it would not save more bytes than it has."""
        # A small store gets a small dictionary.
        size = min(DICTIONARY_SIZE, max(self._bytes * self._stride // _VALUES_TO_DICTIONARY, 512))
        dictionary = train(self._kept, size)
        if dictionary is None:
            return None
        tried = list(islice(self._kept, 0, None, max(1, len(self._kept) // _TRIED)))
        alone, together = compressor(None), compressor(dictionary)
        saved = sum(len(alone(each)) - len(together(each)) for each in tried)
        values = len(self._kept) * self._stride
        return dictionary if saved * values > len(dictionary) * len(tried) else None


Group = tuple[EncryptionKey | None, Sequence[bytes], Sequence[bytes]]
"""Keys and stored values of one encryption: the key that will encrypt them, or None."""


class SamplesByKey:
    """Samples of the values of each key, and of those that are not encrypted.

    A dictionary has parts of its samples. So it is only for values that the same key encrypts.
    """

    def __init__(self) -> None:
        self._samples: dict[EncryptionKey | None, Samples] = {}

    def offer(self, groups: Iterable[Group], sample: Sample) -> None:
        """Take the values of each group whose turn it is."""
        for encryption, keys, values in groups:
            self._samples.setdefault(encryption, Samples()).offer(keys, values, sample)

    def dictionaries(self) -> dict[EncryptionKey | None, bytes]:
        """The dictionaries that save more bytes than they have, by the keys of the values."""
        trained = {each: samples.dictionary() for each, samples in self._samples.items()}
        return {each: made for each, made in trained.items() if made is not None}
