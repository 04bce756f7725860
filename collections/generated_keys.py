"""Keys for records that have no key field: UUIDs that sort by time.

`stones.collections.collection` asks `new_key` for each such record. `keys` writes a UUID as bytes.
"""

import os
import threading
import time
from collections.abc import Callable
from uuid import UUID


def new_key() -> UUID:
    """A new key: a UUID of version 7 (RFC 9562), which begins with the time.

    It is greater than every key that this process made before, even if the clock is set back.
    Between processes, keys sort by the millisecond. All keys differ, also between threads,
    processes and forks. Threads and signal handlers may call this at any time.
    """
    return _sequence.next()


class KeySequence:
    """The generated keys of one process, in rising order.

    `clock` returns the milliseconds since 1970. A UUID of version 7 holds 48 bits of time in
    milliseconds, and 74 bits that are free. In each new millisecond, the free bits start at a
    random number of 72 bits. Within the millisecond, each key adds a random step (RFC 9562, section
    6.2, method 2). An overflow of the free bits carries into the time. If the clock is set back,
    the sequence continues from its last time until the clock catches up.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self.restart()

    def restart(self) -> None:
        """Forget the last key. A forked child must not continue from its parent's number.

        The lock is new as well: another thread of the parent may hold the old lock at the fork.
        """
        # Re-entrant, because a signal handler or a finalizer may run inside `next` and ask for a
        # key in the same thread.
        self._lock = threading.RLock()
        self._last = 0

    def next(self) -> UUID:
        """A key that is greater than all keys before."""
        with self._lock:
            now = self._clock()
            if now > self._last >> 74:
                self._last = now << 74 | int.from_bytes(os.urandom(9), "big")
            else:
                self._last += 1 + int.from_bytes(os.urandom(4), "big")
            number = self._last
        version, variant = 7 << 76, 2 << 62
        milliseconds, first, second = number >> 74, number >> 62 & 0xFFF, number & (1 << 62) - 1
        return UUID(int=milliseconds << 80 | version | first << 64 | variant | second)


_sequence = KeySequence(lambda: time.time_ns() // 1_000_000)
if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_sequence.restart)
