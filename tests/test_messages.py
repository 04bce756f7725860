"""Messages of errors: none fails because of the value, the key or the option that it shows."""

import traceback
from decimal import Decimal

import pytest
from attrs import define, evolve, field, fields

import stones
from stones import (
    Collection,
    LmdbStore,
    MemoryStore,
    SerializerError,
    StoneError,
    check,
    inspect,
    key,
    migrate,
    register_serializer,
    salvage,
    stone,
)
from stones.formats.messages import show, show_error, show_key, show_value

HUGE = 10**5000


class NoRepr:
    def __repr__(self):
        raise RuntimeError("no repr")


class TextWithoutRepr(str):
    __slots__ = ()
    __repr__ = NoRepr.__repr__


class BytesWithoutRepr(bytes):
    __repr__ = NoRepr.__repr__


class IntWithoutRepr(int):
    __repr__ = NoRepr.__repr__


@define
class Numbered:
    id: int = key()
    value: int = 0


@define
class Paired:
    name: str = key()
    number: int = key()
    value: int = 0


@define
class Silent:
    id: int = key()
    value: int = 0
    __repr__ = NoRepr.__repr__


WRONG = {
    "a huge int": HUGE,
    "a huge negative int": -HUGE,
    "no repr": NoRepr(),
    "text": TextWithoutRepr("x"),
    "bytes": BytesWithoutRepr(b"x"),
    "int": IntWithoutRepr(5),
    "list": [HUGE, {1: NoRepr()}],
    "tuple": ("a", HUGE),
    "record": Paired("a", HUGE, HUGE),
    "record without a repr": Silent(HUGE),
    "class": type("Meta", (type,), {"__repr__": NoRepr.__repr__})("Class", (), {}),
}


def range_over(option):
    return lambda store, value, _: list(store.range(**{option: value}))


def option(name):
    return lambda store, value, path: stone(path, type(store), **{name: value}).close()


OPTIONS = ["serialize", "dump_load", "value_type", "key_type", "trust_pickle", "checksums"]
OPTIONS += ["durability", "readonly", "create", "table"]
ON_A_STORE = {
    "get": lambda store, value, _: store.get(value),
    "getitem": lambda store, value, _: store[value],
    "in": lambda store, value, _: value in store,
    "pop": lambda store, value, _: store.pop(value),
    "del": lambda store, value, _: store.__delitem__(value),
    "delete": lambda store, value, _: store.delete(value),
    "get_many": lambda store, value, _: store.get_many([value]),
    "set": lambda store, value, _: store.__setitem__(value, 1),
    "put": lambda store, value, _: store.put(value, 1),
    "setdefault": lambda store, value, _: store.setdefault(value, 1),
    "update": lambda store, value, _: store.update([(value, 1)]),
    "update with a value": lambda store, value, _: store.update(key=value),
    "deep_add": lambda store, value, _: store.deep_add(value, 1),
    "deep_remove": lambda store, value, _: store.deep_remove(value, 1),
    "in a range": lambda store, value, _: value in store.range(prefix="a"),
    "of a range": lambda store, value, _: store.range(prefix="a")[value],
    "in items": lambda store, value, _: (value, 1) in store.items(),
    **{name: range_over(name) for name in ("ge", "gt", "le", "lt", "prefix", "limit", "reverse")},
    **{name: option(name) for name in OPTIONS},
    "name": lambda store, value, _: stone(value, type(store)),
    "name alone": lambda _, value, __: stone(value),
    "class": lambda _, value, path: stone(path, value),
    "backup": lambda store, value, _: store.backup(value),
    "path": lambda _, value, __: LmdbStore(value),
    "check": lambda _, value, __: check(value),
    "salvage": lambda _, value, __: salvage(value, "new"),
    "inspect": lambda _, value, __: inspect(value),
    "migrate": lambda _, value, __: migrate(value, "json"),
    "migrate to": lambda store, value, _: migrate(store, value),
    "migrate checksums": lambda store, value, _: migrate(store, checksums=value),
    "migrate by": lambda store, value, _: migrate(store, dump_load=value),
    "register": lambda _, value, __: register_serializer(value, str, str),
    "register a function": lambda _, value, __: register_serializer("own", value, str),
    "collection in": lambda _, value, __: Collection(value, Numbered),
    "collection of": lambda store, value, _: Collection(store, value),
    "collection named": lambda store, value, _: Collection(store, Numbered, name=value),
}

ON_A_COLLECTION = {
    "get": lambda records, value, _: records.get(value),
    "getitem": lambda records, value, _: records[value],
    "in": lambda records, value, _: value in records,
    "pop": lambda records, value, _: records.pop(value),
    "del": lambda records, value, _: records.__delitem__(value),
    "delete": lambda records, value, _: records.delete(value),
    "update": lambda records, value, _: records.update(value, value=1),
    "modify": lambda records, value, _: records.modify(value, lambda record: record),
    "set": lambda records, value, record: records.__setitem__(value, record),
    "set a record": lambda records, value, _: records.__setitem__(1, value),
    "setdefault": lambda records, value, record: records.setdefault(value, record),
    "add": lambda records, value, _: records.add(value),
    "add_many": lambda records, value, _: records.add_many([value]),
    "put": lambda records, value, _: records.put(value),
    "update a field": lambda records, value, record: records.update(
        records.put(record), value=value
    ),
    "an unknown field": lambda records, value, record: records.update(
        records.put(record), other=value
    ),
    "add without a key": lambda records, value, record: records.add(
        evolve(record, value=value, **{fields(type(record))[0].name: None})
    ),
    **{name: range_over(name) for name in ("ge", "gt", "le", "lt", "prefix", "limit", "reverse")},
}


def check_messages(function, *arguments):
    """For each wrong value: what the function raises can be shown, if it raises anything."""
    for value in WRONG.values():
        error = None
        try:
            function(value, *arguments)
        except (StoneError, KeyError) as raised:
            error = raised
        except TypeError as raised:  # of Python, for a call that no function takes
            error = raised
        if error is not None:
            assert 0 < len(str(error)) < 1000
            assert repr(error)
            assert "for integer string conversion" not in str(error)
            assert "".join(traceback.format_exception(error)).endswith(f": {error}\n")


@pytest.mark.parametrize("function", ON_A_STORE.values(), ids=ON_A_STORE)
def test_a_store_can_show_what_it_refuses(store, tmp_path, monkeypatch, function):
    monkeypatch.chdir(tmp_path)
    check_messages(lambda value: function(store, value, tmp_path / "other"))


@pytest.mark.parametrize("function", ON_A_COLLECTION.values(), ids=ON_A_COLLECTION)
def test_a_collection_can_show_what_it_refuses(store, function):
    for record in (Numbered(1), Paired("a", 1)):
        records = Collection(store, type(record))
        check_messages(lambda value: function(records, value, record))  # noqa: B023  # called here


def test_a_missing_key_is_in_the_error_even_if_it_cannot_be_shown(store):
    numbers = Collection(store, Numbered)
    asked = (numbers.__getitem__, numbers.pop, numbers.__delitem__, numbers.update)
    for ask in asked:
        with pytest.raises(KeyError) as found:
            ask(HUGE)
        assert found.value.args == (HUGE,)
        assert str(found.value) == "<an int of very many digits>"
    with pytest.raises(KeyError) as found:
        numbers.pop(7)
    assert (type(found.value), str(found.value)) == (KeyError, "7")
    with pytest.raises(KeyError, match="TextWithoutRepr"):
        store[TextWithoutRepr("x")]


def test_a_key_of_many_digits_is_shown_by_the_error_that_it_is_there_already(store, monkeypatch):
    numbers = Collection(store, Numbered)
    big = 10**1000
    numbers.add(Numbered(big))
    for refused in (lambda: numbers.add(Numbered(big)), lambda: numbers.update(big, other=1)):
        with pytest.raises(StoneError, match=rf"Numbered\[{show(big)[:20]}"):
            refused()


def test_a_record_without_a_repr_is_shown_by_its_fields(store):
    with pytest.raises(StoneError) as found:
        Collection(store, Numbered).add(Numbered(None, HUGE))
    expected = "Numbered(id=None, value=<an int of very many digits>)"
    assert str(found.value) == f"Numbered: the key of the record is None: {expected}"


def test_an_exception_of_the_users_code_need_not_have_a_message(store):
    def fail(value):
        raise KeyError(HUGE)

    with pytest.raises(SerializerError, match="KeyError: <an int of very many digits>"):
        MemoryStore(dump_load=(fail, fail))["key"] = 1

    @define
    class Checked:
        id: int = key()
        value: int = field(default=0, validator=lambda *_: fail(1))

    with pytest.raises(TypeError):  # the constructor
        raise TypeError
    record = Checked.__new__(Checked)
    record.id = 1
    object.__setattr__(record, "value", 5)
    with pytest.raises(StoneError, match="KeyError: <an int of very many digits>"):
        Collection(store, Checked).add(record)


@pytest.mark.parametrize("serializer", ["pickle", "json", "cbor", "msgpack"])
@pytest.mark.parametrize(
    "value",
    [HUGE, -HUGE, [HUGE], {HUGE: -HUGE}, {HUGE}, (1, HUGE), {"a": {HUGE: [HUGE]}}, Decimal(HUGE)],
    ids=show,
)
def test_each_serializer_holds_an_int_of_any_size(open_store, serializer, value):
    store = open_store(serialize=serializer)
    store["key"] = value
    assert store["key"] == value
    with pytest.raises(SerializerError) as found:
        store["key"] = [value, {HUGE: lambda: 1}]
    assert "at $[1][<int>]: " in str(found.value) or serializer == "pickle"
    assert store["key"] == value


def test_a_value_is_shown_in_short():
    assert show("x" * 100) == "'" + "x" * 27 + "..." + "x" * 28 + "'"
    assert show(NoRepr()) == "<NoRepr without a repr>"
    assert show([NoRepr(), 1]) == "[<NoRepr without a repr>, 1]"
    assert show(IntWithoutRepr(5)) == show(HUGE) == "<an int of very many digits>"
    assert show_value(HUGE) == "int of very many digits"
    assert show_value(Silent(1)) == "Silent(id=1, value=0)"
    assert show_error(ValueError("x" * 1000)) == "ValueError: " + "x" * 200
    assert show_key("x" * 400) == repr("x" * 400)
    assert len(show_key("x" * 2000)) < 100
    assert all(len(show(value)) < 110 for value in WRONG.values())


def test_no_error_class_needs_the_repr_of_what_it_carries():
    for name in stones.__all__:
        kind = getattr(stones, name)
        if isinstance(kind, type) and issubclass(kind, StoneError):
            assert str(kind("text")) == "text"
