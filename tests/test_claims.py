"""The claims of collections on their keys: respected by all, and looked up at a constant cost."""

import multiprocessing
from collections import Counter
from contextlib import suppress

import pytest
from attrs import define
from hypothesis import given
from hypothesis import strategies as st

from stones import (
    Collection,
    CollectionError,
    LmdbStore,
    MemoryStore,
    ReservedKeyError,
    Store,
    key,
    stone,
)
from stones.engine import Engine, Transaction
from stones.engines.memory import MemoryEngine
from stones.stores.lmdb import LmdbEngine


@define
class Note:
    text: str = key()


@define
class Other:
    text: str = key()
    more: int = 0


def claim(store, name, cls=Note):
    """A collection that is empty, and known to the store: it has had a record."""
    collection = Collection(store, cls, name=name)
    with store.transaction():
        collection.add(cls("first"))
        del collection["first"]
    return collection


WRITES = [
    lambda store, key: store.__setitem__(key, 1),
    lambda store, key: store.put(key, 1, overwrite=False),
    lambda store, key: store.delete(key),
    lambda store, key: store.setdefault(key, 1),
    lambda store, key: store.update({"fine": 1, key: 2}),
    lambda store, key: store.deep_add(key, 1),
    lambda store, key: store.deep_remove(key, 1),
]


# -- who has to respect them -----------------------------------------------------------------------


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("name", ["Note", "\U00010400" * 64])
def test_no_way_of_writing_goes_into_any_of_the_collections(store, name, write):
    for number in range(3):
        claim(store, f"Other{number}")
    claim(store, name)
    with pytest.raises(ReservedKeyError, match=f"collection '{name}'"):
        write(store, f"{name}/key")
    assert len(store) == 0


def test_the_keys_beside_a_collection_are_free(store):
    claim(store, "Note")
    beside = [
        "Note",
        "Notes/1",
        "note/1",
        "Not/e",
        "/Note/",
        b"\xff/1",
        b"/" * 511,
        b"N" * 510 + b"/",
    ]
    for free in beside:
        store[free] = 1
    assert len(store) == len(beside)


def test_a_store_that_was_opened_before_respects_the_first_claim_and_those_after_it(tmp_path):
    with stone(tmp_path / "db", LmdbStore) as first, stone(tmp_path / "db", LmdbStore) as second:
        for number in range(3):
            second[f"Note{number}/x"] = 1
            del second[f"Note{number}/x"]
            claim(first, f"Note{number}")
            with pytest.raises(ReservedKeyError):
                second[f"Note{number}/x"] = 1


def claim_and_write_past(path, number):
    """Claim the same names as others do, who also write there past the collections."""
    with stone(path, LmdbStore) as store:
        for step in range(12):
            with suppress(CollectionError):
                Collection(store, Note, name=f"shared{step}").add(Note(f"{number}"))
            Collection(store, Note, name=f"own{step}-{number}").add(Note("one"))
            with suppress(ReservedKeyError):
                store[f"shared{11 - step}/{number}"] = "past it"


def test_processes_that_claim_at_the_same_time_agree(tmp_path):
    path = str(tmp_path / "db")
    spawn = multiprocessing.get_context("spawn")
    children = [
        spawn.Process(target=claim_and_write_past, args=[path, number]) for number in range(2)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0]
    with stone(path, LmdbStore) as store:
        counts = store.stats()["collections"]
        assert len(counts) >= 24
        for name in {*counts, *(f"shared{step}" for step in range(12))}:
            values = list(store.range(prefix=f"{name}/").values())
            assert [type(value) for value in values] == [dict if name in counts else str] * len(
                values
            )
            assert counts.get(name, len(values)) == len(values) > 0


# -- claims come and go with their transaction -----------------------------------------------------


def test_a_later_claim_that_is_undone_leaves_its_keys_free(store):
    claim(store, "First")
    with pytest.raises(ZeroDivisionError), store.transaction():
        undone = Collection(store, Note, name="Undone")
        undone.add(Note("lost"))
        with pytest.raises(ReservedKeyError):
            store["Undone/x"] = 1
        raise ZeroDivisionError
    store["Undone/x"] = 1
    with pytest.raises(CollectionError, match="are no records"):
        undone.add(Note("in the way"))
    del store["Undone/x"]
    undone.add(Note("claimed anew"))
    with pytest.raises(ReservedKeyError):
        store["Undone/x"] = 1
    assert store.stats()["collections"] == {"First": 0, "Undone": 1}


def test_a_collection_that_an_update_makes_on_its_way_is_respected_by_it(store):
    def entries():
        yield "First/x", 1
        claim(store, "Second")
        yield "Second/x", 1

    with store.transaction(), pytest.raises(ReservedKeyError):
        store.update(entries())
    assert len(store) == 0


@pytest.mark.needs("snapshots")
def test_a_snapshot_has_the_collections_of_its_instant(store):
    Collection(store, Note, name="Before").add(Note("one"))
    with store.snapshot() as view:
        Collection(store, Note, name="After").add(Note("two"))
        assert list(Collection(view, Note, name="Before")) == ["one"]
        assert list(Collection(view, Note, name="After")) == []


def test_a_class_that_does_not_fit_is_refused_and_changes_nothing(store):
    Collection(store, Other, name="Note").add(Other("one", 1))
    before = dict(store)
    with pytest.raises(CollectionError, match=r"which the class Other has written.*field 'more'"):
        Collection(store, Note, name="Note")
    assert dict(store) == before


claims_and_undone = st.recursive(
    st.sampled_from("abc"),
    lambda inner: st.tuples(st.booleans(), st.lists(inner, max_size=4)),
    max_leaves=8,
)


class UndoneError(Exception):
    pass


@given(st.lists(claims_and_undone, max_size=4))
def test_whatever_is_claimed_and_undone_a_key_is_free_exactly_where_nobody_claims_it(story):
    store = MemoryStore()

    def tell(steps, claimed):
        """Claim names; a pair is a transaction, and whether it is to last. What is claimed then."""
        for step in steps:
            if isinstance(step, str):
                claim(store, step)
                claimed = claimed | {step}
            else:
                lasts, inside = step
                with suppress(UndoneError), store.transaction():
                    after = tell(inside, claimed)
                    if not lasts:
                        raise UndoneError
                    claimed = after
            for name in "abc":
                if name in claimed:
                    with pytest.raises(ReservedKeyError):
                        store[f"{name}/x"] = 1
                else:
                    store[f"{name}/x"] = 1
                    del store[f"{name}/x"]
        return claimed

    assert tell(story, set()) == set(store.stats()["collections"])


# -- what they cost --------------------------------------------------------------------------------


class CountingTransaction(Transaction):
    """Counts what is asked of another transaction, entries of scans included."""

    def __init__(self, txn, done):
        self.txn = txn
        self.done = done

    def get(self, *args):
        self.done["get"] += 1
        return self.txn.get(*args)

    def put(self, *args):
        self.done["put"] += 1
        self.txn.put(*args)

    def delete(self, *args):
        self.done["delete"] += 1
        return self.txn.delete(*args)

    def scan(self, *args, **options):
        self.done["scan"] += 1
        for entry in self.txn.scan(*args, **options):
            self.done["entry"] += 1
            yield entry

    def count(self, space):
        return self.txn.count(space)

    def begin(self):
        return CountingTransaction(self.txn.begin(), self.done)

    def commit(self):
        self.txn.commit()

    def abort(self):
        self.txn.abort()


class CountingEngine(Engine):
    """Counts what is asked of another engine, which it never closes."""

    def __init__(self, engine):
        self.engine = engine
        self.supports = engine.supports
        self.done = Counter()

    def begin(self, *, write=False, timeout=None):
        return CountingTransaction(self.engine.begin(write=write, timeout=timeout), self.done)

    def close(self):
        pass


class CountingStore(Store):
    def __init__(self, engine):
        super().__init__(CountingEngine(engine), name="counted")

    def destroy(self, *, yes_im_sure=False):
        pass


@pytest.fixture(params=["memory", "lmdb"])
def new_engine(request, tmp_path):
    """Makes engines, empty ones."""
    opened = []

    def new_engine():
        if request.param == "memory":
            return MemoryEngine()
        opened.append(LmdbEngine.open(str(tmp_path / f"db{len(opened)}")))
        return opened[-1]

    yield new_engine
    for engine in opened:
        engine.close()


def with_collections(engine, count):
    """A store with so many collections, opened anew."""
    store = CountingStore(engine)
    with store.transaction():
        for number in range(count):
            claim(store, f"n{number}")
    Collection(store, Note, name="n1").add(Note("there"))
    store["key"] = store["free/key"] = 1
    return CountingStore(engine)


def in_transaction(act):
    def acted(store):
        with store.transaction():
            act(store)

    return acted


def claim_in_vain(store):
    with suppress(ZeroDivisionError), store.transaction():
        Collection(store, Note, name="undone").add(Note("lost"))
        raise ZeroDivisionError


def write_in_vain(store):
    with suppress(ReservedKeyError):
        store["n1/x"] = 1


ACTS = {
    "open": lambda store: CountingStore(store.database.engine.engine),
    "open one more": lambda store: Collection(store, Note, name="unwritten"),
    "claim one more": lambda store: Collection(store, Note, name="new").add(Note("first")),
    "claim and undo": claim_in_vain,
    "claim two in a transaction": in_transaction(
        lambda store: [
            Collection(store, Note, name=name).add(Note("next")) for name in ("new", "newer")
        ]
    ),
    "open a collection": lambda store: Collection(store, Note, name="n1"),
    "open one whose class has changed": lambda store: Collection(
        store,
        define(type("Note", (), {"__annotations__": {"text": str}, "text": key(), "n": 0})),
        name="n1",
    ),
    "read": lambda store: (store["key"], store["n1/there"]),
    "write": lambda store: store.update({"key": 1, "free/key": 2}),
    "write one": in_transaction(lambda store: store.put("free/new", 1)),
    "delete": lambda store: store.delete("free/key"),
    "write where one must not": write_in_vain,
    "add a record": lambda store: Collection(store, Note, name="n1").add(Note("new")),
    "go through all": lambda store: list(store.items()),
    "take a snapshot": lambda store: store.snapshot().close(),
}


def test_no_cost_grows_with_the_number_of_collections(new_engine):
    few, many = (with_collections(new_engine(), count) for count in (3, 5000))
    costs = {}
    for store in (few, many):
        for name, act in ACTS.items():
            store.database.engine.done.clear()
            opened = act(store)
            done = store.database.engine.done
            if isinstance(opened, CountingStore):
                done = opened.database.engine.done
            costs.setdefault(name, []).append(dict(done))
    assert {name: of[0] for name, of in costs.items()} == {
        name: of[1] for name, of in costs.items()
    }
    assert costs["claim one more"][1]["put"] == 3  # the claim, the record and the count
    assert "put" not in costs["open one more"][1]
    assert "put" not in costs["open one whose class has changed"][1]


def test_without_collections_no_claim_is_looked_up(new_engine):
    store = CountingStore(new_engine())
    with store.transaction():
        store["User/1"] = 1
        store.database.engine.done.clear()
        store["User/2"] = 2
        store.delete("User/1")
    assert store.database.engine.done == {"put": 1, "delete": 1}


def test_with_collections_a_claim_is_looked_up_by_one_read_and_only_for_keys_with_a_slash(
    new_engine,
):
    store = with_collections(new_engine(), 3)
    with store.transaction():
        store["first"] = 1
        store.database.engine.done.clear()
        store["plain"] = 2
        assert store.database.engine.done == {"put": 1}
        store["free/2"] = 2
        assert store.database.engine.done == {"put": 2, "get": 1}


def test_one_more_collection_does_not_make_others_read_the_metadata_again(new_engine):
    engine = new_engine()
    store = with_collections(engine, 3)
    store["key"] = 1
    claim(CountingStore(engine), "new")
    codec = store.database.codec
    with pytest.raises(ReservedKeyError):
        store["new/x"] = 1
    assert store.database.codec is codec
