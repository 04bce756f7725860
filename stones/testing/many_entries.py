"""What every engine must do with many entries at once.

That is pages, get_many, put_many, delete_many and delete_range.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from stones.engine import PAGE_BYTES, PAGE_ENTRIES, Engine, Page, Space, Transaction
from stones.errors import ReadOnlyError, TransactionError

from .keys_and_values import DATA, KEYS, entries, fill
from .transactions import lacks_savepoints

MANY = [b"%05d" % number for number in range(2000)]


def pages(engine: Engine, **options: Any) -> list[Page]:
    """The pages that a new read transaction sees, with the options that `pages` takes."""
    txn = engine.begin()
    try:
        return list(txn.pages(DATA, **options))
    finally:
        txn.abort()


def paged(found: list[Page]) -> list[tuple[bytes, bytes]]:
    """The entries of pages that have keys and values."""
    return [entry for page in found for entry in zip(*page, strict=True)]


def reversing(value: bytes, keys: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Entries with a value for each key, the last key first."""
    return ((key, value) for key in reversed(keys))


class ManyEntriesTests:
    """Part of `EngineTests`."""

    @pytest.mark.parametrize("start", [b"", b"\x00\x00", b"a", b"aa", b"\xff\xff", b"\xff\xff\xff"])
    @pytest.mark.parametrize(
        "stop", [None, b"", b"\x00", b"a\x00", b"aa", b"\xff", b"\xff\xff\xff"]
    )
    @pytest.mark.parametrize("reverse", [False, True])
    def test_pages_keep_to_the_bounds_of_a_scan(
        self, engine: Engine, start: bytes, stop: bytes | None, reverse: bool
    ) -> None:
        fill(engine, KEYS)
        bounds: dict[str, Any] = {"start": start, "stop": stop, "reverse": reverse}
        wanted = entries(engine, **bounds)
        assert paged(pages(engine, **bounds)) == wanted
        keys_only = pages(engine, values=False, **bounds)
        assert [key for page in keys_only for key in page[0]] == [key for key, _ in wanted]
        values_only = pages(engine, keys=False, **bounds)
        assert [value for page in values_only for value in page[1]] == [v for _, v in wanted]

    @pytest.mark.parametrize("reverse", [False, True])
    @pytest.mark.parametrize(
        "stop",
        [None, *(MANY[n + more] for n in (15, 207, 335, 463, 835) for more in (0, 1, 2))],
    )
    def test_pages_that_end_anywhere_lose_nothing(
        self, engine: Engine, stop: bytes | None, reverse: bool
    ) -> None:
        fill(engine, MANY)
        for start in (b"", MANY[3], MANY[14]):
            bounds: dict[str, Any] = {"start": start, "stop": stop, "reverse": reverse}
            wanted = entries(engine, **bounds)
            assert paged(pages(engine, **bounds)) == wanted
            keys_only = pages(engine, values=False, **bounds)
            assert [key for page in keys_only for key in page[0]] == [key for key, _ in wanted]
            values_only = pages(engine, keys=False, **bounds)
            assert [value for page in values_only for value in page[1]] == [v for _, v in wanted]

    def test_a_page_is_neither_empty_nor_too_long(self, engine: Engine) -> None:
        fill(engine, MANY)
        for found in (pages(engine), pages(engine, values=False), pages(engine, keys=False)):
            sizes = [max(len(keys), len(values)) for keys, values in found]
            assert sum(sizes) == len(MANY)
            assert 0 < min(sizes) <= max(sizes) <= PAGE_ENTRIES

    def test_pages_without_keys_or_values_have_empty_sequences(self, engine: Engine) -> None:
        fill(engine, KEYS)
        assert [len(keys) for keys, _ in pages(engine, keys=False)] == [0]
        assert [len(values) for _, values in pages(engine, values=False)] == [0]

    def test_there_are_no_pages_of_nothing(self, engine: Engine) -> None:
        assert pages(engine) == pages(engine, reverse=True) == []
        assert pages(engine, keys=False) == pages(engine, values=False) == []

    @pytest.mark.parametrize("reverse", [False, True])
    @pytest.mark.parametrize("keys", [False, True])
    def test_a_page_of_large_values_is_soon_full(
        self, engine: Engine, keys: bool, reverse: bool
    ) -> None:
        size = min(3_000_000, engine.supports.max_value_size or PAGE_BYTES * 3)
        large = {b"%03d" % number: bytes([number]) * size for number in (7, 8, 40, 41, 99)}
        values = {b"%03d" % number: b"small" for number in range(100)} | large
        engine.write(lambda txn: txn.put_many(DATA, values.items()))
        found = pages(engine, keys=keys, reverse=reverse)
        wanted = list(values.values())
        assert [value for page in found for value in page[1]] == wanted[:: -1 if reverse else 1]
        assert max(sum(map(len, values)) for _, values in found) < PAGE_BYTES + size

    def test_pages_go_on_while_others_write(self, engine: Engine) -> None:
        if not engine.supports.snapshots:
            return  # a scan may see the changes then
        fill(engine, MANY)
        txn = engine.begin()
        running = txn.pages(DATA)
        seen = [next(running)]
        engine.write(lambda txn: txn.delete_range(DATA))
        assert [key for key, _ in paged(seen + list(running))] == MANY
        txn.abort()

    @pytest.mark.parametrize("reverse", [False, True])
    def test_open_pages_are_a_snapshot_even_in_their_own_transaction(
        self, engine: Engine, reverse: bool
    ) -> None:
        fill(engine, MANY)
        txn = engine.begin(write=True)
        not_begun = txn.pages(DATA, reverse=reverse, values=False)
        seen: list[Page] = []
        for page in txn.pages(DATA, reverse=reverse):
            seen.append(page)
            txn.put_many(DATA, [(key + b"+", b"new") for key in page[0]])
            txn.put(DATA, page[0][0], b"changed")
            for key in page[0][1:]:
                txn.delete(DATA, key)
        order = MANY[:: -1 if reverse else 1]
        assert paged(seen) == [(key, key[::-1]) for key in order]
        assert [key for page in not_begun for key in page[0]] == order
        changed = len(seen)
        assert txn.count(DATA) == changed + len(MANY)
        txn.abort()

    def test_an_ended_transaction_gives_no_pages_and_takes_no_entries(self, engine: Engine) -> None:
        txn = engine.begin(write=True)
        txn.commit()
        with pytest.raises(TransactionError):
            next(txn.pages(DATA))
        with pytest.raises(TransactionError):
            txn.get_many(DATA, KEYS)
        with pytest.raises(TransactionError):
            txn.put_many(DATA, [(b"k", b"v")])

    def test_get_many_keeps_the_order_of_the_keys(self, engine: Engine) -> None:
        fill(engine, KEYS)
        engine.write(lambda txn: txn.put(DATA, b"empty", b""))
        txn = engine.begin()
        wanted = [b"b", b"lost", b"a", b"b", b"empty", b"lost", b"\x00"]
        found = txn.get_many(DATA, wanted)
        assert found == [b"b", None, b"a", b"b", b"", None, b"\x00"]
        assert txn.get_many(Space.INDEX, wanted) == [None] * len(wanted)
        assert txn.get_many(DATA, []) == []
        txn.abort()

    def test_get_many_sees_the_writes_of_its_transaction(self, engine: Engine) -> None:
        fill(engine, [b"a", b"b"])
        txn = engine.begin(write=True)
        txn.put(DATA, b"a", b"new")
        txn.delete(DATA, b"b")
        assert txn.get_many(DATA, [b"b", b"a"]) == [None, b"new"]
        txn.abort()

    def test_put_many_takes_any_order_and_the_last_value_stays(self, engine: Engine) -> None:
        fill(engine, [b"b", b"kept"])
        order = [(b"c", b"1"), (b"a", b"1"), (b"b", b"1"), (b"a", b"2"), (b"d", b"")]
        engine.write(lambda txn: txn.put_many(DATA, order))
        engine.write(lambda txn: txn.put_many(DATA, iter([(b"c", b"2"), (b"c", b"3")])))
        engine.write(lambda txn: txn.put_many(DATA, []))
        wanted = [(b"a", b"2"), (b"b", b"1"), (b"c", b"3"), (b"d", b""), (b"kept", b"tpek")]
        assert entries(engine) == wanted

    def test_put_many_puts_each_of_many(self, engine: Engine) -> None:
        engine.write(lambda txn: txn.put_many(DATA, reversing(b"v", MANY)))
        assert entries(engine) == [(key, b"v") for key in MANY]

    def test_put_many_is_undone_where_its_entries_raise_half_way(self, engine: Engine) -> None:
        def failing() -> Iterator[tuple[bytes, bytes]]:
            yield from reversing(b"lost", MANY)
            raise ZeroDivisionError

        fill(engine, [b"kept"])
        with pytest.raises(ZeroDivisionError):
            engine.write(lambda txn: txn.put_many(DATA, failing()))
        assert entries(engine) == [(b"kept", b"tpek")]

    def test_put_many_may_read_from_its_own_transaction(self, engine: Engine) -> None:
        def change(txn: Transaction) -> None:
            txn.put_many(DATA, ((key + b"+", value) for key, value in txn.scan(DATA)))
            txn.put_many(DATA, ((k, b"" if txn.get(DATA, k) is None else b"x") for k in MANY[:9]))

        fill(engine, MANY)
        engine.write(change)
        found = dict(entries(engine))
        assert len(found) == 2 * len(MANY)
        assert all(found[key + b"+"] == key[::-1] for key in MANY)
        assert [found[key] for key in MANY[:9]] == [b"x"] * 9

    def test_a_reading_transaction_does_not_put_many(self, engine: Engine) -> None:
        txn = engine.begin()
        with pytest.raises(ReadOnlyError):
            txn.put_many(DATA, [(b"k", b"v")])
        txn.abort()
        assert entries(engine) == []

    @pytest.mark.parametrize("start", [b"", b"\x00\x00", b"a", b"aa", b"\xff\xff", b"\xff\xff\xff"])
    @pytest.mark.parametrize("stop", [None, b"", b"a\x00", b"aa", b"\xff\xff\xff"])
    def test_delete_range_keeps_to_its_bounds(
        self, engine: Engine, start: bytes, stop: bytes | None
    ) -> None:
        fill(engine, KEYS)
        engine.write(lambda txn: txn.put(Space.INDEX, b"a", b"1"))
        engine.write(lambda txn: txn.delete_range(DATA, start, stop))
        kept = [key for key in KEYS if not (start <= key and (stop is None or key < stop))]
        assert [key for key, _ in entries(engine)] == kept
        assert entries(engine, Space.INDEX) == [(b"a", b"1")]

    def test_delete_many_removes_keys_that_are_there_or_not(self, engine: Engine) -> None:
        fill(engine, [b"a", b"b", b"c", b"d"])

        def change(txn: Transaction) -> None:
            txn.put(DATA, b"b", b"new")
            txn.put(DATA, b"e", b"new")
            txn.delete_many(DATA, [b"x", b"b", b"e", b"d", b"b"])
            txn.delete_many(DATA, iter([b"y"]))
            assert [key for key, _ in txn.scan(DATA)] == [b"a", b"c"]
            assert txn.count(DATA) == 2
            assert txn.get(DATA, b"b") is None
            txn.put(DATA, b"d", b"again")

        engine.write(change)
        assert entries(engine) == [(b"a", b"a"), (b"c", b"c"), (b"d", b"again")]
        engine.write(lambda txn: txn.delete_many(DATA, [b"a", b"a", b"missing"]))
        assert entries(engine) == [(b"c", b"c"), (b"d", b"again")]

    def test_a_savepoint_that_is_undone_gives_back_what_delete_many_removed(
        self, engine: Engine
    ) -> None:
        if lacks_savepoints(engine):
            return
        fill(engine, [b"a", b"b"])
        txn = engine.begin(write=True)
        inner = txn.begin()
        inner.delete_many(DATA, [b"a", b"missing"])
        assert list(inner.keys(DATA)) == [b"b"]
        inner.abort()
        assert list(txn.keys(DATA)) == [b"a", b"b"]
        txn.commit()
        assert [key for key, _ in entries(engine)] == [b"a", b"b"]

    def test_delete_range_removes_what_the_transaction_has_put(self, engine: Engine) -> None:
        fill(engine, [b"a", b"b", b"c"])

        def change(txn: Transaction) -> None:
            txn.put(DATA, b"bb", b"1")
            txn.delete(DATA, b"a")
            txn.delete_range(DATA, b"b", b"c")
            assert [key for key, _ in txn.scan(DATA)] == [b"c"]
            assert txn.get(DATA, b"b") is None
            txn.put(DATA, b"b", b"again")
            assert txn.count(DATA) == 2

        engine.write(change)
        assert entries(engine) == [(b"b", b"again"), (b"c", b"c")]

    def test_open_scans_go_on_after_delete_range(self, engine: Engine) -> None:
        fill(engine, KEYS)
        txn = engine.begin(write=True)
        running, backwards = txn.scan(DATA), txn.scan(DATA, reverse=True)
        seen = [next(running)[0]]
        txn.delete_range(DATA, b"a", b"b\xff")
        assert seen + [key for key, _ in running] == KEYS
        assert [key for key, _ in backwards] == KEYS[::-1]
        txn.abort()
        assert [key for key, _ in entries(engine)] == KEYS

    def test_a_savepoint_that_is_undone_gives_back_what_delete_range_removed(
        self, engine: Engine
    ) -> None:
        if lacks_savepoints(engine):
            return
        fill(engine, KEYS)
        txn = engine.begin(write=True)
        txn.put(DATA, b"new", b"1")
        inner = txn.begin()
        inner.delete_range(DATA)
        assert list(inner.scan(DATA)) == []
        inner.abort()
        assert [key for key, _ in txn.scan(DATA)] == sorted([*KEYS, b"new"])
        txn.commit()

    def test_a_read_transaction_refuses_delete_range(self, engine: Engine) -> None:
        fill(engine, KEYS)
        txn = engine.begin()
        with pytest.raises(ReadOnlyError):
            txn.delete_range(DATA)
        txn.abort()
        assert len(entries(engine)) == len(KEYS)
