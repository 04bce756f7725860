"""What every engine must do with changes that may run again: transact, expect.

If the engine supports `conflicts`, what one transaction has read may be changed by another one
before its commit. Then the commit raises ConflictError, and `write` and `transact` run again.
"""

import threading
from collections.abc import Callable
from threading import get_ident
from typing import Any

import pytest

from stones.engine import Engine, Transaction
from stones.errors import (
    ConflictError,
    TransactionError,
    UnexpectedError,
)

from .elsewhere import in_thread
from .keys_and_values import DATA, KEYS, entries, fill
from .transactions import lacks_savepoints


def runs(engine: Engine) -> list[Callable[[Callable[[Transaction], Any]], Any]]:
    """The two ways to have an engine run a change."""
    return [engine.write, engine.transact]


class ChangeTests:
    """Part of `EngineTests`."""

    # -- transact ------------------------------------------------------------------------------

    def test_transact_returns_what_the_change_returns_and_keeps_it(self, engine: Engine) -> None:
        def change(txn: Transaction) -> bytes | None:
            txn.put(DATA, b"k", b"v")
            return txn.get(DATA, b"k")

        assert engine.transact(change) == b"v"
        assert entries(engine) == [(b"k", b"v")]

    def test_an_error_in_transact_undoes_the_change(self, engine: Engine) -> None:
        def change(txn: Transaction) -> None:
            txn.put(DATA, b"k", b"v")
            txn.add(b"sum", 1)
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            engine.transact(change)
        assert entries(engine) == []
        assert engine.sum(b"sum") == 0

    def test_transact_runs_in_the_thread_that_calls(self, engine: Engine) -> None:
        def work() -> None:
            for _ in range(10):
                assert engine.transact(lambda _: get_ident()) == get_ident()

        threads = [threading.Thread(target=fill, args=[engine, KEYS]) for _ in range(3)]
        for thread in threads:
            thread.start()
        assert in_thread(work) == [None]
        for thread in threads:
            thread.join(30)

    def test_a_write_inside_transact_is_refused_in_the_same_thread(self, engine: Engine) -> None:
        def change(txn: Transaction) -> None:
            txn.put(DATA, b"lost", b"1")
            engine.transact(lambda txn: txn.put(DATA, b"also lost", b"1"))

        with pytest.raises(TransactionError):
            engine.transact(change)
        with pytest.raises(TransactionError):
            engine.transact(lambda _: engine.begin(write=True))
        engine.transact(lambda txn: txn.put(DATA, b"k", b"v"))
        assert entries(engine) == [(b"k", b"v")]

    def test_threads_transact_without_losing_anything(self, engine: Engine) -> None:
        def count_up(txn: Transaction) -> None:
            txn.put(DATA, b"n", b"%d" % (int(txn.get(DATA, b"n") or 0) + 1))
            txn.add(b"sum", 1)

        def work() -> None:
            for _ in range(25):
                engine.transact(count_up)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert engine.get(DATA, b"n") == b"200"
        assert engine.sum(b"sum") == 200

    def test_a_change_whose_readings_others_have_changed_runs_again(self, engine: Engine) -> None:
        if not engine.supports.conflicts:
            return  # others wait until it has ended: see test_there_is_one_writer_at_a_time
        for run in runs(engine):
            fill(engine, [b"ab"])
            seen: list[bytes | None] = []

            def change(txn: Transaction, seen: list[bytes | None] = seen) -> None:
                seen.append(txn.get(DATA, b"ab"))
                if len(seen) == 1:
                    other = in_thread(
                        lambda: engine.write(lambda txn: txn.put(DATA, b"ab", b"other"))
                    )
                    assert other == [None]
                txn.put(DATA, b"seen", seen[-1] or b"")

            run(change)
            assert seen == [b"ba", b"other"]
            assert engine.get(DATA, b"seen") == b"other"

    # -- expect --------------------------------------------------------------------------------

    def test_what_is_expected_and_true_changes_nothing(self, engine: Engine) -> None:
        fill(engine, [b"ab"])

        def change(txn: Transaction) -> None:
            txn.expect(DATA, b"ab", b"ba")
            txn.expect(DATA, b"missing", None)
            assert txn.get(DATA, b"ab") == b"ba"
            assert txn.get(DATA, b"missing") is None
            txn.put(DATA, b"missing", b"1")
            assert txn.delete(DATA, b"ab")

        for run in runs(engine):
            fill(engine, [b"ab"])
            engine.write(lambda txn: txn.delete(DATA, b"missing"))
            run(change)
            assert entries(engine) == [(b"missing", b"1")]

    @pytest.mark.parametrize("expected", [b"other", None])
    def test_what_is_not_as_expected_is_an_error_that_tells_the_value(
        self, engine: Engine, expected: bytes | None
    ) -> None:
        fill(engine, [b"ab"])

        def change(txn: Transaction) -> None:
            txn.put(DATA, b"lost", b"1")
            txn.expect(DATA, b"ab", expected)

        for run in runs(engine):
            with pytest.raises(UnexpectedError) as caught:
                run(change)
            error = caught.value
            assert (error.space, error.key, error.found) == (DATA, b"ab", b"ba")
        with pytest.raises(UnexpectedError) as caught:
            engine.transact(lambda txn: txn.expect(DATA, b"missing", b"1"))
        assert caught.value.found is None
        assert entries(engine) == [(b"ab", b"ba")]

    def test_a_change_can_answer_what_is_not_as_expected(self, engine: Engine) -> None:
        fill(engine, [b"ab"])

        def change(txn: Transaction) -> bytes | None:
            try:
                txn.expect(DATA, b"ab", None)
            except UnexpectedError as error:
                txn.put(DATA, b"found", b"1")
                return error.found
            txn.put(DATA, b"lost", b"1")
            return b"not there"

        for run in runs(engine):
            assert run(change) == b"ba"
        assert entries(engine) == [(b"ab", b"ba"), (b"found", b"1")]

    def test_an_error_after_a_wrong_expectation_is_not_what_the_caller_sees(
        self, engine: Engine
    ) -> None:
        def change(txn: Transaction) -> None:
            txn.expect(DATA, b"missing", b"1")
            raise ZeroDivisionError

        for run in runs(engine):
            with pytest.raises(UnexpectedError):
                run(change)

    def test_what_a_transaction_expects_is_compared_with_its_own_writes(
        self, engine: Engine
    ) -> None:
        fill(engine, [b"ab"])

        def change(txn: Transaction) -> None:
            txn.put(DATA, b"ab", b"new")
            txn.expect(DATA, b"ab", b"new")
            txn.delete(DATA, b"ab")
            txn.expect(DATA, b"ab", None)
            txn.put(DATA, b"ab", b"newer")
            with pytest.raises(UnexpectedError):
                txn.expect(DATA, b"ab", None)

        for run in runs(engine):
            run(change)
        assert entries(engine) == [(b"ab", b"newer")]

    def test_a_transaction_that_was_begun_compares_at_once(self, engine: Engine) -> None:
        fill(engine, [b"ab"])
        for write in (False, True):
            txn = engine.begin(write=write)
            txn.expect(DATA, b"ab", b"ba")
            with pytest.raises(UnexpectedError):
                txn.expect(DATA, b"ab", None)
            txn.abort()

    def test_a_savepoint_compares_at_once(self, engine: Engine) -> None:
        if lacks_savepoints(engine):
            return
        fill(engine, [b"ab"])

        def change(txn: Transaction) -> None:
            txn.put(DATA, b"kept", b"1")
            inner = txn.begin()
            inner.expect(DATA, b"ab", b"ba")
            inner.expect(DATA, b"kept", b"1")
            with pytest.raises(UnexpectedError):
                inner.expect(DATA, b"ab", None)
            inner.abort()

        for run in runs(engine):
            run(change)
        assert entries(engine) == [(b"ab", b"ba"), (b"kept", b"1")]


def check_that_the_later_commit_is_in_conflict(engine: Engine) -> None:
    """What an engine with `conflicts` does: begin(write=True) does not wait, a commit may fail."""
    txn = engine.begin(write=True)
    assert txn.get(DATA, b"k") is None
    done = in_thread(lambda: engine.write(lambda txn: txn.put(DATA, b"k", b"other")))
    assert done == [None]
    txn.put(DATA, b"k", b"first")
    txn.put(DATA, b"lost", b"1")
    with pytest.raises(ConflictError):
        txn.commit()
    assert entries(engine) == [(b"k", b"other")]
    engine.write(lambda txn: txn.put(DATA, b"k", b"after"))
    assert engine.get(DATA, b"k") == b"after"
