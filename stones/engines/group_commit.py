"""Group commit: threads that write at the same time share one commit, and one wait for the disk.

Each thread queues its change. The first thread leads: it commits all changes that are queued by
then, and tells the other threads. Then the next thread in the queue leads. While a commit waits for
the disk, the changes for the next commit gather by themselves. (Group commit is from DeWitt et al.,
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
    """Runs a change in a transaction of its own."""

    def __call__(self, change: Callable[[Transaction], T], /) -> T: ...


class GroupCommit:
    """The queue of changes to one engine.

    `begin` starts a write transaction on the engine. `alone` runs a change in a transaction that no
    other change shares. Safe for threads.
    """

    def __init__(self, begin: Callable[[], Transaction], alone: Alone) -> None:
        self._begin = begin
        self._alone = alone
        self._mutex = Lock()  # guards the queue and the leader, never for long
        self._queue: deque[_Change[Any]] = deque()
        self._leader: object = None
        self._expected = 1

    def write(self, change: Callable[[Transaction], T]) -> T:
        """The result of `change`, once it is committed, alone or together with other changes.

        If a change of a group fails, the whole group is undone, and each change is tried alone. So
        a change may run more than once, and in another thread than this one.
        """
        # A thread that writes alone skips the queue: that saves 3 of the 60 µs of a durable put.
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
            queued = mine
            if self._leader is not queued:
                queued.turn.acquire()  # until the change is done, or this thread has to lead
            if not queued.done:
                self._lead(queued)
        finally:
            # Pass the lead on. There is no call before that: at a call, Python could let in an
            # interrupt, and nobody would lead any more.
            with self._mutex:
                if mine is not None and not mine.done and mine in self._queue:
                    self._queue.remove(mine)  # interrupted, and nobody has taken it up
                if self._leader is (mine or alone):
                    self._leader = following = self._queue[0] if self._queue else None
                    if following is not None:
                        following.turn.release()
        error, queued.error = queued.error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # its traceback refers to this frame, which would keep itself alive
        return queued.result

    def _lead(self, mine: "_Change[Any]") -> None:
        # The threads of the last group will come with their next changes: let them run before this
        # commit begins. With 8 threads, a commit has 7 changes with this, and 2 without.
        for _ in range(2 * self._expected if self._expected > 1 else 0):
            if len(self._queue) >= self._expected:
                break
            sleep(0)
        group = [self._queue.popleft() for _ in range(len(self._queue))]
        self._expected = len(group)
        try:
            self._commit(group)
        except BaseException:  # an interrupt of this thread: the others go on
            self._queue.extendleft(c for c in reversed(group) if not c.done and c is not mine)
            raise
        finally:
            for change in group:
                if change.done and change is not mine:
                    change.turn.release()

    def _commit(self, group: "list[_Change[Any]]") -> None:
        try:
            txn = self._begin()
            try:
                results = [change.apply(txn) for change in group]
                txn.commit()
            except BaseException:  # also an interrupt just before the commit begins
                txn.abort()
                raise
        except Exception as error:  # noqa: BLE001  # raised in the thread of the change
            if len(group) == 1:
                group[0].error, group[0].done = error, True
                return
            for change in group:
                self._commit([change])
            return
        for change, result in zip(group, results, strict=True):
            change.result, change.done = result, True


class _Change(Generic[T]):
    """A change in the queue, and how it ended. `turn` is locked until its thread may go on."""

    __slots__ = ("apply", "done", "error", "result", "turn")

    def __init__(self, apply: Callable[[Transaction], T]) -> None:
        self.apply = apply
        self.done = False
        self.error: Exception | None = None
        self.result: T
        self.turn = Lock()
        self.turn.acquire()
