"""Simple values: encoded faster, to the same bytes, where the class of a record promises them."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from enum import Enum, IntEnum, IntFlag
from pathlib import Path
from typing import Any, Literal, NamedTuple

import attrs
import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from stones import Collection, MemoryStore, key
from stones.collections.records.record_type import record_type
from stones.collections.records.simple_values import has_simple_values
from stones.formats.serializers import serializer


class Color(Enum):
    RED = "red"
    NOTHING = None


class Level(IntEnum):
    LOW = 1


class Rights(IntFlag):
    READ = 1


class Listed(Enum):
    ONE = (1, 2)
    TWO = (3, 4)


@define(frozen=True)
class City:
    name: str
    zip: int | None = None


@define(frozen=True)
class Born:
    day: date


@define
class Tree:
    children: "list[Tree]" = field(factory=list)


class Pair(NamedTuple):
    left: int
    right: str


SIMPLE: Sequence[Any] = [
    int,
    float,
    str,
    bytes,
    bool,
    int | None,
    int | str | bytes,
    Color,
    Level,
    Rights,
    Literal["a", 1],
    list[int],
    list[list[float | None]],
    list[Color],
    dict[str, int],
    dict[str, list[str]],
    City,
    City | None,
    list[City],
    set[City],
    City | Pair,
]
OTHERS: Sequence[Any] = [
    Any,
    list,
    dict,
    date,
    Decimal,
    Path,
    date | int,
    Listed,
    tuple[int, ...],
    tuple[int, str],
    set[int],
    frozenset[str],
    Sequence[int],
    dict[int, str],
    dict[str | int, str],
    dict[tuple[int, int], str],
    list[date],
    list[Any],
    Born,
    City | Born,
    list[Born],
    Tree,
]


def conversion(annotation):
    cls = attrs.make_class("Holder", {"held": attrs.field(type=annotation)})
    return record_type(cls).conversion


@pytest.mark.parametrize("annotation", SIMPLE)
def test_the_values_of_an_annotation_are_simple(annotation):
    assert has_simple_values(conversion(annotation))


@pytest.mark.parametrize("annotation", OTHERS)
def test_the_values_of_an_annotation_are_not_all_simple(annotation):
    assert not has_simple_values(conversion(annotation))


ATOMS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text()
    | st.binary()
)
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(), inner, max_size=20),
)


@given(VALUES)
def test_a_simple_value_is_encoded_to_the_same_bytes(value):
    msgpack = serializer("msgpack")
    assert msgpack.encode_simple is not None
    assert msgpack.encode_simple(value) == msgpack.encode(value)


@pytest.mark.parametrize("length", [31, 32, 255, 256, 65_535, 65_536])
@pytest.mark.parametrize("make", ["x".__mul__, b"x".__mul__, [1].__mul__, lambda n: {str(n): n}])
def test_the_length_of_a_simple_value_is_encoded_to_the_same_bytes(make, length):
    msgpack = serializer("msgpack")
    assert msgpack.encode_simple is not None
    assert msgpack.encode_simple(make(length)) == msgpack.encode(make(length))


@define
class User:
    name: str = key()
    number: Any
    address: City | None = None


@define
class SimpleUser:
    name: str = key()
    number: float
    address: City | None = None


@pytest.mark.parametrize("checksums", [False, True])
@pytest.mark.parametrize("serialize", ["msgpack", "json", "cbor", "pickle"])
@pytest.mark.parametrize(
    ("name", "number"),
    [("ada", 1), ("ada", 1.5), ("ada", 2**64), ("ada", -(2**200)), ("\ud800", 1), ("", -0.0)],
)
def test_a_record_of_simple_values_is_stored_as_any_other(serialize, checksums, name, number):
    stored = []
    for cls in (SimpleUser, User):
        store = MemoryStore(serialize=serialize, options={"checksums": checksums})
        users = Collection(store, cls, "users")
        users["k"] = cls("k", number, City(name))
        assert users["k"] == cls("k", number, City(name))
        stored.append(store.database.get(b"users/k"))
    assert stored[0] == stored[1]


def test_a_record_that_keeps_unknown_fields_may_have_others():
    @define
    class Wide:
        name: str = key()
        born: date

    @define
    class Narrow:
        name: str = key()

    store = MemoryStore(serialize="msgpack")
    Collection(store, Wide, "users").add(Wide("ada", date(1815, 12, 10)))
    narrow = Collection(store, Narrow, "users", unknown="keep")
    narrow.put(Narrow("ada"))
    assert Collection(store, Wide, "users")["ada"].born == date(1815, 12, 10)
