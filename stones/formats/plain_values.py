"""Plain values, which msgspec decodes in a fraction of the time of the full decoders.

A plain value consists of None, bool, int, float, str, lists, and dicts with str keys. msgspec is
told these types, and gives an error on any other bytes. Then the full decoder decides. Without the
types, msgspec would give a value where the full decoder gives an error, or another value: a list
that is a key of a dict as a tuple, a timestamp of nanoseconds rounded.
"""

from collections.abc import Callable, Sequence
from typing import Any

Decode = Callable[[bytes], Any]


def _plain_type(levels: int) -> Any:
    kind: Any = None | bool | int | float | str
    for _ in range(levels):
        kind = None | bool | int | float | str | list[kind] | dict[str, kind]
    return kind


PLAIN: Any = _plain_type(6)
"""The type of plain values for msgspec, in at most six levels of lists and dicts."""


class Tries:
    """Whether to take the next bytes for a plain value. To do so in vain takes 1 µs.

    After such a try, some are left out: the more, the more tries in a row were in vain.
    """

    __slots__ = ("last", "left_out")

    def __init__(self) -> None:
        self.left_out = self.last = 0  # two threads may miscount, which does no harm

    def fail(self) -> None:
        """A try was in vain."""
        self.left_out = self.last = min(2 * self.last + 1, 63)


def plain_first(decode_plain: Decode, decode_any: Decode) -> Decode:
    """A function that decodes as `decode_any` does, but plain values by `decode_plain`.

    `decode_plain` raises an error on all bytes that are not a plain value.
    """
    tries = Tries()

    def decode(raw: bytes) -> Any:
        if tries.left_out > 0:
            tries.left_out -= 1
            return decode_any(raw)
        try:
            value = decode_plain(raw)
        except Exception:  # noqa: BLE001  # the other decoder gives the value, or its own error
            tries.fail()
        else:
            tries.last = 0
            return value
        return decode_any(raw)

    return decode


def decode_all_plain(decode_plain: Decode, tries: Tries, raws: Sequence[bytes]) -> list[Any] | None:
    """The values, if all of them are plain and this is a time to try. Otherwise None."""
    if tries.left_out > 0:
        tries.left_out -= 1
        return None
    try:
        values = list(map(decode_plain, raws))
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  # the other decoder gives the value, or its own error
        tries.fail()
        return None
    tries.last = 0
    return values
