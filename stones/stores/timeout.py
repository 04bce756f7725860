"""The option `timeout` of a store: how long a write waits for other writers.

A program that waits for ever tells nobody why. So there is a limit by default, after which the
write raises LockTimeoutError with the name of the process that holds the lock.
"""

from threading import TIMEOUT_MAX

from stones.errors import StoreOpenError, ValueTypeError
from stones.formats.messages import show, show_value

TIMEOUT = 60.0
"""The seconds that a write waits for other writers, where no `timeout` is given."""


def timeout_of(timeout: float | None) -> float | None:
    """The option `timeout` as seconds; None for no limit.

    Raises ValueTypeError if it is no number, StoreOpenError if it is negative or no time.

    >>> timeout_of(5), timeout_of(None), timeout_of(float('inf'))
    (5.0, None, None)
    """
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        raise ValueTypeError(
            f"timeout is a number of seconds, or None for no limit, not {show_value(timeout)}"
        )
    if not timeout >= 0:
        raise StoreOpenError(
            f"timeout is a number of seconds from 0 on, or None for no limit, not {show(timeout)}"
        )
    # A lock cannot wait for longer than that, which is three centuries on Linux.
    return None if timeout > TIMEOUT_MAX else float(timeout)
