"""What every engine must do with keys and values, inside one transaction and after it."""

from typing import Any

import pytest

from stones.engine import Engine, Space, Transaction
from stones.errors import StorageError

DATA = Space.DATA

KEYS = [b"\x00", b"\x00\x00", b"a", b"a\x00", b"ab", b"b", b"b\xff", b"\xff", b"\xff\xff"]
"""Keys in order, chosen so that a wrong order shows."""


def fill(engine: Engine, keys: list[bytes]) -> None:
    """Put each key. Its value is the key in reverse."""

    def change(txn: Transaction) -> None:
        for key in keys:
            txn.put(DATA, key, key[::-1])

    engine.write(change)


def entries(engine: Engine, space: Space = DATA, **bounds: Any) -> list[tuple[bytes, bytes]]:
    """The entries that a new read transaction sees, in the bounds that `scan` takes."""
    txn = engine.begin()
    try:
        return list(txn.scan(space, **bounds))
    finally:
        txn.abort()


class KeyAndValueTests:
    """Part of `EngineTests`."""

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

    def test_large_values_come_back_and_too_large_ones_are_refused(self, engine: Engine) -> None:
        limit = engine.supports.max_value_size
        large = (bytes(range(256)) * 40_000)[:limit]
        engine.write(lambda txn: txn.put(DATA, b"k", large))
        if limit == len(large):
            with pytest.raises(StorageError):
                engine.write(lambda txn: txn.put(DATA, b"k", large + b"x"))
        assert engine.get(DATA, b"k") == large

    def test_the_longest_keys_are_kept_apart(self, engine: Engine) -> None:
        stem = b"x" * (engine.supports.max_key_size - 1)
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
        engine.write(lambda txn: txn.put(Space.INDEX, b"kept", b"1"))
        txn = engine.begin(write=True)
        assert txn.count(DATA) == len(KEYS)
        txn.delete_range(DATA)
        assert txn.count(DATA) == 0
        txn.commit()
        assert entries(engine) == []
        assert entries(engine, Space.INDEX) == [(b"kept", b"1")]
