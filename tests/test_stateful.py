"""Stories nobody thought of: a store against a dict, on both engines, in transactions and outside.

The model is a dict; blocks, snapshots and iterators keep copies of it, as it was at their start.
"""

from contextlib import suppress
from tempfile import TemporaryDirectory

import pytest
from attrs import define
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from stones import LmdbStore, MemoryStore, stone

MISSING = object()

# Few and close together, so that they meet again; and some at the limits.
keys = st.binary(min_size=1, max_size=2).map(lambda key: bytes(byte % 4 for byte in key)) | (
    st.sampled_from([b"\xff", b"\xff\xff", b"x" * 511, b"x" * 510 + b"y"])
)
values = st.none() | st.integers() | st.binary(max_size=8) | st.lists(st.text(max_size=3))
entries = st.dictionaries(keys, values, max_size=6)


@define
class Block:
    transaction: object
    before: dict


@define
class Walk:
    found: object
    expected: list
    depth: int


class StoreAgainstDict(RuleBasedStateMachine):
    kind = MemoryStore

    def __init__(self):
        super().__init__()
        self.folder = TemporaryDirectory()
        self.store = self.open()
        self.model = {}
        self.blocks = []
        self.snapshots = []
        self.walks = []

    def open(self):
        return stone(self.folder.name, self.kind, serialize="msgpack", value_type=list)

    def teardown(self):
        while self.blocks:
            self.leave(ZeroDivisionError())
        self.finish_walks(depth=0)
        for view, _ in self.snapshots:
            view.close()
        self.store.close()
        self.folder.cleanup()

    def committed(self):
        return self.blocks[0].before if self.blocks else self.model

    # -- writing -------------------------------------------------------------------------------

    @rule(key=keys, value=values)
    def put(self, key, value):
        self.store[key] = self.model[key] = value

    @rule(key=keys, value=values)
    def put_without_overwriting(self, key, value):
        assert self.store.put(key, value, overwrite=False) == (key not in self.model)
        self.model.setdefault(key, value)

    @rule(key=keys, value=values)
    def setdefault(self, key, value):
        assert self.store.setdefault(key, value) == self.model.setdefault(key, value)

    @rule(key=keys)
    def delete(self, key):
        assert self.store.delete(key) == (self.model.pop(key, MISSING) is not MISSING)

    @rule(key=keys)
    def delete_item(self, key):
        outcomes = []
        for mapping in (self.store, self.model):
            try:
                del mapping[key]
                outcomes.append(None)
            except KeyError as error:
                outcomes.append(error.args)
        assert outcomes[0] == outcomes[1]

    @rule(key=keys)
    def pop(self, key):
        assert self.store.pop(key, MISSING) == self.model.pop(key, MISSING)

    @rule()
    def popitem(self):
        if not self.model:
            with pytest.raises(KeyError):
                self.store.popitem()
            return
        last = max(self.model)
        assert self.store.popitem() == (last, self.model.pop(last))

    @rule(entries=entries)
    def update(self, entries):
        self.store.update(entries)
        self.model.update(entries)

    @rule(entries=entries)
    def update_from_a_generator_that_reads(self, entries):
        self.store.update((key, [self.store.get(b"\xff"), value]) for key, value in entries.items())
        before = dict(self.model)
        for key, value in entries.items():
            # In a transaction it sees what it has written so far, outside of any nothing of it.
            self.model[key] = [(self.model if self.blocks else before).get(b"\xff"), value]

    @rule(entries=entries)
    def update_that_fails(self, entries):
        with pytest.raises(ValueError, match="cannot hold"):
            self.store.update([*entries.items(), (b"k", object())])

    @rule(key=keys, value=st.integers(0, 2))
    def deep_add(self, key, value):
        before = self.model.get(key, [])
        if not isinstance(before, list):
            with pytest.raises(TypeError):
                self.store.deep_add(key, value)
            return
        self.store.deep_add(key, value)
        self.model[key] = [*before, value]

    @rule(key=keys, value=st.integers(0, 2))
    def deep_remove(self, key, value):
        before = self.model.get(key, [])
        if not isinstance(before, list):
            with pytest.raises(TypeError):
                self.store.deep_remove(key, value)
            return
        assert self.store.deep_remove(key, value) == (value in before)
        if value in before:
            after = list(before)
            after.remove(value)
            self.model[key] = after

    @rule()
    def clear(self):
        self.store.clear()
        self.model.clear()

    # -- reading -------------------------------------------------------------------------------

    @rule(key=keys)
    def get(self, key):
        assert self.store.get(key, MISSING) == self.model.get(key, MISSING)
        assert (key in self.store) == (key in self.model)

    @rule(wanted=st.lists(keys, max_size=5))
    def get_many(self, wanted):
        expected = {key: self.model[key] for key in wanted if key in self.model}
        assert list(self.store.get_many(wanted).items()) == list(expected.items())

    @rule(ge=keys, lt=keys, reverse=st.booleans(), limit=st.none() | st.integers(0, 3))
    def range(self, ge, lt, reverse, limit):
        expected = [(key, self.model[key]) for key in sorted(self.model) if ge <= key < lt]
        found = self.store.range(ge=ge, lt=lt, reverse=reverse, limit=limit)
        assert list(found.items()) == (expected[::-1] if reverse else expected)[:limit]

    @rule()
    def compare(self):
        assert self.store == self.model
        assert self.store.items() == self.model.items() or any(
            isinstance(value, list) for value in self.model.values()
        )
        assert self.store.copy() == self.store

    # -- what goes on while others write -------------------------------------------------------

    @rule()
    def take_a_snapshot(self):
        self.snapshots.append((self.store.snapshot(), dict(self.committed())))

    @precondition(lambda self: self.snapshots)
    @rule(data=st.data())
    def close_a_snapshot(self, data):
        place = data.draw(st.integers(0, len(self.snapshots) - 1))
        self.snapshots.pop(place)[0].close()

    @rule(reverse=st.booleans())
    def start_to_iterate(self, reverse):
        found = iter(self.store.range(reverse=reverse).items())
        expected = sorted(self.model.items(), reverse=reverse)
        assert next(found, None) == (expected[0] if expected else None)
        self.walks.append(Walk(found, expected[1:], len(self.blocks)))

    @precondition(lambda self: self.walks)
    @rule(data=st.data(), steps=st.integers(1, 5))
    def go_on_iterating(self, data, steps):
        walk = data.draw(st.sampled_from(self.walks))
        for _ in range(steps):
            assert next(walk.found, None) == (walk.expected.pop(0) if walk.expected else None)

    # -- transactions ----------------------------------------------------------------------------

    @precondition(lambda self: len(self.blocks) < 4)
    @rule()
    def begin(self):
        transaction = self.store.transaction()
        transaction.__enter__()
        self.blocks.append(Block(transaction, dict(self.model)))

    @precondition(lambda self: self.blocks)
    @rule()
    def commit(self):
        self.leave(None)

    @precondition(lambda self: self.blocks)
    @rule()
    def roll_back(self):
        self.leave(ZeroDivisionError())

    def leave(self, error):
        self.finish_walks(depth=len(self.blocks))
        block = self.blocks.pop()
        with suppress(ZeroDivisionError):
            block.transaction.__exit__(error and type(error), error, None)
        if error is not None:
            self.model = block.before

    def finish_walks(self, depth):
        """Those that were begun in the innermost block cannot go on after it."""
        for walk in self.walks:
            if walk.depth >= depth:
                assert list(walk.found) == walk.expected
        self.walks = [walk for walk in self.walks if walk.depth < depth]

    @precondition(lambda self: not self.blocks and self.kind is LmdbStore)
    @rule()
    def close_and_reopen(self):
        self.finish_walks(depth=0)
        self.store.close()
        self.store = self.open()
        self.snapshots = []

    # -- always ------------------------------------------------------------------------------------

    @invariant()
    def the_store_is_the_model(self):
        expected = sorted(self.model.items())
        assert list(self.store.items()) == expected
        assert len(self.store) == len(expected)
        assert list(reversed(self.store)) == [key for key, _ in reversed(expected)]

    @invariant()
    def snapshots_are_as_they_were(self):
        for view, expected in self.snapshots:
            assert list(view.items()) == sorted(expected.items())
            assert len(view) == len(expected)


class LmdbStoreAgainstDict(StoreAgainstDict):
    kind = LmdbStore


@pytest.mark.parametrize("machine", [StoreAgainstDict, LmdbStoreAgainstDict])
def test_a_store_does_what_a_dict_does_whatever_the_story(machine):
    run_state_machine_as_test(machine, settings=settings(max_examples=120, stateful_step_count=40))
