"""What every engine must do with sums: `add`, `sum`, `sums`, `drop_sum`."""

from collections.abc import Callable

import pytest

from stones.engine import Engine, Space, Transaction
from stones.errors import CorruptValueError, ReadOnlyError

from .elsewhere import in_thread
from .keys_and_values import DATA, entries
from .transactions import lacks_savepoints

SUM, OTHER = b"count/a", b"count/b"


def add(engine: Engine, key: bytes, number: int) -> None:
    """Add to a sum."""
    engine.write(lambda txn: txn.add(key, number))


class SumTests:
    """Part of `EngineTests`."""

    def test_sums_are_0_at_first_and_what_was_added_later(self, engine: Engine) -> None:
        assert engine.sum(SUM) == 0
        for run in (engine.write, engine.transact):
            run(lambda txn: txn.add(SUM, 5))
            run(lambda txn: txn.add(SUM, -2))
            run(lambda txn: txn.add(OTHER, 1))
        assert (engine.sum(SUM), engine.sum(OTHER)) == (6, 2)
        assert all(engine.get(space, SUM) is None for space in (DATA, Space.INDEX))

    def test_a_transaction_sees_what_it_added_and_others_do_not(self, engine: Engine) -> None:
        add(engine, SUM, 5)
        txn = engine.begin(write=True)
        txn.add(SUM, 2)
        assert txn.sum(SUM) == 7
        assert in_thread(lambda: engine.sum(SUM)) == [5]
        txn.abort()
        assert engine.sum(SUM) == 5

    def test_a_snapshot_keeps_its_sums(self, engine: Engine) -> None:
        add(engine, SUM, 5)
        txn = engine.begin()
        engine.write(lambda change: change.add(SUM, 1))
        assert txn.sum(SUM) == (5 if engine.supports.snapshots else 6)
        with pytest.raises(ReadOnlyError):
            txn.add(SUM, 1)
        txn.abort()

    def test_a_savepoint_that_is_undone_takes_its_sums_along(self, engine: Engine) -> None:
        if lacks_savepoints(engine):
            return
        txn = engine.begin(write=True)
        txn.add(SUM, 1)
        inner = txn.begin()
        inner.add(SUM, 10)
        assert inner.sum(SUM) == 11
        inner.abort()
        assert txn.sum(SUM) == 1
        inner = txn.begin()
        inner.drop_sum(SUM)
        inner.add(SUM, 100)
        inner.commit()
        assert txn.sum(SUM) == 100
        txn.commit()
        assert engine.sum(SUM) == 100

    def test_a_sum_that_is_dropped_begins_again_at_0(self, engine: Engine) -> None:
        add(engine, SUM, 5)
        add(engine, OTHER, 6)
        engine.write(lambda txn: txn.drop_sum(SUM))
        assert (engine.sum(SUM), engine.sum(OTHER)) == (0, 6)

        def begin_again(txn: Transaction) -> None:
            txn.add(SUM, 1)
            txn.drop_sum(SUM)
            txn.add(SUM, 2)

        engine.write(begin_again)
        assert engine.sum(SUM) == 2
        engine.write(lambda txn: txn.drop_sum(b"never added to"))

    def test_a_sum_below_0_is_an_error_and_can_be_dropped(self, engine: Engine) -> None:
        def subtract() -> None:
            add(engine, SUM, -1)
            engine.sum(SUM)  # an engine that adds without reading notices it here

        with pytest.raises(CorruptValueError):
            subtract()
        engine.write(lambda txn: txn.drop_sum(SUM))
        add(engine, SUM, 1)
        assert engine.sum(SUM) == 1

    def test_each_sum_is_an_entry_of_the_metadata_or_one_of_sums(self, engine: Engine) -> None:
        add(engine, SUM, 5)
        add(engine, OTHER, 6)
        engine.write(lambda txn: txn.put(Space.META, b"format", b"x"))
        in_metadata = {key: int(raw) for key, raw in entries(engine, Space.META) if raw != b"x"}
        txn = engine.begin()
        apart = dict(txn.sums())
        txn.abort()
        assert in_metadata | apart == {SUM: 5, OTHER: 6}
        assert not in_metadata.keys() & apart.keys()

    def test_a_sum_is_there_again(self, engine: Engine, open_engine: Callable[[], Engine]) -> None:
        add(engine, SUM, 5)
        engine.close()
        again = open_engine()
        assert again.sum(SUM) == (5 if engine.supports.durability else 0)
        again.close()
