"""Buffered transactions do what a transaction must, whatever is below them.

A small engine keeps sorted dicts. Its transactions send their changes at the commit, or earlier if
there is only little room. Both are held to the compliance suite, and to a plain dict.
"""

from collections.abc import Callable, Iterator, Sequence
from threading import Lock, get_ident

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from stones.engine import Engine, Page, Space, Supports, Transaction
from stones.engines.buffered.backing import Backing, Changes
from stones.engines.buffered.transaction import BufferedTransaction
from stones.errors import (
    CorruptValueError,
    ReadOnlyError,
    StorageError,
    StoreClosedError,
    TransactionError,
    UnexpectedError,
)
from stones.pages import pages_of_entries, pages_of_keys
from stones.testing import EngineTests

DATA = Space.DATA
State = tuple[list[dict[bytes, bytes]], dict[bytes, int]]


class DictEngine(Engine):
    supports = Supports(snapshots=True, savepoints=True, max_value_size=10_000_000)

    def __init__(self, room: int | None = None, keeps_sums: bool = False) -> None:
        self.state: State = ([{} for _ in Space], {})
        self.lock = Lock()
        self.writer: int | None = None
        self.room, self.keeps_sums = room, keeps_sums
        self.last: DictBacking | None = None

    def begin(
        self, *, write: bool = False, timeout: float | None = None, defer: bool = False
    ) -> BufferedTransaction:
        if write and self.writer == get_ident():
            raise TransactionError("this thread has a write transaction open")
        if self.closed:
            raise StoreClosedError("the engine is closed")
        if write:
            self.lock.acquire()
            self.writer = get_ident()
        self.last = DictBacking(self, write)
        return BufferedTransaction(self.last, writable=write, defer=defer)

    def close(self) -> None:
        self.closed = True


class DictBacking(Backing):
    max_value_size = 10_000_000

    def __init__(self, engine: DictEngine, write: bool) -> None:
        self.engine, self.write = engine, write
        self.room, self.keeps_sums = engine.room, engine.keeps_sums
        self.state = copied(engine.state) if write else engine.state
        self.savepoints: dict[int, State] = {}
        self.log: list[str] = []

    def check(self) -> None:
        if self.engine.closed:
            raise StoreClosedError("the engine is closed")

    def get(self, space: Space, key: bytes) -> bytes | None:
        self.check()
        self.log.append("get")
        return self.state[0][space].get(key)

    def get_many(self, space: Space, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        assert keys
        self.log.append("get_many")
        return [self.state[0][space].get(key) for key in keys]

    def pages(
        self,
        space: Space,
        start: bytes,
        stop: bytes | None,
        *,
        reverse: bool,
        keys: bool,
        values: bool,
    ) -> Iterator[Page]:
        entries = self.scan(space, start, stop, reverse)
        return pages_of_entries(entries, keys) if values else pages_of_keys(k for k, _ in entries)

    def scan(
        self, space: Space, start: bytes, stop: bytes | None, reverse: bool
    ) -> Iterator[tuple[bytes, bytes]]:
        """Like a network: a few entries are asked for when they are due, by the one before them."""
        while found := within(self.state[0][space], start, stop, reverse)[:5]:
            yield from found
            if reverse:
                stop = found[-1][0]
            else:
                start = found[-1][0] + b"\0"

    def count(self, space: Space) -> int:
        self.log.append("count")
        return len(self.state[0][space])

    def sum(self, key: bytes) -> int:
        return self.state[1].get(key, 0)

    def sums(self) -> Iterator[tuple[bytes, int]]:
        return iter(sorted(self.state[1].items()))

    def commit(self, changes: Changes) -> None:
        try:
            self.check()
            if self.write:
                self.apply(changes)
                self.engine.state = self.state
        finally:
            self.abort()

    def abort(self) -> None:
        writing, self.write = self.write, False
        if writing:
            self.engine.writer = None
            self.engine.lock.release()

    def flush(self, steps: Sequence[tuple[int | None, Changes]]) -> None:
        for savepoint, changes in steps:
            if savepoint is not None:
                self.savepoints[savepoint] = copied(self.state)
            self.apply(changes)

    def roll_back(self, savepoint: int) -> None:
        self.state = self.savepoints.pop(savepoint)

    def delete_range(self, space: Space, start: bytes, stop: bytes | None) -> None:
        for key in list(self.state[0][space]):
            if key >= start and (stop is None or key < stop):
                del self.state[0][space][key]

    def apply(self, changes: Changes) -> None:
        spaces, sums = self.state
        for (space, key), value in changes.expected.items():
            if spaces[space].get(key) != value:
                raise UnexpectedError(space, key, spaces[space].get(key))
        for space, writes in zip(Space, changes.writes, strict=True):
            assert [key for key, _ in writes] == sorted({key for key, _ in writes})
            for key, value in writes:
                if value is None:
                    spaces[space].pop(key, None)
                else:
                    spaces[space][key] = value
        for key in changes.dropped:
            sums.pop(key, None)
        for key, number in changes.added.items():
            sums[key] = sums.get(key, 0) + number


def copied(state: State) -> State:
    return [dict(entries) for entries in state[0]], dict(state[1])


def log(engine: DictEngine) -> list[str]:
    """What the last transaction has asked its backing."""
    assert engine.last is not None
    return engine.last.log


class TestBuffered(EngineTests):
    @pytest.fixture
    def open_engine(self) -> Callable[[], Engine]:
        return DictEngine


class TestBufferedWithLittleRoom(EngineTests):
    @pytest.fixture
    def open_engine(self) -> Callable[[], Engine]:
        return lambda: DictEngine(room=1000, keeps_sums=True)


@pytest.fixture(params=[None, 0, 1000])
def engine(request):
    return DictEngine(room=request.param, keeps_sums=True)


def test_an_expectation_that_is_deferred_asks_nothing_until_the_commit(engine):
    txn = engine.begin(write=True, defer=True)
    txn.expect(DATA, b"k", None)
    assert txn.get(DATA, b"k") is None
    assert txn.get_many(DATA, [b"k", b"k"]) == [None, None]
    assert log(engine) == []
    txn.put(DATA, b"k", b"v")
    txn.expect(DATA, b"k", b"v")
    txn.commit()
    assert engine.get(DATA, b"k") == b"v"


def test_an_expectation_that_is_deferred_fails_at_the_commit_and_nothing_is_written():
    engine = DictEngine()
    engine.write(lambda txn: txn.put(DATA, b"k", b"there"))
    txn = engine.begin(write=True, defer=True)
    txn.expect(DATA, b"k", None)
    txn.put(DATA, b"other", b"v")
    with pytest.raises(UnexpectedError) as caught:
        txn.commit()
    assert (caught.value.key, caught.value.found) == (b"k", b"there")
    assert engine.get(DATA, b"other") is None


def test_two_expectations_that_contradict_each_other_fail_at_once(engine):
    txn = engine.begin(write=True, defer=True)
    txn.expect(DATA, b"k", None)
    with pytest.raises(UnexpectedError):
        txn.expect(DATA, b"k", b"v")
    txn.abort()


def test_a_savepoint_and_a_with_block_compare_at_once(engine):
    txn = engine.begin(write=True)
    with pytest.raises(UnexpectedError):
        txn.expect(DATA, b"k", b"v")
    txn.abort()
    txn = engine.begin(write=True, defer=True)
    with pytest.raises(UnexpectedError):
        txn.begin().expect(DATA, b"k", b"v")
    assert log(engine) == ["get"]
    txn.abort()


def test_sums_follow_their_savepoints(engine):
    engine.write(lambda txn: txn.add(b"n", 5))
    txn = engine.begin(write=True)
    txn.add(b"n", 1)
    inner = txn.begin()
    inner.drop_sum(b"n")
    inner.add(b"n", 100)
    inner.put(DATA, b"k", b"v")
    assert inner.sum(b"n") == 100
    inner.abort()
    assert txn.sum(b"n") == 6
    inner = txn.begin()
    inner.drop_sum(b"n")
    inner.add(b"n", 7)
    inner.add(b"m", 1)
    inner.put(DATA, b"k", b"v")
    innermost = inner.begin()
    innermost.add(b"n", -3)
    innermost.put(DATA, b"k2", b"v")
    innermost.commit()
    inner.commit()
    assert list(txn.sums()) == [(b"m", 1), (b"n", 4)]
    txn.commit()
    assert engine.sum(b"n") == 4
    assert engine.state[1] == {b"n": 4, b"m": 1}


def test_a_sum_below_zero_is_damaged(engine):
    txn = engine.begin(write=True)
    txn.add(b"n", -1)
    with pytest.raises(CorruptValueError, match="below 0"):
        txn.sum(b"n")
    txn.abort()


def test_a_value_over_the_limit_is_refused_and_the_transaction_goes_on(engine):
    txn = engine.begin(write=True)
    with pytest.raises(StorageError, match="10,000,000"):
        txn.put(DATA, b"k", bytes(10_000_001))
    txn.put(DATA, b"k", b"v")
    txn.commit()
    assert engine.get(DATA, b"k") == b"v"


def test_a_reading_transaction_has_no_savepoints(engine):
    txn = engine.begin()
    with pytest.raises(ReadOnlyError):
        txn.begin()
    with pytest.raises(ReadOnlyError):
        txn.add(b"n", 1)
    with pytest.raises(ReadOnlyError):
        txn.delete_range(DATA)
    txn.abort()


def test_the_count_below_is_asked_for_before_the_keys_that_it_has():
    engine = DictEngine()
    txn = engine.begin(write=True)
    txn.put(DATA, b"a", b"1")
    assert txn.count(DATA) == 1
    assert engine.last.log == ["count", "get_many"]
    txn.abort()


def test_a_transaction_that_changed_nothing_sends_nothing():
    assert not Changes(writes=((), (), ()), added={}, dropped=frozenset(), expected={})
    assert Changes(writes=((), (), ()), added={}, dropped=frozenset([b"n"]), expected={})


KEYS = st.sampled_from([b"%02d" % number for number in range(40)])
VALUES = st.binary(max_size=3)
STOPS = st.none() | KEYS


class BufferedAgainstDict(RuleBasedStateMachine):
    """One writing transaction with savepoints, and iterations that are open meanwhile."""

    room: int | None = None

    def __init__(self) -> None:
        super().__init__()
        self.engine = DictEngine(room=self.room)
        filled = {b"%02d" % number: b"old" for number in range(0, 40, 3)}
        self.engine.write(lambda txn: txn.put_many(DATA, filled.items()))
        self.levels: list[Transaction] = [self.engine.begin(write=True)]
        self.models = [filled]
        self.open: list[tuple[int, Iterator[tuple[bytes, bytes]], list[tuple[bytes, bytes]]]] = []

    @property
    def txn(self) -> Transaction:
        return self.levels[-1]

    @property
    def model(self) -> dict[bytes, bytes]:
        return self.models[-1]

    @rule(key=KEYS, value=VALUES)
    def put(self, key: bytes, value: bytes) -> None:
        self.txn.put(DATA, key, value)
        self.model[key] = value

    @rule(entries=st.lists(st.tuples(KEYS, VALUES)))
    def put_many(self, entries: list[tuple[bytes, bytes]]) -> None:
        self.txn.put_many(DATA, iter(entries))
        self.model.update(entries)

    @rule(key=KEYS)
    def delete(self, key: bytes) -> None:
        assert self.txn.delete(DATA, key) is (self.model.pop(key, None) is not None)

    @rule(start=KEYS, stop=STOPS)
    def delete_range(self, start: bytes, stop: bytes | None) -> None:
        self.txn.delete_range(DATA, start, stop)
        for key, _ in within(self.model, start, stop, False):
            del self.model[key]

    @rule(start=KEYS | st.just(b""), stop=STOPS, reverse=st.booleans())
    def open_scan(self, start: bytes, stop: bytes | None, reverse: bool) -> None:
        scan = self.txn.scan(DATA, start, stop, reverse=reverse)
        wanted = within(self.model, start, stop, reverse)
        self.open.append((len(self.levels), scan, wanted[::-1]))

    @precondition(lambda self: self.open)
    @rule(data=st.data(), steps=st.integers(1, 9))
    def read_on(self, data: st.DataObject, steps: int) -> None:
        _, scan, wanted = data.draw(st.sampled_from(self.open))
        for _ in range(steps):
            assert next(scan, None) == (wanted.pop() if wanted else None)

    @rule(start=KEYS, stop=STOPS, reverse=st.booleans())
    def keys_and_values(self, start: bytes, stop: bytes | None, reverse: bool) -> None:
        wanted = within(self.model, start, stop, reverse)
        keys = self.txn.keys(DATA, start, stop, reverse=reverse)
        assert list(keys) == [key for key, _ in wanted]
        pages = self.txn.pages(DATA, start, stop, reverse=reverse, keys=False)
        assert [value for page in pages for value in page[1]] == [value for _, value in wanted]

    @rule(keys=st.lists(KEYS))
    def get_many(self, keys: list[bytes]) -> None:
        assert self.txn.get_many(DATA, keys) == [self.model.get(key) for key in keys]

    @precondition(lambda self: len(self.levels) < 4)
    @rule()
    def begin(self) -> None:
        self.levels.append(self.txn.begin())
        self.models.append(dict(self.model))

    @precondition(lambda self: len(self.levels) > 1)
    @rule(keep=st.booleans())
    def end(self, keep: bool) -> None:
        inner, model = self.levels.pop(), self.models.pop()
        if keep:
            inner.commit()
            self.models[-1] = model
        else:
            inner.abort()
        ended = [scan for level, scan, wanted in self.open if level > len(self.levels)]
        self.open = [entry for entry in self.open if entry[0] <= len(self.levels)]
        for scan in ended:
            with pytest.raises((TransactionError, StopIteration)):
                next(scan)

    @invariant()
    def same(self) -> None:
        assert list(self.txn.scan(DATA)) == sorted(self.model.items())
        assert self.txn.count(DATA) == len(self.model)

    def teardown(self) -> None:
        while len(self.levels) > 1:
            self.end(keep=True)
        self.txn.commit()
        assert self.engine.state[0][DATA] == self.model


class BufferedWithoutRoom(BufferedAgainstDict):
    room = 0


class BufferedWithLittleRoom(BufferedAgainstDict):
    room = 900


def within(
    entries: dict[bytes, bytes], start: bytes, stop: bytes | None, reverse: bool
) -> list[tuple[bytes, bytes]]:
    found = [e for e in entries.items() if e[0] >= start and (stop is None or e[0] < stop)]
    return sorted(found, reverse=reverse)


for machine in (BufferedAgainstDict, BufferedWithoutRoom, BufferedWithLittleRoom):
    machine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
del machine
TestBufferedAgainstDict = BufferedAgainstDict.TestCase
TestBufferedWithoutRoom = BufferedWithoutRoom.TestCase
TestBufferedAgainstDictWithLittleRoom = BufferedWithLittleRoom.TestCase
