"""The lock of the one write transaction: who may take it, and who may let go of it."""

import pytest

from stones import TransactionError
from stones.engine import Space
from stones.engines.lmdb.engine import LmdbEngine
from stones.engines.lmdb.writer_lock import WriterLock
from stones.testing import in_thread


class Holder:
    """A transaction that has the lock."""

    def __init__(self, lock: WriterLock) -> None:
        self.lock = lock
        self.holds_lock = lock.acquire()

    def abort(self) -> None:
        self.holds_lock = False
        self.lock.release()


@pytest.fixture
def lock():
    return WriterLock()


@pytest.fixture
def engine(tmp_path):
    engine = LmdbEngine.open(str(tmp_path / "db"))
    yield engine
    engine.close()


def is_refused(outcome: list[object]) -> bool:
    return isinstance(outcome[0], TransactionError)


def test_the_thread_that_holds_the_lock_is_refused_and_others_may_wait(lock):
    holder = Holder(lock)
    assert lock.is_mine()
    with pytest.raises(TransactionError, match="this thread"):
        lock.check_free()
    assert in_thread(lock.check_free) == [None]
    assert in_thread(lambda: lock.acquire(timeout=0)) == [False]
    holder.abort()
    assert not lock.is_mine()
    lock.check_free()


def test_a_transaction_that_another_thread_has_tried_to_end_is_undone_by_its_own(lock):
    holder = Holder(lock)
    lock.left_by_another_thread = holder
    assert is_refused(in_thread(lock.check_free))
    assert holder.holds_lock
    lock.check_free()
    assert not holder.holds_lock
    assert in_thread(lock.check_free) == [None]


def test_a_transaction_that_its_own_thread_ended_first_stands_in_nobodys_way(lock):
    holder = Holder(lock)
    holder.abort()
    lock.left_by_another_thread = holder  # noted by another thread, which came too late
    lock.check_free()
    assert in_thread(lock.check_free) == [None]


def test_only_the_thread_that_began_a_transaction_can_commit_it(engine):
    txn = engine.begin(write=True)
    txn.put(Space.DATA, b"k", b"v")
    assert is_refused(in_thread(txn.commit))
    assert is_refused(in_thread(lambda: engine.begin(write=True)))
    txn.commit()
    assert in_thread(lambda: engine.get(Space.DATA, b"k")) == [b"v"]
    engine.begin(write=True).abort()


def test_an_abort_by_another_thread_takes_effect_when_the_first_one_writes_again(engine):
    txn = engine.begin(write=True)
    txn.put(Space.DATA, b"lost", b"1")
    assert in_thread(txn.abort) == [None]
    engine.write(lambda txn: txn.put(Space.DATA, b"kept", b"1"))
    assert [engine.get(Space.DATA, key) for key in (b"lost", b"kept")] == [None, b"1"]
