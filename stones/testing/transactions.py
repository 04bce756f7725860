"""What every engine must do with transactions: all or nothing, and who sees which state."""

import threading

import pytest

from stones.engine import Engine, Transaction
from stones.errors import ReadOnlyError, TransactionError, UnsupportedError

from .elsewhere import in_thread
from .keys_and_values import DATA, KEYS, entries, fill


class TransactionTests:
    """Part of `EngineTests`."""

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

    def test_a_read_transaction_is_a_snapshot_or_sees_the_last_commit(self, engine: Engine) -> None:
        fill(engine, [b"a", b"b"])
        txn = engine.begin()
        fill(engine, [b"c", b"d"])
        engine.write(lambda change: change.delete(DATA, b"a"))
        seen = [b"a", b"b"] if engine.supports.snapshots else [b"b", b"c", b"d"]
        assert [key for key, _ in txn.scan(DATA)] == seen
        assert [key for key in (b"a", b"b", b"c", b"d") if txn.get(DATA, key)] == seen
        assert txn.count(DATA) == len(seen)
        txn.abort()

    def test_a_scan_goes_on_while_others_write(self, engine: Engine) -> None:
        fill(engine, KEYS)
        txn = engine.begin()
        running = txn.scan(DATA)
        seen = [next(running)]
        fill(engine, [b"new", *KEYS])
        seen += running
        kept = seen if engine.supports.snapshots else [e for e in seen if e[0] != b"new"]
        assert kept == [(key, key[::-1]) for key in KEYS]
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
        if lacks_savepoints(engine):
            return
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
        if lacks_savepoints(engine):
            return
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
                innermost = txn.begin() if engine.supports.savepoints else txn
                innermost.put(DATA, b"lost", b"1")
                unfinished = innermost.scan(DATA)
                next(unfinished)
                txn.abort()
                with pytest.raises(TransactionError):
                    innermost.commit()

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


def lacks_savepoints(engine: Engine) -> bool:
    """Whether the engine has no savepoints. Then begin() refuses, and the transaction goes on."""
    if engine.supports.savepoints:
        return False
    txn = engine.begin(write=True)
    with pytest.raises(UnsupportedError):
        txn.begin()
    txn.put(DATA, b"k", b"v")
    txn.abort()
    assert engine.get(DATA, b"k") is None
    return True
