"""Ranges of collections with tuples as keys: against a filter over a sorted list of the keys."""

import uuid
from datetime import UTC, datetime
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from attrs import define
from hypothesis import given
from hypothesis import strategies as st

from stones import Collection, InvalidKeyError, KeyTypeError, LmdbStore, MemoryStore, key, stone

TEXTS = st.sampled_from(["", "a", "a\0", "a\1", "ab", "b", "é"])
INTS = st.sampled_from([-(2**1000), -256, -1, 0, 1, 255, 256, 2**1000])
IDS = st.sampled_from([uuid.UUID(int=0), uuid.UUID(int=1), uuid.UUID(int=2**128 - 1)])
MOMENTS = st.sampled_from([datetime(2024, 1, day, tzinfo=UTC) for day in (1, 2, 3)])
PARTS: list[list[tuple[Any, Any]]] = [
    [(str, TEXTS), (int, INTS)],
    [(int, INTS), (str, TEXTS), (int, INTS)],
    [(uuid.UUID, IDS), (bytes, st.sampled_from([b"", b"\0", b"\1", b"\xff"]))],
    [(datetime, MOMENTS), (uuid.UUID, IDS)],
    [(tuple[str, int], st.tuples(TEXTS, INTS)), (str, TEXTS)],
]


def record_class(types):
    """A class with one field of the key for each type."""
    annotations = {f"part{number}": kind for number, kind in enumerate(types)}
    fields = {name: key() for name in annotations}
    return define(type("Entry", (), {"__annotations__": annotations, **fields}))


def in_range(keys, bounds, prefix, reverse, limit):
    """The slow twin: Python's own order of tuples, also for those of different lengths."""
    within = {
        "ge": lambda key, bound: key >= bound,
        "gt": lambda key, bound: key > bound,
        "le": lambda key, bound: key <= bound,
        "lt": lambda key, bound: key < bound,
    }
    found = [
        key
        for key in sorted(keys, reverse=reverse)
        if all(bound is None or within[side](key, bound) for side, bound in bounds.items())
        and (prefix is None or key[: len(prefix)] == prefix)
    ]
    return found[:limit]


@pytest.mark.parametrize("parts", PARTS, ids=lambda parts: str([kind for kind, _ in parts]))
@pytest.mark.parametrize("kind", [MemoryStore, LmdbStore])
def test_a_range_of_tuples_is_what_a_filter_over_a_sorted_list_finds(kind, parts):
    kinds, values = zip(*parts, strict=True)
    whole = st.tuples(*values)
    first = st.none() | whole | st.builds(lambda key, n: key[:n], whole, st.integers(0, len(parts)))
    Entry = record_class(kinds)  # noqa: N806  # a class

    @given(
        keys=st.lists(whole, max_size=12, unique=True),
        bounds=st.fixed_dictionaries({}, optional={"ge": first, "lt": first})
        | st.fixed_dictionaries({}, optional={"gt": first, "le": first}),
        prefix=first,
        reverse=st.booleans(),
        limit=st.none() | st.integers(0, 4),
    )
    def check(keys, bounds, prefix, reverse, limit):
        entries.clear()
        entries.add_many(Entry(*key) for key in keys)
        twin = in_range(keys, bounds, prefix, reverse, limit)
        with store.snapshot() as view:
            for of in (entries, Collection(view, Entry)):
                found = of.range(**bounds, prefix=prefix, reverse=reverse, limit=limit)
                keys_of_range = found.keys()
                assert list(found) == list(found.keys()) == twin
                assert list(reversed(found)) == list(reversed(found.keys())) == twin[::-1]
                assert list(found.values()) == [Entry(*key) for key in twin]
                assert list(found.items()) == [(key, Entry(*key)) for key in twin]
                assert list(reversed(found.items())) == list(found.items())[::-1]
                assert (len(found), bool(found)) == (len(twin), bool(twin))
                assert [key in found for key in keys] == [key in twin for key in keys]
                assert [key in keys_of_range for key in keys] == [key in twin for key in keys]
                assert [found.get(key) is None for key in keys] == [key not in twin for key in keys]

    with TemporaryDirectory() as folder, stone(folder, kind) as store:
        entries = Collection(store, Entry)
        check()


@define
class Step:
    run: str = key()
    number: int = key()


@pytest.fixture
def steps(store):
    steps = Collection(store, Step)
    steps.add_many(Step(run, number) for run in ("run-7", "run-70", "run-8") for number in range(5))
    return steps


def test_the_first_parts_of_a_tuple_are_a_prefix(steps):
    assert list(steps.range(prefix=("run-7",))) == [("run-7", number) for number in range(5)]
    assert list(steps.range(prefix=("run-7", 3))) == [("run-7", 3)]
    assert list(steps.range(prefix=("run",))) == []
    assert len(steps.range(prefix=())) == 15


@pytest.mark.parametrize("reverse", [False, True])
def test_the_pages_of_a_prefix_are_read_one_after_the_other(steps, reverse):
    side, pages, last = "lt" if reverse else "gt", [], None
    while page := list(steps.range(prefix=("run-7",), reverse=reverse, limit=2, **{side: last})):
        last = page[-1]
        pages.append(page)
    expected = sorted((("run-7", number) for number in range(5)), reverse=reverse)
    assert pages == [expected[:2], expected[2:4], expected[4:]]


def test_the_first_parts_of_a_tuple_are_a_bound_below_all_keys_that_begin_with_them(steps):
    assert list(steps.range(ge=("run-70",), lt=("run-8",))) == [("run-70", n) for n in range(5)]
    assert list(steps.range(gt=("run-8",))) == [("run-8", number) for number in range(5)]
    assert list(steps.range(le=("run-7",))) == []


@pytest.mark.parametrize("wrong", [("run-7", 1, 2), (7,), ["run-7"], "run-7", ("run-7", "1")])
@pytest.mark.parametrize("name", ["prefix", "ge", "gt", "le", "lt"])
def test_parts_that_are_not_of_the_key_are_refused(steps, name, wrong):
    with pytest.raises(KeyTypeError, match=r"tuple\[str, int\]"):
        steps.range(**{name: wrong})


def test_a_tuple_inside_of_a_key_is_given_whole(store):
    Entry = record_class([tuple[str, int], str])  # noqa: N806  # a class
    entries = Collection(store, Entry)
    entries.add(Entry(("a", 1), "x"))
    assert list(entries.range(prefix=(("a", 1),))) == [(("a", 1), "x")]
    with pytest.raises(KeyTypeError, match=r"of type tuple\[str, int\], got tuple \('a',\)"):
        entries.range(prefix=(("a",),))


def test_keys_that_are_no_tuples_have_no_parts(store):
    @define
    class Numbered:
        id: int = key()

    numbered = Collection(store, Numbered)
    with pytest.raises(InvalidKeyError, match="prefix is for keys that are str, bytes or a tuple"):
        numbered.range(prefix=1)
    with pytest.raises(KeyTypeError, match="of type int"):
        numbered.range(ge=(1,))


def test_a_range_inside_a_prefix_starts_without_reading_what_is_before_it(store):
    steps = Collection(store, Step)
    steps.add_many(Step("run", number) for number in range(2000))
    read = []
    steps.range(prefix=("run",), gt=("run", 1998))  # nothing is read yet
    loaded = steps._records.loaded
    steps._records.loaded = lambda entries: loaded(read.append(each) or each for each in entries)
    assert [step.number for step in steps.range(prefix=("run",), gt=("run", 1998)).values()] == [
        1999
    ]
    assert len(read) == 1
