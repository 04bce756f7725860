"""The dict face of a store: all that dict has, and where a store differs from one.

Where it differs is written down in docs/reference/dict.md. CPython's own cases for mappings are in
test_mapping_protocol.py.
"""

import json
import operator
from collections import OrderedDict
from collections.abc import MutableMapping

import pytest

from stones import (
    InvalidKeyError,
    KeyTooLongError,
    KeyTypeError,
    MemoryStore,
    SerializerError,
    Store,
)

from .without_snapshots import refuses_snapshots

# -- a dict in all that it has ---------------------------------------------------------------------


def test_every_name_of_dict_is_there(store):
    assert isinstance(store, MutableMapping)
    assert set(dir(dict)) - set(dir(store)) == set()
    for view in ("keys", "values", "items"):
        assert set(dir(getattr({}, view)())) - set(dir(getattr(store, view)())) == set()


def test_a_store_works_where_python_takes_a_mapping(open_store):
    store = open_store(key_type=str)
    store.update(x=1, y=2)
    assert {**store} == dict(store) == {"x": 1, "y": 2}
    assert "{x}-{y}".format(**store) == "{x}-{y}".format_map(store) == "1-2"
    match store:
        case {"x": x, **rest}:
            assert (x, rest) == (1, {"y": 2})


def test_a_store_is_not_a_dict_itself(store):
    store["k"] = 1
    assert not isinstance(store, dict)
    with pytest.raises(TypeError):
        json.dumps(store)


def test_keys_come_in_the_order_of_their_bytes(store):
    for key in (b"b", b"\xff", b"a", b"\x00", b"ab", b"B"):
        store[key] = key
    assert list(store) == [b"\x00", b"B", b"a", b"ab", b"b", b"\xff"]
    assert list(reversed(store)) == [b"\xff", b"b", b"ab", b"a", b"B", b"\x00"]
    store[b"\x00"] = b"set again"
    assert next(iter(store)) == b"\x00"


def test_popitem_takes_the_last_in_key_order(store):
    store.update(c=3, a=1, b=2)
    assert [store.popitem(), store.popitem(), store.popitem()] == [(b"c", 3), (b"b", 2), (b"a", 1)]
    with pytest.raises(KeyError, match="empty"):
        store.popitem()


@pytest.mark.parametrize("value", [None, b"", "", 0, 0.0, False, [], (), {}, set()], ids=repr)
def test_what_is_false_is_a_value(store, value):
    store[b"k"] = value
    assert b"k" in store
    assert store[b"k"] == value
    assert type(store.get(b"k", "default")) is type(value)
    assert store.setdefault(b"k", "default") == value
    assert store.put(b"k", "other", overwrite=False) is False
    assert list(store.items()) == [(b"k", value)]
    assert store.get_many([b"k"]) == {b"k": value}
    assert store.pop(b"k", "default") == value
    store[b"k"] = value
    assert store.popitem() == (b"k", value)


@pytest.mark.parametrize("key", [b"bytes", "str", b"x" * 600], ids=["bytes", "str", "long"])
@pytest.mark.parametrize("act", [operator.getitem, operator.delitem, lambda s, key: s.pop(key)])
def test_a_missing_key_is_a_key_error_with_the_key_as_given(store, key, act):
    with pytest.raises(KeyError) as caught:
        act(store, key)
    assert type(caught.value) is KeyError
    assert caught.value.args == (key,)


def test_a_missing_key_in_a_range_is_a_key_error_with_the_key_as_given(store):
    store[b"b"] = 1
    for range in (store.range(lt="b"), store.range(limit=0)):
        with pytest.raises(KeyError) as caught:
            range["b"]
        assert caught.value.args == ("b",)


def test_get_and_pop_take_any_default(store):
    assert store.get(b"k") is None
    assert store.get(b"k", store) is store
    assert store.pop(b"k", None) is None
    assert store.pop(b"k", store) is store


def test_a_store_has_no_hash(store):
    with pytest.raises(TypeError, match="unhashable"):
        hash(store)


def test_bool_and_len(store):
    assert (bool(store), len(store)) == (False, 0)
    store[b"k"] = None
    assert (bool(store), len(store)) == (True, 1)
    store.clear()
    assert (bool(store), len(store)) == (False, 0)


# -- equality --------------------------------------------------------------------------------------


def test_a_store_equals_any_mapping_with_the_same_entries(store):
    store.update(a=1, b=[2])
    entries = {b"b": [2], b"a": 1}
    assert store == entries
    assert entries == store
    assert store == OrderedDict(entries)
    assert store == store.copy()
    assert store == store.range()


@pytest.mark.needs("snapshots")
def test_a_store_equals_its_snapshot(store):
    store.update(a=1, b=[2])
    assert store == store.snapshot()


@pytest.mark.parametrize(
    "other", [{}, {b"a": 1}, {b"a": 1, b"b": 3}, {b"a": 1, b"c": 2}, {b"a": 1, b"b": 2, b"c": 3}]
)
def test_a_store_differs_from_a_mapping_with_other_entries(store, other):
    store.update(a=1, b=2)
    assert store != other
    assert other != store
    assert store != MemoryStore(iterable=other)
    assert store != OrderedDict(other)


def test_a_store_differs_from_what_is_no_mapping(store):
    assert store != []
    assert store != None  # noqa: E711


def test_equality_is_that_of_the_keys_that_come_back(open_store):
    of_bytes, of_str = open_store(), open_store(key_type=str)
    of_bytes[b"k"] = of_str[b"k"] = 1
    assert of_bytes == {b"k": 1}
    assert of_str == {"k": 1}
    assert of_bytes != {"k": 1}
    assert of_bytes != of_str


def test_a_store_equals_itself_whatever_its_values(store):
    store[b"nan"] = float("nan")
    assert store == store
    assert store != {b"nan": float("nan")}


# -- operators -------------------------------------------------------------------------------------


def test_union_is_a_new_store_in_memory_where_the_right_one_wins(store):
    store.update(a=1, b=2)
    twin = store | {b"b": 3, "c": 4}
    assert type(twin) is MemoryStore
    assert twin == {b"a": 1, b"b": 3, b"c": 4}
    assert {"b": 3, "c": 4} | store == {b"a": 1, b"b": 2, b"c": 4}
    assert store | MemoryStore(kwargs={"a": 5}) == {b"a": 5, b"b": 2}
    assert store == {b"a": 1, b"b": 2}


def test_update_in_place_takes_pairs_too(store):
    same = store
    store |= {"a": 1}
    store |= [("b", 2)]
    assert store is same
    assert store == {b"a": 1, b"b": 2}


@pytest.mark.parametrize("other", [[("a", 1)], None, 1])
def test_union_with_what_is_no_mapping_is_a_type_error(store, other):
    with pytest.raises(TypeError, match="unsupported operand"):
        store | other
    with pytest.raises(TypeError, match="unsupported operand"):
        other | store


# -- update ----------------------------------------------------------------------------------------


class HasKeys:
    def keys(self):
        return iter([b"a", "b"])

    def __getitem__(self, key):
        return len(key)


@pytest.mark.parametrize(
    "make",
    [
        lambda: {"a": 1, b"b": 1},
        lambda: OrderedDict(a=1, b=1),
        lambda: MemoryStore(kwargs={"a": 1, "b": 1}),
        lambda: [("a", 1), [b"b", 1]],
        lambda: (pair for pair in [("a", 1), ("b", 1)]),
        {"a": 1, "b": 1}.items,
        lambda: zip("ab", [1, 1], strict=True),
        HasKeys,
    ],
    ids=lambda make: type(make()).__name__,
)
def test_update_takes_what_dict_takes(store, make):
    store.update(make())
    assert store == {b"a": 1, b"b": 1}


def test_update_takes_keywords_which_win(store):
    store.update({"a": 1, "self": 1}, a=2, self=3, other=4)
    store.update()
    assert store == {b"a": 2, b"other": 4, b"self": 3}


def failing():
    yield "new", 1
    raise ZeroDivisionError


REFUSED = [
    (42, TypeError),
    (None, TypeError),
    ([1], TypeError),
    ([("new", 1), ("a",)], ValueError),
    ([("new", 1), ("a", 1, 2)], ValueError),
    ([("new", 1), (2, 1)], KeyTypeError),
    ({"new": 1, None: 1}, KeyTypeError),
    ({"new": 1, "": 1}, InvalidKeyError),
    ({"new": 1, b"x" * 512: 1}, KeyTooLongError),
    ({"new": 1, "\ud800": 1}, InvalidKeyError),
    ({"new": 1, "x": lambda: 0}, SerializerError),
    (failing, ZeroDivisionError),
]


@pytest.mark.parametrize(("other", "error"), REFUSED)
@pytest.mark.parametrize("act", ["update", "|=", "in a transaction"])
def test_an_update_that_fails_changes_nothing(store, other, error, act):
    store[b"kept"] = 1
    if other is failing:
        other = failing()
    with pytest.raises(error):
        if act == "|=":
            store |= other
        elif act == "update":
            store.update(other, b=1)
        else:
            with store.transaction():
                store.update(other, b=1)
    assert store == {b"kept": 1}
    store[b"k"] = 2
    assert len(store) == 2


def test_an_update_that_fails_says_where(store):
    with pytest.raises(SerializerError, match=r"'bad'.*function, at \$\[1\]"):
        store.update(good=[1], bad=[1, lambda: 0])


# -- keys ------------------------------------------------------------------------------------------


KEYED = {
    "[]": lambda s, key: s[key],
    "[]=": lambda s, key: s.__setitem__(key, 1),
    "del": lambda s, key: s.__delitem__(key),
    "in": lambda s, key: key in s,
    "get": lambda s, key: s.get(key),
    "get_many": lambda s, key: s.get_many([key]),
    "pop": lambda s, key: s.pop(key, None),
    "setdefault": lambda s, key: s.setdefault(key, 1),
    "put": lambda s, key: s.put(key, 1),
    "delete": lambda s, key: s.delete(key),
    "deep_add": lambda s, key: s.deep_add(key, 1),
    "deep_remove": lambda s, key: s.deep_remove(key, 1),
    "update": lambda s, key: s.update([(key, 1)]),
    "keys": lambda s, key: key in s.keys(),  # noqa: SIM118
    "items": lambda s, key: (key, 1) in s.items(),
    "range": lambda s, key: key in s.range(),
    "snapshot": lambda s, key: s.snapshot()[key],
}
BOUNDS = {
    name: lambda s, key, name=name: list(s.range(**{name: key}))
    for name in ("ge", "gt", "le", "lt", "prefix")
}


@pytest.mark.parametrize("key", [1, None, 1.5, ("a",), bytearray(b"a"), memoryview(b"a")], ids=type)
@pytest.mark.parametrize("act", [*KEYED, *BOUNDS])
def test_a_key_of_another_type_is_a_type_error(store, key, act):
    if key is None and act in BOUNDS:
        key = []  # None is no bound
    if act == "snapshot" and refuses_snapshots(store, Store.snapshot):
        return
    with pytest.raises(KeyTypeError, match="bytes or str"):
        (KEYED | BOUNDS)[act](store, key)
    assert len(store) == 0


@pytest.mark.parametrize("key", [b"", ""])
@pytest.mark.parametrize("act", KEYED)
def test_the_empty_key_is_a_value_error(store, key, act):
    if act == "snapshot" and refuses_snapshots(store, Store.snapshot):
        return
    with pytest.raises(InvalidKeyError, match="empty"):
        KEYED[act](store, key)
    assert len(store) == 0


@pytest.mark.parametrize("key", [b"x" * 512, "é" * 256], ids=["bytes", "str"])
def test_a_key_over_511_bytes_can_be_looked_for_but_not_written(open_store, key):
    store = open_store(value_type=list)
    for act in ("[]=", "setdefault", "put", "deep_add", "update"):
        with pytest.raises(KeyTooLongError, match="511 bytes"):
            KEYED[act](store, key)
    assert len(store) == 0
    assert key not in store
    assert store.get(key) is None
    assert store.get_many([key]) == {}
    assert store.pop(key, "default") == "default"
    assert store.delete(key) is False
    assert store.deep_remove(key, 1) is False


def test_a_key_of_511_bytes_is_a_key(store):
    longest = b"x" * 511
    store[longest] = 1
    assert list(store.items()) == [(longest, 1)]
    assert list(store.range(gt=longest)) == []
    assert list(store.range(le=longest)) == [longest]
    assert list(store.range(ge=longest + b"\0", lt=b"y" * 600)) == []


def test_a_str_is_another_way_to_write_its_utf8(store):
    store["é"] = 1
    assert store["é".encode()] == store["é"] == 1
    assert list(store) == ["é".encode()]
    assert "é" in store.keys()  # noqa: SIM118
    assert ("é", 1) in store.items()
    assert "é" in store.range(limit=1)


def test_with_key_type_str_keys_come_back_as_str(open_store):
    store = open_store(key_type=str)
    store[b"b"] = store["é"] = store["a"] = 1
    assert list(store) == list(store.keys()) == ["a", "b", "é"]
    assert list(reversed(store)) == ["é", "b", "a"]
    assert list(store.items()) == [("a", 1), ("b", 1), ("é", 1)]
    assert list(store.range(prefix="é").items()) == [("é", 1)]
    assert store.get_many([b"a", "é"]) == {"a": 1, "é": 1}
    assert store.copy() == store | {} == {"a": 1, "b": 1, "é": 1}
    assert store.popitem() == ("é", 1)


def test_with_key_type_str_bytes_that_are_no_utf8_come_back_in_surrogates(open_store):
    store = open_store(key_type=str)
    store[b"\xff\xc3\xa9"] = 1
    assert list(store) == ["\udcffé"]
    assert store["\udcffé"] == store[b"\xff\xc3\xa9"] == 1
    assert dict(store.copy()) == dict(store)


@pytest.mark.parametrize("key", ["\ud800", "a\udfff", "\udcc3\udca9"], ids=ascii)
def test_a_str_that_would_not_come_back_is_a_value_error(open_store, key):
    for store in (open_store(), open_store(key_type=str)):
        with pytest.raises(InvalidKeyError, match="no UTF-8"):
            store[key] = 1
        assert len(store) == 0


def test_a_key_of_a_subclass_comes_back_as_bytes(store):
    class Key(bytes):
        __slots__ = ()

        def __eq__(self, other):
            return False

        __hash__ = bytes.__hash__

    store[Key(b"k")] = 1
    assert [type(key) for key in store] == [bytes]
    assert store[b"k"] == store[Key(b"k")] == 1


# -- views -----------------------------------------------------------------------------------------

ENTRIES = {b"a": 1, b"b": 2, b"c": 2}
SETS = {
    "keys": [set(), {b"a"}, {b"a", b"b", b"c"}, {b"a", b"d"}, {b"a", b"b", b"c", b"d"}],
    "items": [set(), {(b"a", 1)}, set(ENTRIES.items()), {(b"a", 2), (b"b", 2)}],
}
COMPARE = [operator.eq, operator.ne, operator.le, operator.lt, operator.ge, operator.gt]
COMBINE = [operator.and_, operator.or_, operator.sub, operator.xor]


@pytest.mark.parametrize("act", COMPARE + COMBINE, ids=lambda act: act.__name__)
@pytest.mark.parametrize("view", ["keys", "items"])
def test_views_are_sets_as_those_of_a_dict_are(store, view, act):
    store.update(ENTRIES)
    ours, twin = getattr(store, view)(), getattr(ENTRIES, view)()
    for other in SETS[view]:
        assert act(ours, other) == act(twin, other)
        assert act(other, ours) == act(other, twin)
        assert ours.isdisjoint(other) == twin.isdisjoint(other)
    assert act(ours, twin) == act(twin, twin)
    assert act(twin, ours) == act(twin, twin)
    assert act(ours, ours) == act(twin, twin)


@pytest.mark.parametrize("act", COMBINE, ids=lambda act: act.__name__)
def test_views_combine_with_any_iterable(store, act):
    store.update(ENTRIES)
    assert act(store.keys(), [b"a", b"d"]) == act(ENTRIES.keys(), [b"a", b"d"])


def test_items_with_values_that_have_no_hash_are_compared_all_the_same(store):
    store[b"a"] = [1]
    assert store.items() == {b"a": [1]}.items()
    assert store.items() <= {b"a": [1], b"b": 2}.items()
    with pytest.raises(TypeError, match="unhashable"):
        store.items() | {(b"b", 1)}


def test_views_know_what_is_in_them(store):
    store.update(ENTRIES)
    assert b"a" in store.keys()  # noqa: SIM118
    assert b"d" not in store.keys()  # noqa: SIM118
    assert 2 in store.values()
    assert 3 not in store.values()
    assert (b"a", 1) in store.items()
    for item in [(b"a", 2), (b"d", 1), (b"a",), (b"a", 1, 1), [b"a", 1], b"ab", 5]:
        assert item not in store.items()


def test_views_are_live_in_order_and_go_both_ways(store):
    keys, values, items = store.keys(), store.values(), store.items()
    store.update(ENTRIES)
    assert (len(keys), len(values), len(items)) == (3, 3, 3)
    assert list(keys) == list(keys) == list(ENTRIES)
    assert list(values) == list(ENTRIES.values())
    assert list(items) == list(ENTRIES.items())
    assert list(reversed(keys)) == list(reversed(ENTRIES))
    assert list(reversed(values)) == list(reversed(ENTRIES.values()))
    assert list(reversed(items)) == list(reversed(ENTRIES.items()))
    store.clear()
    assert list(keys) == list(values) == list(items) == []


def test_views_name_what_they_are_of(store):
    for view in (store.keys(), store.values(), store.items()):
        assert repr(view) == f"{type(view).__name__}({store!r})"
        assert view.mapping == store
        with pytest.raises(TypeError):
            view.mapping[b"k"] = 1


def test_views_of_values_are_equal_only_to_themselves(store):
    values = store.values()
    assert values == values
    assert values != store.values()
