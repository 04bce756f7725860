"""Transactions: all or nothing, nested, ambient for a thread or task; and races lose nothing."""

import asyncio
import contextvars
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from stones import (
    FormatMismatchError,
    InvalidKeyError,
    KeyTypeError,
    LmdbStore,
    MemoryStore,
    StoreClosedError,
    TransactionError,
    stone,
)

from .processes import in_child

THREADS, ROUNDS = 6, 25


def in_threads(*functions):
    """What they return, run at the same time in a thread each; an error of theirs is raised."""
    barrier = threading.Barrier(len(functions))

    def run(function):
        barrier.wait(30)
        return function()

    with ThreadPoolExecutor(len(functions)) as pool:
        return [future.result(60) for future in [pool.submit(run, each) for each in functions]]


def in_thread(function):
    return in_threads(function)[0]


def in_processes(path, code, number=3):
    """Run `code` in some processes at the same time, with the store at `path` as `store`."""
    program = (
        "import sys\n"
        "from stones import LmdbStore, stone\n"
        "me = int(sys.argv[2])\n"
        f"with stone(sys.argv[1], LmdbStore, value_type=list) as store:\n{code}"
    )
    command = [sys.executable, "-c", program, str(path)]
    running = [
        subprocess.Popen([*command, str(me)], stdout=subprocess.PIPE) for me in range(number)
    ]
    outputs = [process.communicate(timeout=60)[0].decode() for process in running]
    assert [process.returncode for process in running] == [0] * number
    return outputs


def increment(store):
    with store.transaction():
        store["n"] = store.get("n", 0) + 1


# -- all or nothing --------------------------------------------------------------------------------


def test_what_is_done_in_a_transaction_stays(store):
    store.update(a=1, b=2)
    with store.transaction() as same:
        assert same is store
        store["c"] = 3
        del store["a"]
    assert store == {b"b": 2, b"c": 3}


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, GeneratorExit, SystemExit])
def test_a_failed_transaction_leaves_no_trace(store, error):
    store["kept"] = 1
    with pytest.raises(error), store.transaction():
        store["lost"] = 2
        del store["kept"]
        raise error
    assert store == {b"kept": 1}
    store["next"] = 3
    assert len(store) == 2


CHANGES = {
    "[]=": lambda s: s.__setitem__("new", 1),
    "put": lambda s: s.put("new", 1),
    "update": lambda s: s.update(new=1),
    "|=": lambda s: s.__ior__({"new": 1}),
    "setdefault": lambda s: s.setdefault("new", 1),
    "deep_add": lambda s: s.deep_add("a", 1),
    "deep_remove": lambda s: s.deep_remove("a", 0),
    "del": lambda s: s.__delitem__("a"),
    "delete": lambda s: s.delete("a"),
    "pop": lambda s: s.pop("a"),
    "popitem": lambda s: s.popitem(),
    "clear": lambda s: s.clear(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_joins_the_transaction(open_store, change):
    store = open_store(value_type=list)
    store.update(a=[0], b=[0])
    before = dict(store)
    with pytest.raises(ZeroDivisionError), store.transaction():
        CHANGES[change](store)
        assert dict(store) != before
        raise ZeroDivisionError
    assert dict(store) == before


def test_every_reading_in_a_transaction_sees_its_changes(store):
    store.update(a=1, b=2)
    with store.transaction():
        store.update(b=3, c=4)
        del store["a"]
        assert ("a" in store, store["b"], store.get("c"), len(store)) == (False, 3, 4, 2)
        assert list(store) == list(store.keys()) == [b"b", b"c"]
        assert list(reversed(store)) == [b"c", b"b"]
        assert list(store.values()) == [3, 4]
        assert store.get_many("abc") == dict(store.items()) == {b"b": 3, b"c": 4}
        assert list(store.range(gt="b")) == [b"c"]
        assert store == store.copy() == {b"b": 3, b"c": 4}
        assert store.stats()["entries"] == 2


def test_others_see_nothing_of_it_before_it_ends(store):
    store["a"] = 1
    with store.transaction():
        store["a"] = 2
        store["b"] = 3
        assert in_thread(lambda: dict(store)) == {b"a": 1}
        assert in_thread(lambda: (store["a"], "b" in store, len(store))) == (1, False, 1)
    assert in_thread(lambda: dict(store)) == {b"a": 2, b"b": 3}


@pytest.mark.needs("waiting")
def test_others_wait_with_their_writes_until_it_ends(store):
    with ThreadPoolExecutor(1) as pool:
        with store.transaction():
            store["n"] = 1
            other = pool.submit(increment, store)
            with pytest.raises(TimeoutError):
                other.result(0.05)
            store["n"] = 10
        other.result(30)
    assert store["n"] == 11


# -- savepoints ------------------------------------------------------------------------------------


def test_a_block_in_a_block_is_undone_alone(store):
    with store.transaction():
        store["outer"] = 1
        with pytest.raises(ZeroDivisionError), store.transaction():
            store["outer"] = 2
            store["inner"] = 2
            raise ZeroDivisionError
        assert store == {b"outer": 1}
        store["after"] = 3
    assert store == {b"after": 3, b"outer": 1}


def test_what_a_block_in_a_block_did_is_undone_with_the_outer_one(store):
    with pytest.raises(ZeroDivisionError), store.transaction():
        with store.transaction():
            store["inner"] = 1
        assert store == {b"inner": 1}
        raise ZeroDivisionError
    assert store == {}


def test_blocks_nest_as_deep_as_wanted(store):
    def descend(depth):
        with store.transaction():
            store[b"%02d" % depth] = depth
            if depth < 20:
                descend(depth + 1)
            if depth == 10:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        descend(10)
    with store.transaction():
        with pytest.raises(ZeroDivisionError):
            descend(5)
        descend(15)
    assert list(store.values()) == [15, 16, 17, 18, 19, 20]


def test_an_operation_that_fails_in_a_block_undoes_only_itself(store):
    with store.transaction():
        store["a"] = 1
        with pytest.raises(ValueError, match="cannot hold"):
            store.update(a=2, b=lambda: 0)
        with pytest.raises(KeyError):
            del store["c"]
        store["d"] = 4
    assert store == {b"a": 1, b"d": 4}


# -- what an update reads --------------------------------------------------------------------------


def test_what_an_update_reads_from_the_store_is_as_it_was_before(store):
    store.update(a=1, b=2)
    store.update((key + b"+", value * 10) for key, value in store.items())
    assert store == {b"a": 1, b"a+": 10, b"b": 2, b"b+": 20}
    store.update((key, len(store)) for key in "xyz")
    assert [store[key] for key in "xyz"] == [4, 4, 4]
    store.update(store)
    assert len(store) == 7


def test_what_an_update_reads_in_a_transaction_is_as_it_is_by_then(store):
    with store.transaction():
        store["a"] = 1
        store.update((key, len(store)) for key in "xyz")
    assert store == {b"a": 1, b"x": 1, b"y": 2, b"z": 3}


def test_an_update_cannot_write_while_it_is_read(store):
    store["a"] = 1

    def entries():
        yield "b", 1
        store["c"] = 1

    with pytest.raises(TransactionError, match="end that one first"):
        store.update(entries())
    assert store == {b"a": 1}


def test_an_update_in_a_transaction_may_write_while_it_is_read(store):
    def entries():
        yield "b", 1
        store["c"] = store.setdefault("d", 5)
        yield "e", 1

    with store.transaction():
        store.update(entries())
    assert store == {b"b": 1, b"c": 5, b"d": 5, b"e": 1}


# -- threads ---------------------------------------------------------------------------------------


@pytest.mark.needs("waiting")
def test_threads_increment_a_counter_and_lose_nothing(store):
    def work():
        for _ in range(ROUNDS):
            increment(store)

    in_threads(*[work] * THREADS)
    assert store["n"] == THREADS * ROUNDS


def test_threads_agree_on_what_setdefault_has_set(store):
    keys = [b"%d" % n for n in range(ROUNDS)]

    def work(me):
        return [store.setdefault(key, me) for key in keys]

    found = in_threads(*[lambda me=me: work(me) for me in range(THREADS)])
    assert found == [list(store.get_many(keys).values())] * THREADS


def test_threads_that_put_without_overwriting_win_once_each(store):
    keys = [b"%d" % n for n in range(ROUNDS)]

    def work(me):
        return {key: me for key in keys if store.put(key, me, overwrite=False)}

    won = in_threads(*[lambda me=me: work(me) for me in range(THREADS)])
    assert sum(map(len, won)) == ROUNDS
    assert {key: me for mine in won for key, me in mine.items()} == store


TAKE = {
    "pop": lambda s, key: s.pop(key, None),
    "popitem": lambda s, key: s.popitem()[1],
    "delete": lambda s, key: key.decode() if s.delete(key) else None,
}


@pytest.mark.parametrize("act", TAKE)
def test_threads_take_every_entry_once(store, act):
    keys = [b"%d" % n for n in range(THREADS * ROUNDS)]
    store.update((key, key.decode()) for key in keys)

    def work():
        take = keys if act != "popitem" else keys[:ROUNDS]
        return [value for key in take if (value := TAKE[act](store, key)) is not None]

    taken = in_threads(*[work] * THREADS)
    assert Counter(value for values in taken for value in values) == Counter(
        map(bytes.decode, keys)
    )
    assert len(store) == 0


def test_threads_add_to_a_container_and_lose_nothing(open_store):
    store = open_store(value_type=list)

    def work(me):
        for n in range(ROUNDS):
            store.deep_add("list", (me, n))
            store.deep_add("other", None)
        for _ in range(ROUNDS - 1):
            assert store.deep_remove("other", None)

    in_threads(*[lambda me=me: work(me) for me in range(THREADS)])
    assert sorted(store["list"]) == [(me, n) for me in range(THREADS) for n in range(ROUNDS)]
    assert store["other"] == [None] * THREADS


@pytest.mark.needs("snapshots")
def test_readers_see_all_of_a_transaction_or_none(store):
    store.update(a=0, b=0)
    done = threading.Event()

    def write():
        for n in range(ROUNDS * 4):
            with store.transaction():
                store["a"] = n
                store["b"] = n
            store.update(a=-n, b=-n)
        done.set()

    def read():
        while not done.is_set():
            assert len(set(store.get_many("ab").values())) == 1
            assert len(set(store.values())) == 1
            with store.snapshot() as view:
                assert view["a"] == view["b"]

    in_threads(write, read, read)


def test_threads_open_and_close_transactions_of_their_own_side_by_side(open_store):
    stores = [open_store() for _ in range(THREADS)]
    all_open = threading.Barrier(THREADS)

    def work(mine):
        with mine.transaction():
            mine["n"] = 1
            all_open.wait(30)
            lengths = [len(store) for store in stores]
            all_open.wait(30)
        return lengths

    seen = in_threads(*[lambda mine=mine: work(mine) for mine in stores])
    assert seen == [[int(me == n) for n in range(THREADS)] for me in range(THREADS)]
    assert all(store == {b"n": 1} for store in stores)


def test_closing_while_another_thread_is_in_a_transaction_ends_that(store):
    opened = threading.Event()

    def work():
        try:
            with store.transaction():
                while True:
                    store["k"] = 1
                    opened.set()
        except StoreClosedError:
            return "told so"

    def close():
        opened.wait(30)
        store.close()

    assert in_threads(work, close) == ["told so", None]
    with pytest.raises(StoreClosedError):
        store["k"] = 2


def test_who_waits_to_write_while_a_store_in_memory_is_closed_is_told_so():
    store = MemoryStore()
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(StoreClosedError), store.transaction():
            waiting = pool.submit(store.__setitem__, "k", 1)
            with pytest.raises(TimeoutError):
                waiting.result(0.05)
            in_thread(store.close)
        with pytest.raises(StoreClosedError):
            waiting.result(30)


# -- processes -------------------------------------------------------------------------------------


def test_processes_increment_a_counter_and_lose_nothing(tmp_path):
    code = (
        f"    for _ in range({ROUNDS}):\n"
        "        with store.transaction():\n"
        "            store['n'] = store.get('n', 0) + 1\n"
        "        store.deep_add('list', (me, _))\n"
    )
    in_processes(tmp_path / "db", code)
    with stone(tmp_path / "db", LmdbStore) as store:
        assert store["n"] == 3 * ROUNDS
        assert sorted(store["list"]) == [(me, n) for me in range(3) for n in range(ROUNDS)]


def test_processes_take_and_set_every_entry_once(tmp_path):
    with stone(tmp_path / "db", LmdbStore) as store:
        store.update((b"%03d" % n, n) for n in range(ROUNDS))
    code = (
        f"    for n in range({ROUNDS}):\n"
        "        value = store.pop(b'%03d' % n, None)\n"
        "        if value is not None: print('popped', n)\n"
        "        print('set', n, store.setdefault(f'new-{n}', me))\n"
    )
    outputs = in_processes(tmp_path / "db", code)
    lines = Counter(line for output in outputs for line in output.splitlines())
    with stone(tmp_path / "db", LmdbStore) as store:
        assert lines == Counter(
            {
                **{f"popped {n}": 1 for n in range(ROUNDS)},
                **{f"set {n} {store[f'new-{n}']}": 3 for n in range(ROUNDS)},
            }
        )


def test_a_process_that_dies_in_a_transaction_leaves_no_trace(tmp_path):
    code = (
        "    store['kept'] = 1\n"
        "    with store.transaction():\n"
        "        store['lost'] = 2\n"
        "        import os; os.kill(os.getpid(), 9)\n"
    )
    with pytest.raises(AssertionError, match="-9"):
        in_processes(tmp_path / "db", code, number=1)
    with stone(tmp_path / "db", LmdbStore) as store:
        assert store == {b"kept": 1}


# -- fork ------------------------------------------------------------------------------------------


def test_a_child_forked_in_a_transaction_is_not_part_of_it():
    store = MemoryStore(kwargs={"k": 1})

    def child():
        assert store == {b"k": 1}
        with store.snapshot() as view:
            assert view["k"] == 1

    with store.transaction():
        store["k"] = 2
        assert in_child(child) == 0
    assert store == {b"k": 2}


def test_a_child_cannot_commit_what_its_parent_began():
    store = MemoryStore(kwargs={"k": 1})

    def child():
        with pytest.raises(TransactionError, match="parent's"):
            block.__exit__(None, None, None)
        assert store == {b"k": 1}

    def failing_child():
        assert block.__exit__(ZeroDivisionError, ZeroDivisionError(), None) is False
        assert store == {b"k": 1}

    block = store.transaction()
    block.__enter__()
    store["k"] = 2
    assert in_child(child) == 0
    assert in_child(failing_child) == 0
    block.__exit__(None, None, None)
    assert store == {b"k": 2}


def test_a_child_may_write_to_memory_whatever_its_parent_was_doing():
    store = MemoryStore(kwargs={"k": 1})
    opened, forked = threading.Event(), threading.Event()

    def work():
        with store.transaction():
            store["k"] = 2
            opened.set()
            forked.wait(30)

    def child():
        store["new"] = store.pop("k")
        assert store == {b"new": 1}

    def fork():
        opened.wait(30)
        try:
            return in_child(child)
        finally:
            forked.set()

    assert in_threads(work, fork) == [None, 0]
    with store.transaction():
        assert in_child(lambda: store.update(k=3)) == 0
    assert store == {b"k": 2}


# -- what is started inside of a transaction is not part of it -----------------------------------


async def set_key(store, key, value):
    store[key] = value


def test_a_task_started_in_a_transaction_reads_what_is_committed_and_cannot_write(store):
    async def child():
        assert dict(store) == {b"k": 1}
        assert (store["k"], len(store), "new" in store) == (1, 1, False)
        for change in CHANGES.values():
            with pytest.raises(TransactionError, match="started inside a transaction"):
                change(store)
        with pytest.raises(TransactionError), store.transaction():
            raise AssertionError("not to be reached")

    async def main():
        with store.transaction():
            store["k"] = 2
            store["new"] = 3
            await asyncio.create_task(child())
            await asyncio.gather(child(), child())
            assert store["k"] == 2

    store["k"] = 1
    asyncio.run(main())
    assert store == {b"k": 2, b"new": 3}


def test_a_thread_that_a_task_starts_in_a_transaction_cannot_write_either(store):
    async def main():
        with store.transaction():
            store["k"] = 2
            assert await asyncio.to_thread(dict, store) == {b"k": 1}
            with pytest.raises(TransactionError, match="started inside a transaction"):
                await asyncio.to_thread(store.__setitem__, "k", 3)
            await asyncio.sleep(0)
            store["after"] = 1

    store["k"] = 1
    asyncio.run(main())
    assert store == {b"after": 1, b"k": 2}


def test_a_thread_with_a_copy_of_the_context_is_not_part_of_the_transaction(store):
    with store.transaction():
        store["k"] = 1
        context = contextvars.copy_context()
        assert in_thread(lambda: context.run(dict, store)) == {}
        with pytest.raises(TransactionError, match="started inside a transaction"):
            in_thread(lambda: context.run(increment, store))
    in_thread(lambda: context.run(increment, store))
    assert store == {b"k": 1, b"n": 1}


def test_a_task_that_runs_on_after_the_transaction_is_free_again(store):
    async def main():
        go = asyncio.Event()

        async def later():
            await go.wait()
            with store.transaction():
                store["task"] = 1

        with store.transaction():
            store["k"] = 1
            task = asyncio.create_task(later())
            await asyncio.sleep(0)
        go.set()
        await task

    asyncio.run(main())
    assert store == {b"k": 1, b"task": 1}


def test_another_task_on_the_same_thread_gets_an_error_where_it_would_wait_forever(store):
    async def main():
        opened, go = asyncio.Event(), asyncio.Event()

        async def hold():
            with store.transaction():
                store["held"] = 1
                opened.set()
                await go.wait()

        async def other():
            await opened.wait()
            assert dict(store) == {}
            with pytest.raises(TransactionError, match="do not await inside"):
                store["other"] = 1
            with pytest.raises(TransactionError), store.transaction():
                raise AssertionError("not to be reached")
            go.set()

        await asyncio.gather(hold(), other())
        store["other"] = 2

    asyncio.run(main())
    assert store == {b"held": 1, b"other": 2}


def test_tasks_that_do_not_await_inside_take_turns(store):
    async def work():
        for _ in range(ROUNDS):
            increment(store)
            await asyncio.sleep(0)

    async def main():
        await asyncio.gather(*[work() for _ in range(THREADS)])

    asyncio.run(main())
    assert store["n"] == THREADS * ROUNDS


def test_a_task_that_is_cancelled_in_a_transaction_undoes_it(store):
    async def main():
        async def hang():
            with store.transaction():
                store["lost"] = 1
                await asyncio.sleep(60)

        task = asyncio.create_task(hang())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert store == {}


def test_a_loop_run_inside_a_transaction_is_not_part_of_it(store):
    with store.transaction():
        store["k"] = 1
        with pytest.raises(TransactionError, match="started inside a transaction"):
            asyncio.run(set_key(store, "k", 2))
        store["k"] = 3
    assert store == {b"k": 3}


# -- generators that hold a transaction --------------------------------------------------------


def hold(store, key):
    with store.transaction():
        store[key] = 1
        yield


def test_a_transaction_may_end_in_another_context_than_it_began_in(store):
    block = hold(store, "k")
    contextvars.copy_context().run(next, block)
    with pytest.raises(StopIteration):
        contextvars.copy_context().run(next, block)
    store["after"] = 1
    assert store == {b"after": 1, b"k": 1}


def test_a_transaction_that_is_abandoned_is_undone(store):
    block = hold(store, "k")
    next(block)
    del block
    assert store == {}
    store["k"] = 2
    assert store == {b"k": 2}


def test_a_block_whose_outer_one_is_gone_fails_and_writes_nothing(store):
    outer = hold(store, "outer")
    next(outer)
    with pytest.raises(TransactionError, match="ended"), store.transaction():
        store["inner"] = 1
        outer.close()
    assert store == {}
    store["after"] = 1
    assert store == {b"after": 1}


def test_transactions_on_two_stores_may_end_in_any_order(open_store):
    one, other = open_store(), open_store()
    first = hold(one, "a")
    next(first)
    with pytest.raises(ZeroDivisionError), other.transaction():
        with pytest.raises(StopIteration):
            next(first)
        other["b"] = 1
        one["c"] = 1
        raise ZeroDivisionError
    assert (dict(one), dict(other)) == ({b"a": 1, b"c": 1}, {})


def test_stores_have_transactions_of_their_own(open_store):
    one, other = open_store(), open_store()
    with one.transaction():
        with pytest.raises(ZeroDivisionError), other.transaction():
            one["a"] = other["a"] = 1
            raise ZeroDivisionError
        other["b"] = 2
        one["b"] = 2
    assert (dict(one), dict(other)) == ({b"a": 1, b"b": 2}, {b"b": 2})


def test_two_stores_on_the_same_file_share_their_transaction(tmp_path):
    with stone(tmp_path / "db", LmdbStore) as one, stone(tmp_path / "db", LmdbStore) as other:
        with pytest.raises(ZeroDivisionError), one.transaction():
            one["a"] = 1
            with other.transaction():
                other["b"] = other["a"]
            raise ZeroDivisionError
        assert dict(one) == dict(other) == {}


def test_a_context_manager_of_yours_may_wrap_a_transaction(store):
    @contextmanager
    def audited():
        with store.transaction():
            yield
            store["log"] = len(store)

    with audited():
        store["a"] = 1
    with pytest.raises(ZeroDivisionError), audited():
        store["b"] = 1 // 0
    assert store == {b"a": 1, b"log": 1}


def test_blocks_that_end_in_the_wrong_order_are_all_undone_and_that_is_told(store):
    def numbered(name):
        with store.transaction():
            for number in range(3):
                store[f"{name}{number}"] = number
                yield

    store["kept"] = 1
    first, second = numbered("a"), numbered("b")
    next(first)
    next(second)
    with pytest.raises(TransactionError, match="reverse order"):
        list(first)
    with pytest.raises(TransactionError):
        list(second)
    assert dict(store) == {b"kept": 1}
    store["after"] = 2
    assert len(store) == 2


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"serialize": "cbor"}, FormatMismatchError),
        ({"key_type": int}, KeyTypeError),
        ({"iterable": [(b"", 1)]}, InvalidKeyError),
    ],
)
def test_an_opening_that_fails_inside_a_transaction_says_why(tmp_path, options, error):
    with LmdbStore(tmp_path / "db", serialize="json") as store, store.transaction():
        with pytest.raises(error):
            LmdbStore(tmp_path / "db", **options)
        store["key"] = "value"
