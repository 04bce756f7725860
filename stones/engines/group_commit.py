"""Group commit: threads that write at the same time share one commit, and one wait for the disk.

Each thread queues its change. The first one leads: it commits all that is queued by then, its own
change and the others', and tells the others; then the next in the queue leads. While a commit waits
for the disk, the changes for the next one gather by themselves. (The group commit of DeWitt et al.,
"Implementation Techniques for Main Memory Database Systems", 1984.)
"""

from collections import deque
from collections.abc import Callable
from threading import Lock
from time import sleep
from typing import Any, Generic, Protocol, TypeVar

from stones.engine import Transaction

T = TypeVar("T")


class Alone(Protocol):
    def __call__(self, change: Callable[[Transaction], T], /) -> T: ...


class GroupCommit:
    """The queue of changes to one engine.

    `begin` starts a write transaction on it, and `alone` runs a change in one of its own.
    """

    def __init__(self, begin: Callable[[], Transaction], alone: Alone) -> None:
        self._begin = begin
        self._alone = alone
        self._mutex = Lock()  # guards the two below, never held for long
        self._queue: deque[_Change[Any]] = deque()
        self._leader: object = None
        self._expected = 1

    def write(self, change: Callable[[Transaction], T]) -> T:
        """The result of `change`, once it has been committed, with or without those of others.

        Where one change of a group fails, all are undone and each is tried alone; so a change may
        run more than once, and in another thread than this one.
        """
        # A thread that writes alone goes past the queue: 3 of 60 µs of a durable put.
        alone = object() if self._leader is None and self._expected == 1 else None
        mine = None if alone else _Change(change)
        try:
            with self._mutex:
                if self._leader is None:
                    self._leader = alone or mine
                elif mine is None:
                    mine = _Change(change)
                if mine is not None:
                    self._queue.append(mine)
            if mine is None:
                return self._alone(change)
            if self._leader is not mine:
                mine.turn.acquire()  # until it is done, or is to lead
            if not mine.done:
                self._lead(mine)
        finally:
            self._leave(mine or alone)
        error, mine.error = mine.error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # its traceback knows this frame: nothing of it would be let go of
        return mine.result

    def _lead(self, mine: "_Change[Any]") -> None:
        # The threads of the last group are on their way with their next change: let them run
        # before this commit shuts the door. 8 threads: 2 changes a commit without this, 7 with it.
        for _ in range(2 * self._expected if self._expected > 1 else 0):
            if len(self._queue) >= self._expected:
                break
            sleep(0)
        group = [self._queue.popleft() for _ in range(len(self._queue))]
        self._expected = len(group)
        try:
            self._commit(group)
        except BaseException:  # an interrupt, and meant for this thread: the others go on
            self._queue.extendleft(c for c in reversed(group) if not c.done and c is not mine)
            raise
        finally:
            for change in group:
                if change.done and change is not mine:
                    change.turn.release()

    def _leave(self, mine: object) -> None:
        """Pass the lead on. An interrupted change that nobody has taken up yet is withdrawn."""
        with self._mutex:
            if isinstance(mine, _Change) and not mine.done and mine in self._queue:
                self._queue.remove(mine)
            if self._leader is mine:
                following = self._queue[0] if self._queue else None
                self._leader = following
                if following is not None:
                    following.turn.release()

    def _commit(self, group: "list[_Change[Any]]") -> None:
        try:
            txn = self._begin()
            try:
                results = [change.apply(txn) for change in group]
            except BaseException:
                txn.abort()
                raise
            txn.commit()
        except Exception as error:  # noqa: BLE001  # raised in the thread whose change it is
            if len(group) == 1:
                group[0].error, group[0].done = error, True
                return
            for change in group:
                self._commit([change])
            return
        for change, result in zip(group, results, strict=True):
            change.result, change.done = result, True


class _Change(Generic[T]):
    __slots__ = ("apply", "done", "error", "result", "turn")

    def __init__(self, apply: Callable[[Transaction], T]) -> None:
        self.apply = apply
        self.done = False
        self.error: Exception | None = None
        self.result: T
        self.turn = Lock()
        self.turn.acquire()
