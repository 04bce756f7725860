"""What every engine must do for its threads and processes, and when it is closed."""

import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from stones.engine import Engine, Space, Transaction
from stones.errors import LockTimeoutError, StoreClosedError, StoreOpenError, TransactionError

from .changes import ChangeTests, check_that_the_later_commit_is_in_conflict
from .elsewhere import in_process, in_thread
from .keys_and_values import DATA, KEYS, KeyAndValueTests, entries, fill
from .many_entries import ManyEntriesTests
from .sums import SumTests
from .transactions import TransactionTests


class EngineTests(KeyAndValueTests, ManyEntriesTests, TransactionTests, ChangeTests, SumTests):
    """The specification of `Engine` and `Transaction`. A subclass has a fixture `open_engine`."""

    @pytest.fixture
    def open_engine(self) -> Callable[[], Engine]:
        """A function that opens the engine: at first an empty one, later the same place again."""
        raise NotImplementedError("a subclass of EngineTests has a fixture `open_engine`")

    @pytest.fixture
    def engine(self, open_engine: Callable[[], Engine]) -> Iterator[Engine]:
        """An empty engine."""
        engine = open_engine()
        yield engine
        engine.close()

    def test_there_is_one_writer_at_a_time_or_the_later_commit_is_in_conflict(
        self, engine: Engine
    ) -> None:
        if engine.supports.conflicts:
            check_that_the_later_commit_is_in_conflict(engine)
            return
        txn = engine.begin(write=True)
        started, done = threading.Event(), []

        def other() -> None:
            started.set()
            engine.write(lambda txn: txn.put(DATA, b"k", b"other"))
            done.append(True)

        thread = threading.Thread(target=other)
        thread.start()
        started.wait(30)
        thread.join(0.1)
        assert not done
        txn.put(DATA, b"k", b"first")
        txn.commit()
        thread.join(30)
        assert engine.get(DATA, b"k") == b"other"

    def test_a_writer_gives_up_after_its_timeout(self, engine: Engine) -> None:
        if not engine.supports.timeouts:
            return  # a store never calls it with one
        if engine.supports.conflicts:  # nobody waits
            check_that_the_later_commit_is_in_conflict(engine)
            engine.begin(write=True, timeout=0).abort()
            engine.write(partial(_put_empty, b"k"), timeout=0)
            return
        txn = engine.begin(write=True, timeout=0)

        def begin_late() -> None:
            engine.begin(write=True, timeout=0.1)

        def write_late() -> None:
            engine.write(partial(_put_empty, b"late"), timeout=0.1)

        for late in (begin_late, write_late):
            assert isinstance(in_thread(late)[0], LockTimeoutError)
        txn.put(DATA, b"k", b"v")
        txn.commit()
        assert engine.get(DATA, b"k") == b"v"
        engine.write(lambda txn: txn.put(DATA, b"k", b"after"), timeout=0)

    def test_a_nested_write_in_the_same_thread_is_an_error_not_a_deadlock(
        self, engine: Engine
    ) -> None:
        txn = engine.begin(write=True)
        with pytest.raises(TransactionError):
            engine.begin(write=True)
        with pytest.raises(TransactionError):
            engine.write(lambda txn: txn.count(DATA))
        txn.abort()
        engine.write(lambda txn: txn.put(DATA, b"k", b"v"))

    def test_threads_write_without_losing_anything(self, engine: Engine) -> None:
        def count_up(txn: Transaction) -> None:
            txn.put(DATA, b"n", b"%d" % (int(txn.get(DATA, b"n") or 0) + 1))

        def work() -> None:
            for _ in range(25):
                engine.write(count_up)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert engine.get(DATA, b"n") == b"200"

    def test_a_failing_change_does_not_touch_those_of_other_threads(self, engine: Engine) -> None:
        def fail(txn: Transaction) -> None:
            txn.put(DATA, b"lost", b"1")
            raise ZeroDivisionError

        def work(number: int) -> None:
            for step in range(20):
                if number % 2:
                    with pytest.raises(ZeroDivisionError):
                        engine.write(fail)
                else:
                    key = b"%d-%d" % (number, step)
                    engine.write(partial(_put_empty, key))

        threads = [threading.Thread(target=work, args=[number]) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert sorted(key for key, _ in entries(engine)) == sorted(
            b"%d-%d" % (number, step) for number in (0, 2, 4) for step in range(20)
        )

    def test_a_closed_engine_says_so(self, engine: Engine) -> None:
        engine.close()
        engine.close()
        with pytest.raises(StoreClosedError):
            engine.begin()
        with pytest.raises(StoreClosedError):
            engine.begin(write=True)
        with pytest.raises(StoreClosedError):
            engine.get(DATA, b"k")

    def test_sync_waits_for_the_disk_and_changes_nothing(self, engine: Engine) -> None:
        fill(engine, KEYS)
        engine.sync()
        assert len(entries(engine)) == len(KEYS)
        engine.close()
        with pytest.raises(StoreClosedError):
            engine.sync()

    def test_what_is_committed_is_there_again_or_durability_is_empty(
        self, engine: Engine, open_engine: Callable[[], Engine]
    ) -> None:
        fill(engine, [*KEYS, b"deleted", b"replaced"])
        engine.write(lambda txn: [txn.put(space, b"k", space.name.encode()) for space in Space])
        engine.write(lambda txn: txn.delete(DATA, b"deleted"))
        engine.write(lambda txn: txn.put(DATA, b"replaced", b"new"))
        txn = engine.begin(write=True)
        txn.put(DATA, b"lost", b"1")
        txn.abort()
        kept = [entries(engine, space) for space in Space]
        engine.close()
        again = open_engine()
        found = [entries(again, space) for space in Space]
        again.close()
        assert found == (kept if engine.supports.durability else [[] for _ in Space])

    def test_keys_may_be_as_long_as_those_of_the_metadata(self, engine: Engine) -> None:
        assert engine.supports.max_key_size >= 300

    def test_other_processes_write_too_or_are_refused_or_are_on_their_own(
        self, engine: Engine, open_engine: Callable[[], Engine]
    ) -> None:
        def child() -> str:
            try:
                other = open_engine()
            except StoreOpenError:
                return "refused"
            fill(other, [b"child"])
            other.close()
            return "written"

        fill(engine, [b"parent"])
        outcome = in_process(child)
        alone = not engine.supports.processes
        assert outcome == ("refused" if alone and engine.supports.durability else "written")
        fill(engine, [b"parent too"])
        expected = [b"parent", b"parent too"] if alone else [b"child", b"parent", b"parent too"]
        assert [key for key, _ in entries(engine)] == expected

    def test_durability_names_each_mode_once(self, engine: Engine) -> None:
        modes = engine.supports.durability
        assert len(set(modes)) == len(modes)
        assert all(isinstance(mode, str) and mode for mode in modes)

    def test_stats_is_a_mapping(self, engine: Engine) -> None:
        assert isinstance(engine.stats(), dict)


def _put_empty(key: bytes, txn: Transaction) -> None:
    """Put an empty value."""
    txn.put(DATA, key, b"")
