"""Compresses the bytes of single values with zstd, alone or by a dictionary of their own kind.

A dictionary holds what many values have in common, such as the names of fields. Small values are
compressed well only with one. A compressed value is a frame of zstd with the size of its content,
and without the magic number and the number of the dictionary: the format of the value says both.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from stones.errors import CorruptValueError

from .messages import show_error
from .optional_packages import optional_module

ZSTD = "zstd"
"""The name of the only compression."""
LEVEL = 3
"""The level of zstd: on values of 150 bytes, level 9 saves 2 % more, and takes three times as long.
"""
DICTIONARY_SIZE = 65_536
"""How many bytes a dictionary has at most."""
_MOST_IN_A_BYTE = 32_768
"""No byte of a frame stands for more bytes than this. A header may claim anything."""


def compressor(dictionary: bytes | None) -> Callable[[bytes], bytes]:
    """The function that compresses bytes. Threads may share it.

    Raises StoreOpenError if the package zstandard is not installed, and CorruptValueError for bytes
    that look like a dictionary of zstd and are not one.
    """
    pool = _tools(dictionary).compressors
    take, give_back, new = pool.free.pop, pool.free.append, pool.new

    def compress(content: bytes) -> bytes:
        try:
            function = take()
        except IndexError:
            function = new()
        frame: bytes = function(content)
        give_back(function)
        return frame

    return compress


def decompressing(
    decode: Callable[[bytes], Any], dictionary: bytes | None, *, is_proved: bool = False
) -> Callable[[bytes], Any]:
    """The function that decompresses bytes and decodes the result. Threads may share it.

    It raises anything on bytes that `compressor` did not make with this dictionary. With
    `is_proved`, the caller knows that the bytes are as `compressor` made them. Raises as
    `compressor` does.
    """
    pool = _tools(dictionary).decompressors
    take, give_back, new = pool.free.pop, pool.free.append, pool.new

    def decompress_and_decode(frame: bytes) -> Any:
        try:
            decompress = take()
        except IndexError:
            decompress = new()
        try:
            # Otherwise not of a size told here, no frames one after the other, and nothing at the
            # end. To pass these arguments takes a fifth of the time of the call.
            content = decompress(frame) if is_proved else decompress(frame, 0, False, False)
        except MemoryError:
            if can_hold(frame):
                raise
            raise ValueError("its size is damaged") from None
        give_back(decompress)
        return decode(content)

    return decompress_and_decode


def can_hold(frame: bytes) -> bool:
    """Whether so many bytes as a frame claims can be in it: a damaged frame may claim anything."""
    zstandard = _zstandard()
    claimed = zstandard.get_frame_parameters(frame, format=zstandard.FORMAT_ZSTD1_MAGICLESS)
    return bool(claimed.content_size <= _MOST_IN_A_BYTE * len(frame))


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


def content_size(frame: bytes) -> int | None:
    """How many bytes a compressed value had, by the head of its frame. None if it does not tell.

    See RFC 8878, 3.1.1.1: the size is after the descriptor, the window and the dictionary's number.
    """
    if not frame:
        return None
    descriptor = frame[0]
    is_single = descriptor & 0x20
    width = (1 if is_single else 0, 2, 4, 8)[descriptor >> 6]
    start = 1 + (not is_single) + (0, 1, 2, 4)[descriptor & 3]
    field = frame[start : start + width]
    if not width or len(field) < width:
        return None
    return int.from_bytes(field, "little") + (256 if width == 2 else 0)


def check_compression_package() -> None:
    """Raise StoreOpenError if the package zstandard is not installed."""
    _zstandard()


def _zstandard() -> Any:
    return optional_module("zstandard", "compression")


class _Pool:
    """Objects of zstandard that do one thing. Each is used by one thread at a time."""

    def __init__(self, new: Callable[[], Callable[..., Any]]) -> None:
        self.new = new
        self.free: list[Callable[..., Any]] = [new()]
        """Those in no use. To take one, and to give it back, is one step of the list."""


class _Tools(NamedTuple):
    compressors: _Pool
    decompressors: _Pool


@lru_cache(32)
def _tools(dictionary: bytes | None) -> _Tools:
    zstandard = _zstandard()
    magicless = zstandard.FORMAT_ZSTD1_MAGICLESS
    shared = None if dictionary is None else zstandard.ZstdCompressionDict(dictionary)

    def new_compressor() -> Callable[..., Any]:
        parameters = zstandard.ZstdCompressionParameters.from_level(
            LEVEL, format=magicless, write_content_size=1, write_dict_id=0, write_checksum=0
        )
        made = zstandard.ZstdCompressor(dict_data=shared, compression_params=parameters)
        return made.compress  # type: ignore[no-any-return]  # zstandard is imported late

    def new_decompressor() -> Callable[..., Any]:
        made = zstandard.ZstdDecompressor(dict_data=shared, format=magicless)
        return made.decompress  # type: ignore[no-any-return]  # as above

    try:
        return _Tools(_Pool(new_compressor), _Pool(new_decompressor))
    except zstandard.ZstdError as error:
        raise CorruptValueError(
            f"the dictionary by which values are compressed is damaged: {show_error(error)}; "
            "restore the store from a backup"
        ) from error
