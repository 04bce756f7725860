"""The loop of all migrations: many short write transactions."""

from itertools import islice
from time import perf_counter, sleep

import pytest

from stones import LmdbStore, MemoryStore
from stones.engine import Space
from stones.migrations.batches import HELD, Turn, run_batches
from stones.migrations.progress import ProgressCounter


class UndoneError(Exception):
    pass


def noting(held, cost=0.0):
    """A step that looks at keys one after the other, and notes how long it was allowed to."""

    def step(txn, start, turn):
        began = perf_counter()
        looked_at = 0
        for key in txn.keys(Space.DATA, start):
            if turn.is_over(looked_at):
                held.append(perf_counter() - began)
                return key, looked_at
            looked_at += 1
            sleep(cost)
        return None, looked_at

    return step


def test_each_entry_is_looked_at_once_in_key_order():
    with MemoryStore({b"%04d" % number: number for number in range(100)}) as store:
        seen = []

        def step(txn, start, turn):
            keys = list(islice(txn.keys(Space.DATA, start), 8))
            seen.extend(keys[:7])
            return (keys[7], 7) if len(keys) == 8 else (None, len(keys))

        assert run_batches(store.database, step, start=b"0010") == 90
        assert seen == [b"%04d" % number for number in range(10, 100)]


@pytest.mark.parametrize("cost", [0.001, 0.005])
def test_slow_entries_make_transactions_with_few_of_them(tmp_path, cost):
    with LmdbStore(tmp_path / "db") as store:
        store.update({b"%04d" % number: number for number in range(60)})
        held = []
        assert run_batches(store.database, noting(held, cost)) == 60
        assert len(held) >= 60 * cost / HELD
        assert sorted(held)[len(held) // 2] < 0.05


def test_a_step_that_is_slower_than_a_turn_goes_on_all_the_same():
    with MemoryStore({b"%04d" % number: number for number in range(5)}) as store:
        held = []
        assert run_batches(store.database, noting(held, 0.03)) == 5
        assert len(held) == 4


def test_a_turn_ends_after_many_entries_or_bytes():
    turn = Turn(60)
    assert not turn.is_over(0, 10_000_000)
    assert not turn.is_over(1)
    assert turn.is_over(1, 4_000_000)
    assert turn.is_over(20_000)


def test_what_was_committed_stays_after_an_error():
    with MemoryStore({b"%04d" % number: number for number in range(9)}) as store:

        def step(txn, start, turn):
            if start == b"0006":
                raise UndoneError
            txn.delete(Space.DATA, start)
            return b"%04d" % (int(start) + 1), 1

        with pytest.raises(UndoneError):
            run_batches(store.database, step, start=b"0000")
        assert list(store) == [b"0006", b"0007", b"0008"]


def test_progress_is_told_about_a_hundred_times_and_never_beyond_the_end():
    told = []
    counter = ProgressCounter(lambda done, total: told.append((done, total)), 1000)
    for _ in range(1200):
        counter.add()
    counter.finish()
    assert told[0] == (10, 1000)
    assert told[-1] == (1000, 1000)
    assert told == sorted(told)
    assert 100 <= len(told) <= 125


def test_without_a_function_for_progress_nothing_is_told():
    counter = ProgressCounter(None, 0)
    counter.add(5)
    counter.finish()
