"""Group commit: threads that write at the same time share one commit, and one wait for the disk.

Each thread queues its change. The first thread leads: it commits all changes that are queued by
then, and tells the other threads. Then the next thread in the queue leads. While a commit waits for
the disk, the changes for the next commit gather by themselves. (Group commit is from DeWitt et al.,
"Implementation Techniques for Main Memory Database Systems", 1984.)
"""

from collections import deque
from collections.abc import Callable
from threading import Lock
from time import monotonic, sleep
from typing import Any, Generic, Protocol, TypeVar

from stones.engine import Transaction
from stones.errors import LockTimeoutError

T = TypeVar("T")


class Alone(Protocol):
    """Runs a change in a transaction of its own."""

    def __call__(
        self, change: Callable[[Transaction], T], /, *, timeout: float | None = None
    ) -> T: ...


class GroupCommit:
    """The queue of changes to one engine.

    `begin` starts a write transaction on the engine, and waits for other writers as many seconds as
    it is told, without a limit for None. `alone` runs a change in a transaction that no other
    change shares. `late` gives the error for a time of waiting that has passed. Safe for threads.
    """

    def __init__(
        self,
        begin: Callable[[float | None], Transaction],
        alone: Alone,
        late: Callable[[float], Exception],
    ) -> None:
        self._begin = begin
        self._alone = alone
        self._late = late
        self._mutex = Lock()  # guards the queue and the leader, never for long
        self._queue: deque[_Change[Any]] = deque()
        self._leader: object = None
        self._expected = 1

    def write(self, change: Callable[[Transaction], T], timeout: float | None = None) -> T:
        """The result of `change`, once it is committed, alone or together with other changes.

        If a change of a group fails, the whole group is undone, and each change is tried alone. So
        a change may run more than once, and in another thread than this one. Raises what `late`
        gives if the change has not begun after `timeout` seconds.
        """
        # A thread that writes alone skips the queue: that saves 3 of the 60 µs of a durable put.
        alone = object() if self._leader is None and self._expected == 1 else None
        mine = None if alone else _Change(change, timeout)
        try:
            with self._mutex:
                if self._leader is None:
                    self._leader = alone or mine
                elif mine is None:
                    mine = _Change(change, timeout)
                if mine is not None:
                    self._queue.append(mine)
            if mine is None:
                return self._alone(change, timeout=timeout)
            queued = mine
            if self._leader is not queued:
                self._await_turn(queued)
            if not queued.done:
                self._lead(queued)
        finally:
            # Pass the lead on. There is no call before that: at a call, Python could let in an
            # interrupt, and nobody would lead any more.
            with self._mutex:
                if mine is not None and mine in self._queue:
                    self._queue.remove(mine)  # interrupted or too late, and nobody has taken it up
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

    def _await_turn(self, mine: "_Change[Any]") -> None:
        """Wait until the change is done, or this thread has to lead."""
        remaining = mine.remaining()
        if mine.turn.acquire(timeout=-1 if remaining is None else remaining):
            return
        with self._mutex:
            waits = mine in self._queue and self._leader is not mine
            if waits:
                self._queue.remove(mine)
        if waits:
            raise self._late(mine.timeout or 0)
        # Another thread commits it at this moment, or this thread has just become the leader.
        mine.turn.acquire()

    def _lead(self, mine: "_Change[Any]") -> None:
        # The threads of the last group will come with their next changes: let them run before this
        # commit begins. With 8 threads, a commit has 7 changes with this, and 2 without.
        for _ in range(2 * self._expected if self._expected > 1 else 0):
            if len(self._queue) >= self._expected:
                break
            sleep(0)
        group: list[_Change[Any]] = []
        try:
            try:
                # The queue is left as it is until the transaction has begun: whoever cannot wait
                # so long may leave it.
                txn = self._begin(mine.remaining())
            except Exception as error:  # noqa: BLE001  # raised in the thread of the change
                mine.error, mine.done = mine.late(error, self._late), True
                return
            try:
                with self._mutex:
                    group.extend(self._queue)
                    self._queue.clear()
                self._expected = len(group)
                self._commit(group, txn)
            except BaseException:  # an interrupt of this thread: the others go on
                txn.abort()
                with self._mutex:
                    left = [c for c in group if not (c.done or c is mine or c in self._queue)]
                    self._queue.extendleft(reversed(left))
                raise
        finally:
            for change in group:
                if change.done and change is not mine:
                    change.turn.release()

    def _commit(self, group: "list[_Change[Any]]", txn: Transaction) -> None:
        try:
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
                self._commit_alone(change)
            return
        for change, result in zip(group, results, strict=True):
            change.result, change.done = result, True

    def _commit_alone(self, change: "_Change[Any]") -> None:
        try:
            change.result = self._alone(change.apply, timeout=change.remaining())
        except Exception as error:  # noqa: BLE001  # raised in the thread of the change
            change.error = change.late(error, self._late)
        change.done = True


class _Change(Generic[T]):
    """A change in the queue, and how it ended. `turn` is locked until its thread may go on."""

    __slots__ = ("apply", "done", "error", "result", "timeout", "turn", "until")

    def __init__(self, apply: Callable[[Transaction], T], timeout: float | None) -> None:
        self.apply = apply
        self.timeout = timeout
        self.until = None if timeout is None else monotonic() + timeout
        self.done = False
        self.error: Exception | None = None
        self.result: T
        self.turn = Lock()
        self.turn.acquire()

    def remaining(self) -> float | None:
        """The seconds that are left to wait, 0 if there are none; None for no limit."""
        return None if self.until is None else max(self.until - monotonic(), 0)

    def late(self, error: Exception, late: Callable[[float], Exception]) -> Exception:
        """The error of this change. It tells the whole time of waiting, not what was left of it."""
        if isinstance(error, LockTimeoutError) and self.timeout is not None:
            return late(self.timeout)
        return error
