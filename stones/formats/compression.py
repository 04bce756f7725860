"""Compresses the bytes of single values with zstd, alone or by a dictionary of their own kind.

A dictionary holds what many values have in common, such as the names of fields. Small values are
compressed well only with one. A compressed value is a frame of zstd with the size of its content,
and without the magic number and the number of the dictionary: the format of the value says both.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from threading import local
from typing import Any

from .optional_packages import optional_module

ZSTD = "zstd"
"""The name of the only compression."""
LEVEL = 3
"""The level of zstd: see tests/benchmarks/compressed_values.py."""
DICTIONARY_SIZE = 65_536
"""How many bytes a dictionary has at most."""
_MOST_IN_A_BYTE = 32_768
"""No byte of a frame stands for more bytes than this. A header may claim anything."""


def compressor(dictionary: bytes | None) -> Callable[[bytes], bytes]:
    """The function that compresses bytes. Threads may share it.

    Raises StoreOpenError if the package zstandard is not installed.
    """
    tools = _tools(dictionary)

    def compress(content: bytes) -> bytes:
        compressed: bytes = tools.compress(content)  # each thread has another method
        return compressed

    return compress


def decompressor(dictionary: bytes | None) -> Callable[[bytes], bytes]:
    """The function that decompresses bytes. Threads may share it.

    It raises anything on bytes that `compressor` did not make with this dictionary. Raises
    StoreOpenError if the package zstandard is not installed.
    """
    return decompressing(bytes, dictionary)


def decompressing(
    decode: Callable[[bytes], Any], dictionary: bytes | None
) -> Callable[[bytes], Any]:
    """The function that decompresses bytes and decodes the result, as one call.

    Its errors are those of `decompressor`, and those of `decode`.
    """
    tools = _tools(dictionary)

    def decompress_and_decode(frame: bytes) -> Any:
        try:
            # Neither a size of its own, nor frames one after the other, nor anything at the end.
            content = tools.decompress(frame, 0, False, False)
        except MemoryError:
            if tools.can_hold(frame):
                raise
            raise ValueError("its size is damaged") from None
        return decode(content)

    return decompress_and_decode


def train(samples: Sequence[bytes], size: int = DICTIONARY_SIZE) -> bytes | None:
    """A dictionary of `size` bytes at most, trained on bytes of serializers.

    None if there are too few samples, or nothing is common to them. It takes about 0.1 s for each
    5 MB of samples. Raises StoreOpenError if the package zstandard is not installed.
    """
    zstandard = _zstandard()
    try:
        trained = zstandard.train_dictionary(size, list(samples))
    except zstandard.ZstdError:
        return None
    return bytes(trained.as_bytes())


def check_compression_package() -> None:
    """Raise StoreOpenError if the package zstandard is not installed."""
    _zstandard()


def _zstandard() -> Any:
    return optional_module("zstandard", "compression")


class _Tools(local):
    """The two objects of zstandard: one thread at a time may use one, so each has its own."""

    def __init__(self, dictionary: Any) -> None:
        zstandard = _zstandard()
        magicless = zstandard.FORMAT_ZSTD1_MAGICLESS
        parameters = zstandard.ZstdCompressionParameters.from_level(
            LEVEL, format=magicless, write_content_size=1, write_dict_id=0, write_checksum=0
        )
        self.compress = zstandard.ZstdCompressor(
            dict_data=dictionary, compression_params=parameters
        ).compress
        self.decompress = zstandard.ZstdDecompressor(
            dict_data=dictionary, format=magicless
        ).decompress
        self._parameters = partial(zstandard.get_frame_parameters, format=magicless)

    def can_hold(self, frame: bytes) -> bool:
        """Whether so many bytes as the frame says can be in it."""
        return bool(self._parameters(frame).content_size <= _MOST_IN_A_BYTE * len(frame))


@lru_cache(32)
def _tools(dictionary: bytes | None) -> _Tools:
    zstandard = _zstandard()
    return _Tools(None if dictionary is None else zstandard.ZstdCompressionDict(dictionary))
