"""Pickled values: read only for those who trust the file, since to read one can run code."""

import os
import pickle
import pickletools
from contextlib import suppress
from typing import Any

from stones.errors import FormatMismatchError
from stones.formats.messages import show_error

from .sources import Unreadable


def check_trusted(trust_pickle: bool, what: str) -> None:
    """Raise FormatMismatchError unless pickled values are trusted. `what` has them."""
    if not trust_pickle:
        raise FormatMismatchError(
            f"{what}, and to read a pickled value can run code: pass trust_pickle=True (on the "
            "command line --trust-pickle) if you trust the file; nothing was read or written"
        )


def unpickled(raw: Any) -> Any:
    """The value of pickled bytes, or `Unreadable`."""
    if type(raw) is not bytes:
        return Unreadable("it is not pickled")
    try:
        return pickle.loads(raw)
    except Exception as error:  # noqa: BLE001  # unpickling may raise anything
        return Unreadable(f"it cannot be unpickled: {show_error(error)}")


def looks_pickled(raw: bytes) -> bool:
    """Whether bytes begin and end as a pickle of protocol 2 or later, or are a whole older pickle.

    It runs nothing. A few short texts are whole pickles of protocol 0 too, such as `N.`.
    """
    if raw[-1:] != b".":
        return False
    if raw[:1] == b"\x80":
        return raw[1:2] <= b"\x05"
    with suppress(Exception), open(os.devnull, "w") as nowhere:  # bytes that are no pickle
        pickletools.dis(raw, nowhere)
        return True
    return False
