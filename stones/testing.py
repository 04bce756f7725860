"""The compliance suite: what every engine must do, ours or yours.

Subclass `EngineTests` in a test module of pytest, and give it a fixture `engine` that opens an
empty one::

    class TestMyEngine(EngineTests):
        @pytest.fixture
        def engine(self, tmp_path):
            engine = MyEngine(tmp_path)
            yield engine
            engine.close()

An engine that passes gets the whole dict face, transactions, snapshots and collections from stones.
"""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from .engine import MAX_KEY_SIZE, Engine, Space, Transaction
from .errors import ReadOnlyError, StoreClosedError, TransactionError

DATA = Space.DATA

KEYS = [b"\x00", b"\x00\x00", b"a", b"a\x00", b"ab", b"b", b"b\xff", b"\xff", b"\xff\xff"]
"""In order, and chosen so that a wrong order shows."""


def fill(engine: Engine, keys: list[bytes]) -> None:
    """Put each key with its own reverse as value."""

    def change(txn: Transaction) -> None:
        for key in keys:
            txn.put(DATA, key, key[::-1])

    engine.write(change)


def entries(engine: Engine, space: Space = DATA, **bounds: Any) -> list[tuple[bytes, bytes]]:
    """What a fresh read transaction sees."""
    txn = engine.begin()
    try:
        return list(txn.scan(space, **bounds))
    finally:
        txn.abort()


def in_thread(function: Callable[[], object]) -> list[object]:
    """Run in another thread, to its end; what it returned, or raised."""
    outcome: list[object] = []

    def run() -> None:
        try:
            outcome.append(function())
        except Exception as error:  # noqa: BLE001  # whatever it is, the test asks for it
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    assert outcome, "the thread did not come to an end"
    return outcome


class EngineTests:
    """The specification of `Engine` and `Transaction`; needs a fixture `engine`."""

    def test_what_is_put_can_be_got(self, engine: Engine) -> None:
        engine.write(lambda txn: txn.put(DATA, b"k", b"v"))
        assert engine.get(DATA, b"k") == b"v"
        assert engine.get(DATA, b"other") is None

    def test_a_put_replaces(self, engine: Engine) -> None:
        engine.write(lambda txn: txn.put(DATA, b"k", b"old"))
        engine.write(lambda txn: txn.put(DATA, b"k", b"new"))
        assert entries(engine) == [(b"k", b"new")]

    def test_an_empty_value_is_a_value(self, engine: Engine) -> None:
        engine.write(lambda txn: txn.put(DATA, b"k", b""))
        assert engine.get(DATA, b"k") == b""

    def test_large_values_come_back(self, engine: Engine) -> None:
        large = bytes(range(256)) * 40_000
        engine.write(lambda txn: txn.put(DATA, b"k", large))
        assert engine.get(DATA, b"k") == large

    def test_the_longest_keys_are_kept_apart(self, engine: Engine) -> None:
        stem = b"x" * (MAX_KEY_SIZE - 1)
        fill(engine, [stem + b"1", stem + b"2"])
        assert engine.get(DATA, stem + b"2") == b"2" + stem

    def test_delete_says_whether_it_was_there(self, engine: Engine) -> None:
        fill(engine, [b"k"])
        assert engine.write(lambda txn: txn.delete(DATA, b"k")) is True
        assert engine.write(lambda txn: txn.delete(DATA, b"k")) is False
        assert entries(engine) == []

    def test_spaces_are_separate(self, engine: Engine) -> None:
        def change(txn: Transaction) -> None:
            for space in Space:
                txn.put(space, b"k", space.name.encode())
            txn.delete(Space.INDEX, b"k")

        engine.write(change)
        assert [engine.get(space, b"k") for space in Space] == [b"DATA", None, b"META"]

    def test_a_scan_is_in_the_order_of_the_bytes(self, engine: Engine) -> None:
        fill(engine, KEYS[::-1])
        assert entries(engine) == [(key, key[::-1]) for key in KEYS]
        assert entries(engine, reverse=True) == [(key, key[::-1]) for key in reversed(KEYS)]

    @pytest.mark.parametrize("start", [b"", b"\x00\x00", b"a", b"aa", b"\xff\xff", b"\xff\xff\xff"])
    @pytest.mark.parametrize(
        "stop", [None, b"", b"\x00", b"a\x00", b"aa", b"\xff", b"\xff\xff\xff"]
    )
    @pytest.mark.parametrize("reverse", [False, True])
    def test_a_scan_keeps_to_its_bounds(
        self, engine: Engine, start: bytes, stop: bytes | None, reverse: bool
    ) -> None:
        fill(engine, KEYS)
        wanted = [key for key in KEYS if start <= key and (stop is None or key < stop)]
        found = entries(engine, start=start, stop=stop, reverse=reverse)
        assert [key for key, _ in found] == (wanted[::-1] if reverse else wanted)
        txn = engine.begin()
        keys = list(txn.keys(DATA, start, stop, reverse=reverse))
        txn.abort()
        assert keys == [key for key, _ in found]

    def test_a_scan_of_nothing_is_empty(self, engine: Engine) -> None:
        assert entries(engine) == entries(engine, reverse=True) == []

    def test_many_keys_in_any_order(self, engine: Engine) -> None:
        keys = [b"%05d" % (number * 7919 % 5000) for number in range(5000)]
        fill(engine, keys)
        engine.write(lambda txn: [txn.delete(DATA, key) for key in keys[::3]])
        left = sorted(set(keys) - set(keys[::3]))
        assert [key for key, _ in entries(engine)] == left
        assert [key for key, _ in entries(engine, start=b"02000", stop=b"02100")] == [
            key for key in left if b"02000" <= key < b"02100"
        ]

    def test_count_and_clear(self, engine: Engine) -> None:
        fill(engine, KEYS)
        engine.write(lambda txn: txn.put(Space.META, b"kept", b"1"))
        txn = engine.begin(write=True)
        assert txn.count(DATA) == len(KEYS)
        txn.clear(DATA)
        assert txn.count(DATA) == 0
        txn.commit()
        assert entries(engine) == []
        assert entries(engine, Space.META) == [(b"kept", b"1")]

    def test_write_returns_what_the_change_returns(self, engine: Engine) -> None:
        assert engine.write(lambda txn: txn.count(DATA)) == 0

    def test_an_error_in_a_change_undoes_it(self, engine: Engine) -> None:
        def change(txn: Transaction) -> None:
            txn.put(DATA, b"k", b"v")
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            engine.write(change)
        assert entries(engine) == []

    def test_an_aborted_transaction_leaves_no_trace(self, engine: Engine) -> None:
        fill(engine, [b"kept", b"also kept"])
        txn = engine.begin(write=True)
        txn.put(DATA, b"lost", b"1")
        txn.put(DATA, b"kept", b"changed")
        txn.delete(DATA, b"also kept")
        txn.abort()
        txn.abort()
        assert entries(engine) == [(b"also kept", b"tpek osla"), (b"kept", b"tpek")]

    def test_a_transaction_sees_its_own_writes_and_others_see_none(self, engine: Engine) -> None:
        txn = engine.begin(write=True)
        txn.put(DATA, b"k", b"v")
        assert txn.get(DATA, b"k") == b"v"
        assert list(txn.scan(DATA)) == [(b"k", b"v")]
        assert engine.get(DATA, b"k") is None
        assert in_thread(lambda: engine.get(DATA, b"k")) == [None]
        txn.commit()
        assert engine.get(DATA, b"k") == b"v"

    def test_a_read_transaction_is_a_snapshot(self, engine: Engine) -> None:
        fill(engine, [b"a", b"b"])
        txn = engine.begin()
        fill(engine, [b"c"])
        engine.write(lambda change: change.delete(DATA, b"a"))
        assert [key for key, _ in txn.scan(DATA)] == [b"a", b"b"]
        assert (txn.get(DATA, b"a"), txn.get(DATA, b"c"), txn.count(DATA)) == (b"a", None, 2)
        txn.abort()

    def test_an_open_scan_is_a_snapshot_even_in_its_own_transaction(self, engine: Engine) -> None:
        fill(engine, [b"a", b"b", b"c"])
        txn = engine.begin(write=True)
        seen = []
        for key, value in txn.scan(DATA):
            seen.append((key, value))
            txn.put(DATA, key + b"+", b"new")
            txn.put(DATA, b"c", b"changed")
            txn.delete(DATA, b"b")
        assert seen == [(b"a", b"a"), (b"b", b"b"), (b"c", b"c")]
        assert [key for key, _ in txn.scan(DATA)] == [b"a", b"a+", b"b+", b"c", b"c+"]
        txn.commit()

    def test_a_reading_transaction_does_not_write(self, engine: Engine) -> None:
        txn = engine.begin()
        with pytest.raises(ReadOnlyError):
            txn.put(DATA, b"k", b"v")
        with pytest.raises(ReadOnlyError):
            txn.delete(DATA, b"k")
        txn.abort()
        assert entries(engine) == []

    def test_a_savepoint_is_undone_alone(self, engine: Engine) -> None:
        txn = engine.begin(write=True)
        txn.put(DATA, b"a", b"1")
        inner = txn.begin()
        inner.put(DATA, b"a", b"2")
        inner.put(DATA, b"b", b"2")
        inner.abort()
        assert list(txn.scan(DATA)) == [(b"a", b"1")]
        inner = txn.begin()
        innermost = inner.begin()
        innermost.put(DATA, b"c", b"3")
        innermost.commit()
        inner.commit()
        txn.commit()
        assert entries(engine) == [(b"a", b"1"), (b"c", b"3")]

    def test_an_abort_undoes_its_savepoints_too(self, engine: Engine) -> None:
        txn = engine.begin(write=True)
        inner = txn.begin()
        inner.put(DATA, b"k", b"v")
        inner.commit()
        txn.abort()
        assert entries(engine) == []

    def test_a_rollback_does_not_wait_for_those_who_read(self, engine: Engine) -> None:
        fill(engine, KEYS)
        ended = threading.Event()

        def read() -> None:
            while not ended.is_set():
                entries(engine)

        def roll_back() -> None:
            for _ in range(20):
                txn = engine.begin(write=True)
                inner = txn.begin()
                inner.put(DATA, b"lost", b"1")
                unfinished = inner.scan(DATA)
                next(unfinished)
                txn.abort()
                with pytest.raises(TransactionError):
                    inner.commit()

        readers = [threading.Thread(target=read, daemon=True) for _ in range(3)]
        for reader in readers:
            reader.start()
        try:
            assert in_thread(roll_back) == [None]
        finally:
            ended.set()
        for reader in readers:
            reader.join(30)
        assert entries(engine) == [(key, key[::-1]) for key in KEYS]

    def test_an_ended_transaction_cannot_be_used(self, engine: Engine) -> None:
        for txn in (engine.begin(), engine.begin(write=True)):
            txn.commit()
            with pytest.raises(TransactionError):
                txn.get(DATA, b"k")
            txn.abort()

    def test_there_is_one_writer_at_a_time(self, engine: Engine) -> None:
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

    def test_a_second_writer_in_the_same_thread_is_an_error_not_a_deadlock(
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
                    engine.write(lambda txn, key=key: txn.put(DATA, key, b""))  # type: ignore[misc]

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

    def test_stats_is_a_mapping(self, engine: Engine) -> None:
        assert isinstance(engine.stats(), dict)
