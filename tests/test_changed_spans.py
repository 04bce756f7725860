"""Where two states of an LMDB file differ: no change lies outside of the spans that are told."""

import random

import pytest

from stones import LmdbStore
from stones.engine import Space

DATA = Space.DATA


@pytest.fixture
def store(tmp_path):
    with LmdbStore(tmp_path / "db", serialize="noop", durability="none") as store:
        store.update((f"key {n:06}", b"x" * 100) for n in range(0, 40_000, 2))
        yield store


def brought_over(store, old, new):
    """The entries of the old state, with those of the new one in the spans that are told."""
    entries = dict(old.scan(DATA))
    for low, high in store.database.engine.changed_spans(old, new, DATA):
        for key in list(old.keys(DATA, low, high)):
            del entries[key]
        entries.update(new.scan(DATA, low, high))
    return entries


def change(store, draw):
    """A few changes anywhere, or many that split and join pages."""
    names = [f"key {draw.randrange(45_000):06}" for _ in range(draw.choice([1, 5, 300]))]
    start = draw.randrange(40_000)
    with store.transaction():
        for name in names:
            if draw.random() < 0.4:
                store.delete(name)
            else:
                store[name] = bytes(draw.choice([3, 100, 5000]))
        if draw.random() < 0.3:
            for n in range(start, start + 2000):
                if draw.random() < 0.5:
                    store[f"key {n:06}"] = b"new"
                else:
                    store.delete(f"key {n:06}")


@pytest.mark.parametrize("seed", range(6))
def test_all_changes_lie_in_the_spans(store, seed):
    draw = random.Random(seed)
    engine = store.database.engine
    for _ in range(8):
        old = engine.begin()
        for _ in range(draw.choice([1, 1, 4])):
            change(store, draw)
        new = engine.begin()
        assert brought_over(store, old, new) == dict(new.scan(DATA))
        old.abort()
        new.abort()


def test_a_small_change_has_a_small_span(store):
    engine = store.database.engine
    old = engine.begin()
    store["key 020000"] = b"changed"
    with store.database.writing() as new:
        (span,) = engine.changed_spans(old, new, DATA)
        assert span[0] <= b"key 020000" < span[1]
        assert sum(1 for _ in new.keys(DATA, *span)) < 100
        assert list(engine.changed_spans(old, new, Space.INDEX)) == []
    old.abort()


def test_two_equal_states_have_no_span(store):
    engine = store.database.engine
    old, new = engine.begin(), engine.begin()
    assert list(engine.changed_spans(old, new, DATA)) == []
    old.abort()
    new.abort()


def test_a_space_that_was_emptied_or_filled_is_one_span(store):
    engine = store.database.engine
    old = engine.begin()
    store.clear()
    new = engine.begin()
    assert list(engine.changed_spans(old, new, DATA)) == [(b"", None)]
    assert list(engine.changed_spans(new, old, DATA)) == [(b"", None)]
    old.abort()
    new.abort()
