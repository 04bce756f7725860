"""Where a warning is of: the line of the user's program that called stones.

The way from that line to `warn` has more calls for `Collection(...)` than for `migrate()`. So the
calls are counted when there is something to warn of.
"""

from inspect import currentframe
from types import FrameType
from warnings import warn

_PACKAGE = __name__.partition(".")[0]


def warn_at_user_line(message: str, category: type[Warning]) -> None:
    """Warn, and name the line of the program outside of stones that led to it.

    >>> import warnings
    >>> with warnings.catch_warnings(record=True) as found:
    ...     warnings.simplefilter('always')
    ...     warn_at_user_line('the step has changed', UserWarning)
    >>> print(found[0].message)
    the step has changed
    """
    level = 1
    frame = currentframe()  # inspect.stack() would read the files of the program
    while frame is not None and _is_ours(frame):
        frame = frame.f_back
        level += 1
    warn(message, category, stacklevel=level)


def _is_ours(frame: FrameType) -> bool:
    name: str = frame.f_globals.get("__name__", "")
    return name == _PACKAGE or name.startswith(f"{_PACKAGE}.")
