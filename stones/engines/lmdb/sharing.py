"""One engine a file: the stores of a process on one file share it, whatever path they name.

LMDB's locks are POSIX locks, which belong to a process and a file: where a process opened a file
twice, closing one of the two would give up the locks of both.

Closing never waits. The garbage collector closes what was dropped, in any thread and in the middle
of anything: also of an opening, which has the lock here and may itself wait for another thread.
"""

from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import lmdb

from . import environment
from .directory import identity
from .environment import keep_for_parent

if TYPE_CHECKING:
    from .engine import LmdbEngine

_engines: dict[tuple[int, int], "LmdbEngine"] = {}
_closing: "deque[LmdbEngine]" = deque()  # to be closed by whoever next has the lock
_lock = Lock()

_parting: WeakValueDictionary[tuple[int, int], lmdb.Environment] = WeakValueDictionary()
"""Environments that were closed, and in which there are transactions still."""


def share(path: str, make: Callable[[], "LmdbEngine"]) -> "LmdbEngine":
    """The engine that this process has for the file at `path`, with one user more; or a new one.

    `close` is to be called as often as this.
    """
    with _lock:
        _close_all()
        engine = _engines.get(identity(path) or (0, 0))
        if engine is None:
            engine = make()
            _engines[engine.identity] = engine
        engine.users += 1
    _settle()
    return engine


def close(engine: "LmdbEngine") -> None:
    """One user less; the last one closes the engine. Does not wait."""
    _closing.append(engine)
    _settle()


def closed_but_in_use(path: str) -> lmdb.Environment | None:
    """The environment at `path` that was closed and is still in use, by iterators mostly."""
    return _parting.get(identity(path) or (0, 0))


def _settle() -> None:
    # Looked at again after the lock is released: another thread may have queued an engine.
    while _closing and _lock.acquire(blocking=False):
        try:
            _close_all()
        finally:
            _lock.release()


def _close_all() -> None:
    while _closing:
        engine = _closing.popleft()
        engine.users -= 1
        if engine.users == 0:
            if _engines.get(engine.identity) is engine:
                del _engines[engine.identity]
            env = engine.disconnect()
            if env is not None:
                _parting[engine.identity] = env


def after_fork() -> None:
    """In a forked child: what is open is the parent's."""
    global _lock  # noqa: PLW0603  # the thread that held it may not be in the child
    _lock = Lock()
    environment.after_fork()
    for env in _parting.values():
        keep_for_parent(env)
    _parting.clear()
    for engine in list(_engines.values()):
        engine.leave_to_parent()
