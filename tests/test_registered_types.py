"""Types of the user's own, and those that stones ships: in values, records and other programs."""

import dataclasses
import gc
import math
import subprocess
import sys
import threading
import tracemalloc
from collections import namedtuple
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

import attrs
import cbor2
import msgpack
import numpy as np
import pytest
from attrs import define, field
from hypothesis import example, given, settings
from hypothesis import strategies as st

import stones
from stones import (
    Collection,
    CollectionError,
    CorruptValueError,
    FormatMismatchError,
    LmdbStore,
    MemoryStore,
    MigrationError,
    RecordError,
    SerializerError,
    StoneError,
    check,
    key,
    migrate,
    register_type,
    salvage,
)
from stones.engine import Space
from stones.formats.codec import Codec
from stones.formats.metadata import IDS, new_metadata
from stones.formats.registered_types import UnknownValue, registered_type, unknown_types_kept
from stones.formats.request import FormatRequest
from stones.formats.serializers import serializer

from .test_serializers import same
from .test_serializers import values as plain_values

SAFE = ["json", "cbor", "msgpack"]
safe = pytest.mark.parametrize("name", SAFE)


class Money:
    def __init__(self, amount: Any, currency: Any = "EUR") -> None:
        self.amount, self.currency = amount, currency

    def __eq__(self, other: object) -> bool:
        return type(other) is Money and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    def __repr__(self) -> str:
        return f"Money({self.amount!r}, {self.currency!r})"


class Cash(Money):
    pass


class Wrapped:
    """Holds any value, and packs it as it is."""

    def __init__(self, content: Any) -> None:
        self.content = content

    def __eq__(self, other: object) -> bool:
        return type(other) is Wrapped and self.content == other.content

    def __hash__(self) -> int:
        return 1

    def __repr__(self) -> str:
        return f"Wrapped({self.content!r})"


class Shape:
    def __repr__(self) -> str:
        return f"{type(self).__name__}({vars(self)})"


class Circle(Shape):
    def __init__(self, radius: int) -> None:
        self.radius = radius

    def __eq__(self, other: object) -> bool:
        return type(other) is Circle and self.radius == other.radius

    __hash__ = None


register_type(Money, "test.money", lambda it: [it.amount, it.currency], lambda it: Money(*it))
register_type(Wrapped, "test.wrapped", lambda it: it.content, Wrapped)
register_type(Circle, "test.circle", lambda it: it.radius, Circle)


class Code(str):
    __slots__ = ()


class Holiday(date):
    pass


register_type(Code, "test.code", str, Code)
register_type(Holiday, "test.holiday", Holiday.isoformat, Holiday.fromisoformat)


def round_trip(name: str, value: Any) -> Any:
    codec = serializer(name)
    return codec.decode(codec.encode(value))


def positions(value: Any) -> list[Any]:
    """The value alone, and in each kind of container that it can be in."""
    held = [value, [value], (value,), {"a": value}, {1: [(value,)]}, Wrapped([value])]
    try:
        hash(value)
    except TypeError:
        return held
    in_sets = [{value}, frozenset([value]), {value: 1}, {(value, 1): [value]}]
    return [*held, *in_sets, {frozenset([value]): {value}}, {Wrapped((value,)): Wrapped({value})}]


# -- the hook --------------------------------------------------------------------------------------


@safe
@pytest.mark.parametrize(
    "value",
    [
        Money(5),
        Money(2**70, ("a", {1})),
        Wrapped(None),
        Wrapped([1, [2], (3, {"a": [4], 5: {6}})]),
        Wrapped(Wrapped(Money(1))),
        Wrapped("\ud800"),
    ],
    ids=repr,
)
def test_a_registered_value_comes_back_in_every_position(name, value):
    for held in positions(value):
        found = round_trip(name, held)
        assert found == held
        assert repr(found) == repr(held)


@safe
@given(value=plain_values)
@settings(max_examples=200)
def test_whatever_pack_makes_of_plain_values_reaches_unpack_as_it_was(name, value):
    ((as_key, (as_element,)),) = round_trip(name, {Wrapped(value): {Wrapped(value)}}).items()
    for found in (round_trip(name, Wrapped(value)), as_key, as_element):
        assert same(found.content, value)


NOTATIONS = [
    ("json", b'{"$type":["test.money",[5,"EUR"]]}'),
    ("cbor", cbor2.dumps(cbor2.CBORTag(27, ["type", "test.money", [5, "EUR"]]))),
    ("msgpack", msgpack.packb([msgpack.ExtType(15, b""), "test.money", [5, "EUR"]])),
]


@pytest.mark.parametrize(("name", "raw"), NOTATIONS)
def test_the_notation_of_a_registered_value_is_what_files_are_made_of(name, raw):
    assert serializer(name).encode(Money(5)) == raw
    assert serializer(name).decode(raw) == Money(5)


@safe
def test_a_dict_that_looks_like_the_notation_comes_back_as_a_dict(name):
    for value in ({"$type": ["test.money", [5, "EUR"]]}, {"$list": [1]}, ["type", ["a", 1]]):
        assert round_trip(name, value) == value


@safe
def test_an_instance_of_a_subclass_is_refused_with_what_to_do(name):
    with pytest.raises(SerializerError, match=r"Cash, at \$\['a'\]: it would come back as a plain"):
        serializer(name).encode({"a": Cash(1)})


@safe
def test_the_error_says_what_in_a_packed_value_cannot_be_held(name):
    with pytest.raises(SerializerError, match=r"hold a complex, at \$\[0\]\.packed\[0\]: convert"):
        serializer(name).encode([Money(1j)])


@safe
@pytest.mark.parametrize("packed", [bytearray(b"x"), memoryview(b"x"), msgpack.ExtType(1, b"")])
def test_a_packed_value_that_would_change_silently_is_refused(name, packed):
    with pytest.raises(SerializerError, match="cannot hold"):
        serializer(name).encode(Wrapped([packed]))


@safe
def test_an_error_of_pack_names_the_type(name):
    class Failing: ...

    register_type(Failing, f"test.failing.{name}", lambda it: 1 / 0, lambda it: Failing())
    with pytest.raises(SerializerError, match=r"pack of the type 'test\.failing.*ZeroDivisionErr"):
        serializer(name).encode([Failing()])


@safe
def test_an_error_of_unpack_names_the_type_and_the_key(name):
    store = MemoryStore(serialize=name)
    store["key"] = Wrapped(1)

    class Other(Wrapped): ...

    Other.__qualname__, Other.__module__ = Wrapped.__qualname__, Wrapped.__module__
    register_type(Other, "test.wrapped", lambda it: 1, lambda it: {}["\x1b"])
    try:
        with pytest.raises(CorruptValueError, match=r"b'key' .*'test\.wrapped' failed: KeyError"):
            store["key"]
    finally:
        register_type(Wrapped, "test.wrapped", lambda it: it.content, Wrapped)
    assert store["key"] == Wrapped(1)


@safe
def test_a_value_that_packs_itself_is_refused(name):
    class Loop: ...

    register_type(Loop, f"test.loop.{name}", lambda it: [it], lambda it: Loop())
    with pytest.raises(SerializerError, match=r"contains itself"):
        serializer(name).encode(Loop())


@safe
def test_a_registered_value_nested_a_hundred_times_is_held(name):
    value = 1
    for _ in range(100):
        value = Wrapped([value])
    assert repr(round_trip(name, value)) == repr(value)


@pytest.mark.parametrize(
    "name", ["", "x" * 101, "a\nb", "\ud800", 5, None, b"a", "pathlib.Mine", "numpy.x"]
)
def test_a_name_is_short_and_printable_and_not_of_stones(name):
    with pytest.raises(SerializerError, match=r"cannot be the name of a type|belongs to stones"):
        register_type(type("New", (), {}), name, repr, repr)


@pytest.mark.parametrize("cls", [int, str, dict, type(None), UUID, bool])
def test_a_plain_type_cannot_be_registered(cls):
    with pytest.raises(SerializerError, match="is stored as it is"):
        register_type(cls, "test.plain", repr, repr)


def test_what_is_registered_is_a_class_and_two_functions():
    with pytest.raises(SerializerError, match="takes a class, not"):
        register_type("Money", "test.other", repr, repr)
    for pair in ((None, repr), (repr, "unpack")):
        with pytest.raises(SerializerError, match="two functions"):
            register_type(type("New", (), {}), "test.other", *pair)


def test_a_name_has_one_class_and_a_class_has_one_name():
    class New: ...

    with pytest.raises(SerializerError, match=r"the name 'test\.money' belongs to the class"):
        register_type(New, "test.money", repr, repr)
    with pytest.raises(SerializerError, match=r"is registered as 'test\.money' already"):
        register_type(Money, "test.other", repr, repr)


def test_a_class_that_is_made_again_takes_the_place_of_the_earlier_one():
    def cell() -> type:
        class Cell:
            pass

        register_type(Cell, "test.cell", lambda it: 1, lambda it: Cell())
        return Cell

    first, second = cell(), cell()
    assert type(round_trip("json", second())) is second
    assert registered_type(first) is None


def test_types_are_registered_by_many_threads_at_once():
    classes = [type(f"Thread{number}", (), {}) for number in range(200)]

    def work(part: int) -> None:
        for number in range(part, 200, 8):
            cls = classes[number]
            register_type(cls, f"test.thread.{number}", lambda it: 1, lambda it, cls=cls: cls())

    threads = [threading.Thread(target=work, args=(part,)) for part in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(type(round_trip("msgpack", cls())) is cls for cls in classes)


def test_a_type_that_msgpack_would_write_as_bytes_may_be_registered():
    program = """
from stones import register_type
from stones.formats.serializers import serializer

register_type(bytearray, "test.bytearray", bytes, bytearray)
register_type(range, "test.range", lambda it: bytearray(range(it.stop)), lambda it: range(len(it)))
for name in "json", "cbor", "msgpack":
    codec = serializer(name)
    for value in (bytearray(b"x"), {"a": (b"x", [bytearray(b"")])}, [range(3), bytearray(b"y")]):
        again = codec.decode(codec.encode(value))
        assert repr(again) == repr(value), (name, again)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_shipped_type_may_be_registered_in_another_way():
    program = """
import numpy as np
from stones import register_type
from stones.formats.serializers import serializer
codec = serializer("json")
before = codec.encode(np.arange(2))
register_type(np.ndarray, "array", np.ndarray.tolist, np.array)
assert codec.encode(np.arange(2)) == b'{"$type":["array",[0,1]]}'
assert (codec.decode(codec.encode(np.arange(2))) == np.arange(2)).all()
assert (codec.decode(before) == np.arange(2)).all()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_pickle_and_noop_know_nothing_of_registered_types():
    assert round_trip("pickle", Money(5)) == Money(5)
    with pytest.raises(SerializerError, match="stores bytes as they are"):
        serializer("noop").encode(Money(5))


# -- shipped types ---------------------------------------------------------------------------------

addresses = st.one_of(
    st.ip_addresses(),
    st.ip_addresses(v=4).map(IPv4Interface),
    st.tuples(st.ip_addresses(v=6), st.integers(0, 128)).map(IPv6Interface),
    st.tuples(st.ip_addresses(v=4), st.integers(0, 32)).map(lambda x: IPv4Network(x, strict=False)),
    st.tuples(st.ip_addresses(v=6), st.integers(0, 128)).map(
        lambda x: IPv6Network(x, strict=False)
    ),
    st.just(IPv6Address("fe80::1%eth0")),
)
path_texts = st.text(st.characters(exclude_characters="\0"), max_size=12)
paths = st.one_of(
    path_texts.map(Path), path_texts.map(PurePosixPath), path_texts.map(PureWindowsPath)
)


@safe
@given(value=st.one_of(addresses, paths, st.fractions()))
@example(PureWindowsPath("C:\\a\\b"))
@example(Path("caf\udce9"))
def test_a_shipped_type_comes_back_in_every_position(name, value):
    for held in positions(value):
        found = round_trip(name, held)
        assert found == held
        assert type(found) is type(held)
    assert type(round_trip(name, value)) is type(value)


@safe
def test_a_fraction_of_very_many_digits_comes_back(name):
    assert round_trip(name, Fraction(10**6000, 7)) == Fraction(10**6000, 7)


def test_a_path_of_another_system_comes_back_as_a_pure_path():
    raw = b'{"$type":["pathlib.WindowsPath","C:/a/b"]}'
    assert serializer("json").decode(raw) == PureWindowsPath("C:\\a\\b")


SCALARS = [
    np.float64(1.5), np.float32(0.1), np.float16(-0.0), np.float64("nan"), np.float64("-inf"),
    np.int8(-128), np.uint64(2**64 - 1), np.longlong(5), np.bool_(True), np.bool_(False),
    np.complex64(1 - 2j), np.complex128(complex("nan+1j")), np.longdouble(1) / 3,
    np.clongdouble(1j), np.str_("ü\ud800"), np.bytes_(b"a\0"), np.datetime64("2024-02-29"),
    np.datetime64("2024-01-01T00:00:00", "ns"), np.datetime64("NaT", "s"), np.timedelta64(3, "25s"),
    np.array([(1, "a")], dtype=[("x", ">i4"), ("y", "U3")])[0], np.void(b"abc"),
]  # fmt: skip


@safe
@pytest.mark.parametrize("value", SCALARS, ids=lambda value: type(value).__name__)
def test_a_scalar_of_numpy_comes_back_with_its_type(name, value):
    for held in (value, [value], {"a": (value,)}, Wrapped([value])):
        found = round_trip(name, held)
        assert repr(found) == repr(held)
    found = round_trip(name, value)
    assert type(found) is type(value)
    assert found.dtype == value.dtype
    if not isinstance(value, np.longdouble | np.clongdouble):  # some of its bytes mean nothing
        assert found.tobytes() == value.tobytes()


ARRAYS = [
    np.arange(6).reshape(2, 3),
    np.asfortranarray(np.arange(6, dtype=">f4").reshape(2, 3)),
    np.array(5),
    np.zeros((0, 5)),
    np.arange(10)[::3],
    np.arange(24).reshape(2, 3, 4).transpose(1, 2, 0),
    np.array([True, False]),
    np.array([1 + 2j, math.nan]),
    np.array(["ab", "ü"]),
    np.array(["ab"], ">U4"),
    np.array([], "U"),
    np.array([b"a\0b", b""]),
    np.array(["2024-01-01", "NaT"], "M8[s]"),
    np.array([1, 2], "m8[25us]"),
    np.array([(1, "a", [1, 2])], dtype=[("x", "<i4"), ("y", "U3"), ("z", ">f8", (2,))]),
    np.zeros((2, 2), np.dtype([("a", "i1"), ("b", [("c", "f8")])], align=True)),
    np.zeros(3, {"names": ["b", "a"], "formats": ["i4", "i2"], "offsets": [4, 0], "itemsize": 16}),
    np.zeros(2, "V5"),
    np.ones(3, np.longdouble),
    np.arange(3.0).astype(np.float16),
]


@safe
@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}"[:30])
def test_an_array_of_numpy_comes_back_with_dtype_shape_and_order(name, array):
    for held in (array, [array], {"a": array}, (array, 1)):
        found = round_trip(name, held)
        while type(found) is not np.ndarray:
            found = found["a"] if type(found) is dict else found[0]
        assert found.dtype == array.dtype
        assert found.dtype.str == array.dtype.str
        assert found.shape == array.shape
        assert found.tobytes() == array.tobytes()
        assert found.flags.writeable
        if array.flags.f_contiguous or array.flags.c_contiguous:
            assert found.flags.f_contiguous == array.flags.f_contiguous
    before = array.tobytes()
    found[...] = np.zeros(1, found.dtype)[0]
    assert array.tobytes() == before


@safe
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (np.array([1, "a", None], dtype=object), "contains Python objects"),
        (np.array([(1, None)], dtype=[("a", "i4"), ("b", "O")]), "contains Python objects"),
        (np.array(["a"], dtype=np.dtypes.StringDType()), "contains Python objects"),
        (np.array([1], dtype=np.dtype(("i4", [(("title", "a"), "i4")]))), "cannot be stored"),
        (np.ma.array([1]), "would come back as a plain ndarray"),
        (np.zeros(2, [("a", "i4")]).view(np.recarray), "would come back as a plain ndarray"),
        (np.ndarray(3, "S0", buffer=b""), "have no size"),
    ],
    ids=["object", "field", "StringDType", "title", "masked", "recarray", "S0"],
)
def test_an_array_that_would_not_come_back_is_refused(name, value, reason):
    with pytest.raises(SerializerError, match=reason):
        serializer(name).encode({"a": value})


def test_importing_stones_imports_no_package_of_the_shipped_types():
    program = """
import sys
before = set(sys.modules)
import stones
from stones.formats.serializers import serializer
codec = serializer("msgpack")
codec.encode([1, {"a": (2,)}])
try:
    codec.encode(1j)
except stones.SerializerError:
    pass
new = set(sys.modules) - before
assert "numpy" not in new and not [name for name in new if "shipped_types." in name], new
from fractions import Fraction
codec.encode(Fraction(1, 2))
new = {name for name in sys.modules if "shipped_types." in name}
assert new == {"stones.formats.shipped_types.fraction"}, new
assert "numpy" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# -- bytes that somebody sent ----------------------------------------------------------------------

NAMES = [
    *("pathlib.Path", "pathlib.PosixPath", "pathlib.WindowsPath", "pathlib.PurePosixPath"),
    *("ipaddress.IPv4Address", "ipaddress.IPv6Network", "ipaddress.IPv4Interface"),
    *("fractions.Fraction", "numpy.ndarray", "numpy.float32", "numpy.int8", "numpy.str_"),
    *("numpy.datetime64", "numpy.timedelta64", "numpy.complex64", "numpy.void", "numpy.bool"),
    *("numpy.longdouble", "numpy.bytes_", "numpy.object_", "numpy.os", "pathlib.os", "os.system"),
    *("builtins.eval", "", "test.money", "\x1b[2J", "x" * 10_000),
]
DTYPES = ["<f8", "|O", "O", "<U1", "|S0", "|V99", "<M8[ns]", "f8,O", "(9,9)f8", "<U999999999"]
arrays = st.tuples(
    st.one_of(
        st.sampled_from(DTYPES),
        st.fixed_dictionaries(
            {
                "names": st.just(["a", "b"]),
                "formats": st.lists(st.sampled_from(DTYPES), max_size=3),
                "offsets": st.lists(st.integers(-9, 99), max_size=3),
                "itemsize": st.integers(-1, 2**40),
            }
        ),
        st.tuples(st.sampled_from(DTYPES), st.lists(st.integers(-1, 2**70))).map(list),
    ),
    st.lists(st.integers(-1, 2**70) | st.integers(0, 3), max_size=70),
    st.sampled_from(["C", "F", "A", 5]),
    st.binary(max_size=64) | st.just(b"\xff" * 32),
).map(list)
hostile = st.one_of(plain_values, arrays, st.lists(st.integers(), max_size=3), st.text())


def opaque(type_name: str, packed: Any) -> Any:
    """What encodes to the bytes of a registered value of any name."""
    return UnknownValue(type_name, packed)


@safe
@given(type_name=st.sampled_from(NAMES), packed=hostile)
@settings(max_examples=1500)
@example("numpy.ndarray", ["<U1", [8], "C", b"\xff" * 32])
@example("numpy.ndarray", ["<f8", [2**40], "C", b""])
@example("numpy.ndarray", ["|S0", [2**40], "C", b""])
@example("numpy.ndarray", ["<f8", [0, 2**61], "C", b""])
@example("numpy.ndarray", [["<f8", [2**61]], [0], "C", b""])
@example("numpy.datetime64", ["<M8[ns]", 2**80])
@example("numpy.int8", 300)
@example("numpy.float32", 1e300)
@example("numpy.complex64", [1e300, 0.0])
@example("fractions.Fraction", [1, 0])
@example("ipaddress.IPv4Address", 2**31)
@example("pathlib.Path", "a\0b")
def test_hostile_content_of_a_registered_type_is_a_value_or_an_error_of_stones(
    name, type_name, packed
):
    codec = Codec(new_metadata(name), FormatRequest.from_arguments(name))
    raw = codec.encode(b"key", opaque(type_name, packed))
    refused: StoneError | None = None
    try:
        value = codec.decode(b"key", raw)
    except (CorruptValueError, FormatMismatchError) as error:
        refused = error
    if refused is not None:
        assert str(refused).isprintable()
        assert len(str(refused)) < 1000
        assert not isinstance(refused.__cause__, MemoryError)
        return
    if type(value) is np.ndarray:
        assert value.nbytes <= 64
        if value.size:  # an array of the shape (2**40, 0) has 2**40 empty lists
            value.tolist()
    codec.encode(b"key", value)


@safe
@pytest.mark.parametrize(
    "stored", [None, 1, [], ["a"], ["a", 1, 2], [1, 2], [None, None], {"a": 1, "b": 2}, "ab"]
)
def test_a_tag_without_a_name_and_a_value_is_damage(name, stored):
    raw = {
        "json": lambda: b'{"$type":%s}' % serializer("json").encode(stored),
        "cbor": lambda: cbor2.dumps(
            cbor2.CBORTag(27, ["type", *(stored if type(stored) is list else [stored])])
        ),
        "msgpack": lambda: msgpack.packb([msgpack.ExtType(15, b""), stored]),
    }[name]()
    store = MemoryStore(serialize=name)
    put_raw(store, b"key", raw)
    with pytest.raises((CorruptValueError, FormatMismatchError)):
        store["key"]


def put_raw(store: MemoryStore, at: bytes, raw: bytes) -> None:
    store["first"] = 1  # the metadata is written with the first value
    first = bytes([IDS[store.database.metadata().write.serializer]])
    store.database.engine.write(lambda txn: txn.put(Space.DATA, at, first + raw))


def test_a_shape_that_was_made_up_takes_no_memory():
    raw = serializer("msgpack").encode(
        opaque("numpy.ndarray", ["<f8", [2**20, 2**10], "C", bytes(80)])
    )
    serializer("msgpack").decode(serializer("msgpack").encode(np.arange(2)))
    gc.collect()
    tracemalloc.start()
    with pytest.raises(ValueError, match="do not fit its shape"):
        serializer("msgpack").decode(raw)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1_000_000


# -- programs that do not know the type ------------------------------------------------------------


@pytest.fixture(params=SAFE)
def foreign(request, tmp_path):
    """A store with values of a type that is not registered here, written by another program."""
    path = str(tmp_path / "db")
    program = f"""
from stones import LmdbStore, register_type
class Secret:
    def __init__(self, content): self.content = content
register_type(Secret, "other.secret", lambda it: it.content, Secret)
with LmdbStore({path!r}, serialize={request.param!r}) as store:
    store["one"] = Secret([1, (2, {{3}})])
    store["more"] = {{"a": [Secret("b")], Secret(4): {{Secret(5)}}}}
    store["plain"] = [1]
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    return path


def raw_values(path: str) -> dict[bytes, bytes]:
    with LmdbStore(path) as store, store.database.reading() as txn:
        return dict(txn.scan(Space.DATA, b""))


ADVICE = r"the type 'other\.secret' is not known here: import the module that registers it"


def test_reading_a_value_of_an_unknown_type_is_an_error_that_names_it(foreign):
    before = raw_values(foreign)
    with LmdbStore(foreign) as store:
        for use in [
            lambda: store["one"],
            lambda: store.get("more"),
            lambda: list(store.values()),
            lambda: store.get_many(["one"]),
            lambda: store.pop("one"),
            lambda: store.setdefault("one", 1),
            lambda: store.snapshot()["more"],
        ]:
            with pytest.raises(FormatMismatchError, match=ADVICE):
                use()
        assert store["plain"] == [1]
        assert len(store) == 3
    assert raw_values(foreign) == before


def test_a_copy_keeps_values_of_unknown_types_if_its_serializer_can(foreign, tmp_path):
    with LmdbStore(foreign) as store, LmdbStore(tmp_path / "copy", serialize="cbor") as target:
        target.update(store)
        with pytest.raises(FormatMismatchError, match=ADVICE):
            MemoryStore(serialize="pickle").update(store)
        for name in ["one", "more"]:
            with pytest.raises(FormatMismatchError, match=ADVICE):
                target[name]
        back = MemoryStore(**store.database.codec.options())
        back.update(target)
        with store.database.reading() as txn, back.database.reading() as other:
            assert dict(other.scan(Space.DATA, b"")) == dict(txn.scan(Space.DATA, b""))


def test_migrating_there_and_back_keeps_values_of_unknown_types(foreign):
    before = raw_values(foreign)
    with LmdbStore(foreign) as store:
        written = store.database.metadata().write.serializer
        for target in [*SAFE, *SAFE, written]:
            migrate(store, target)
        assert store["plain"] == [1]
        migrate(store, checksums=True)
        migrate(store, checksums=False)
    assert raw_values(foreign) == before


def test_migrating_to_pickle_stops_and_changes_nothing(foreign):
    before = raw_values(foreign)
    with LmdbStore(foreign) as store, pytest.raises(MigrationError, match=ADVICE):
        migrate(store, "pickle")
    assert raw_values(foreign) == before


def test_a_partial_index_refuses_a_record_whose_condition_needs_an_unknown_type(tmp_path):
    path = str(tmp_path / "db")
    program = f"""
from attrs import define
from stones import Collection, Index, LmdbStore, key, register_type
class Money:
    def __init__(self, cents): self.cents = cents
    def __eq__(self, other): return self.cents == getattr(other, "cents", other)
    __hash__ = None
register_type(Money, "other.money", lambda it: it.cents, Money)
@define
class Item:
    name: str = key()
    price: object
    stock: int = 0
with LmdbStore({path!r}, serialize="json") as store:
    indexes = [Index("stock", where="@.price == 5")]
    items = Collection(store, Item, indexes=indexes)
    items.add_many([Item("tea", Money(5), 1), Item("jam", 5, 1)])
"""
    subprocess.run([sys.executable, "-c", program], check=True)

    @define
    class Item:
        name: str = key()
        stock: int = 0

    with LmdbStore(path) as store:
        items = Collection(store, Item, unknown="keep")
        for change in (lambda: items.update("tea", stock=2), lambda: items.delete("tea")):
            with pytest.raises(FormatMismatchError, match=r"'other\.money' is not known here"):
                change()
        items.update("jam", stock=2)
        assert items["tea"].stock == 1
        assert items.find("@.price == 5 && @.stock == 2").count() == 1


def test_an_unknown_type_is_no_damage(foreign, tmp_path):
    report = check(foreign)
    assert (report.sound, report.unread) == (True, 0)
    saved = salvage(foreign, tmp_path / "new")
    assert saved.whole
    assert saved.entries == 3
    assert raw_values(str(tmp_path / "new")) == raw_values(foreign)
    with LmdbStore(foreign) as store:
        store.backup(tmp_path / "copy")
    assert raw_values(str(tmp_path / "copy")) == raw_values(foreign)


def test_a_type_of_a_package_that_is_not_installed_says_which(monkeypatch):
    monkeypatch.setitem(sys.modules, "stones.formats.shipped_types.arrays", None)
    monkeypatch.setattr("stones.formats.registered_types._loaded", {})
    store = MemoryStore(serialize="json")
    put_raw(store, b"key", b'{"$type":["numpy.float64",1.5]}')
    with pytest.raises(
        FormatMismatchError, match=r"'numpy\.float64' is not known here: install nu"
    ):
        store["key"]


@define
class Note:
    id: int = key()
    text: str = ""
    extra: Any = None


@safe
def test_a_record_with_an_unknown_type_names_key_field_and_type_and_others_are_read(name):
    store = MemoryStore(serialize=name)
    notes = Collection(store, Note)
    notes.add_many([Note(1, "a"), Note(3, "c")])
    record = {"id": 2, "text": "b", "extra": {"deep": [opaque("other.secret", 1)]}}
    put_raw(store, notes._records.encode_key(2), serializer(name).encode(record))
    for read in [
        lambda: notes[2],
        lambda: notes.get(2),
        lambda: notes.get_many([1, 2]),
        lambda: notes.find(text="b").one(),
        lambda: list(notes.values()),
        lambda: notes.update(2, text="z"),
        lambda: notes.pop(2),
    ]:
        with pytest.raises(RecordError, match=r"Note\[2\]: extra\['deep'\]\[0\]: " + ADVICE):
            read()
    assert list(notes) == [1, 2, 3]
    assert notes[1] == Note(1, "a")
    assert [note.id for note in notes.find('$[?(@.text == "c")]')] == [3]
    assert list(notes.find().values("text")) == ["a", "b", "c"]
    assert notes.find("$[?(@.extra == 5)]").count() == 0
    for leak in (notes.find().values("extra"), notes.search("$[*].extra")):
        with pytest.raises(FormatMismatchError, match=ADVICE):
            list(leak)
    notes.put(Note(2, "new"))
    assert notes[2] == Note(2, "new")


# -- records ---------------------------------------------------------------------------------------


class Pair(NamedTuple):
    x: int
    y: "Pair | None" = None


Plain = namedtuple("Plain", "a b", defaults=[5])  # noqa: PYI024  # users have such classes
T = TypeVar("T")


@dataclass
class Folder:
    path: Path
    parts: list[Fraction] = dataclasses.field(default_factory=list)
    size: int = dataclasses.field(init=False, default=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Box(Generic[T]):
    content: T
    inner: "Box[int] | None" = None


@dataclass
class Checked:
    age: int

    def __post_init__(self) -> None:
        if self.age < 0:
            raise ValueError("too young")


class Twin(NamedTuple, Generic[T]):
    first: T
    second: list[T]


def field_type(annotation: Any, **options: Any) -> Any:
    cls = attrs.make_class(
        "Holder", {"id": key(type=int), "x": field(type=annotation, eq=False, **options)}
    )
    return Collection(MemoryStore(serialize="json"), cls)


FIELDS = [
    (Money, Money(5), [5, "EUR"]),
    (Path, Path("/a/b"), "/a/b"),
    (Path | None, Path("a"), "a"),
    (Path | None, None, None),
    (list[Path], [Path("a"), Path("b")], ["a", "b"]),
    (set[Path], {Path("a")}, ["a"]),
    (dict[str, Fraction], {"a": Fraction(1, 3)}, {"a": [1, 3]}),
    (dict[Path, int], {Path("a"): 1}, [("a", 1)]),
    (tuple[Money, int], (Money(1), 2), ([1, "EUR"], 2)),
    (IPv4Network, IPv4Network("10.0.0.0/8"), "10.0.0.0/8"),
    (np.float64, np.float64(1.5), 1.5),
    (IPv4Address | IPv6Address, IPv6Address("::1"), IPv6Address("::1")),
    (Path | str, Path("a"), Path("a")),
    (Path | str, "a", "a"),
    (Money | int | None, Money(1), Money(1)),
    (Money | int | None, 5, 5),
    (list[Path | str], ["a", Path("a")], ["a", Path("a")]),
    (str | Code, Code("a"), Code("a")),
    (str | Code, "a", "a"),
    (date | Holiday, Holiday(2026, 1, 1), Holiday(2026, 1, 1)),
    (float | np.float64, np.float64(1.5), np.float64(1.5)),
    (Shape, Circle(2), Circle(2)),
    (PurePath, PureWindowsPath("a"), PureWindowsPath("a")),
    (Any, {"a": [Path("a"), {Money(1): 2}]}, {"a": [Path("a"), {Money(1): 2}]}),
    (list, [Path("a")], [Path("a")]),
    (Pair, Pair(1, Pair(2)), {"x": 1, "y": {"x": 2, "y": None}}),
    (Plain, Plain(1), {"a": 1, "b": 5}),
    (Folder, Folder(Path("a"), [Fraction(1)]), {"path": "a", "parts": [[1, 1]], "size": 3}),
    (Box[Path], Box(content=Path("a")), {"content": "a", "inner": None}),
    (Twin[Path], Twin(Path("a"), [Path("b")]), {"first": "a", "second": ["b"]}),
    (Pair | Folder | None, Pair(1), {"_type": "Pair", "x": 1, "y": None}),
    (Checked, Checked(5), {"age": 5}),
]  # fmt: skip


@pytest.mark.parametrize(("annotation", "value", "expected"), FIELDS, ids=str)
def test_a_field_of_such_a_type_comes_back(annotation, value, expected):
    holders = field_type(annotation)
    record = holders._type.cls(1, value)
    stored = holders._type.dump(record)["x"]
    assert stored == expected
    assert type(stored) is type(expected)
    for name in [*SAFE, "pickle"]:
        kept = Collection(MemoryStore(serialize=name), type(record))
        kept.add(record)
        assert kept[1].x == value
        assert type(kept[1].x) is type(value)


@pytest.mark.parametrize("name", [*SAFE, "pickle"])
@pytest.mark.parametrize("annotation", [np.ndarray, Any, np.ndarray | None, np.ndarray | int])
def test_a_field_holds_an_array(name, annotation):
    holders = field_type(annotation)
    kept = Collection(MemoryStore(serialize=name), holders._type.cls)
    kept.add(holders._type.cls(1, np.arange(6).reshape(2, 3)))
    assert (kept[1].x == np.arange(6).reshape(2, 3)).all()
    assert kept.find("$[?(@.x == 5)]").count() == 0
    assert kept.find("$[?(@.x > 5)]").count() == 0
    assert kept.update(1, x=np.zeros(2)).x.tolist() == [0, 0]


def test_queries_see_the_packed_value_of_a_field():
    holders = field_type(Path)
    holders.add(holders._type.cls(1, Path("/a/b")))
    assert holders.find('$[?(@.x == "/a/b")]').count() == 1
    assert list(holders.find().values("x")) == ["/a/b"]


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (Money, Cash(1), "x: expected Money, got Cash Money(1, 'EUR'), a subclass: it would come"),
        (Money, 5, "x: expected Money, got int 5"),
        (Path, "a", "x: expected Path, got str 'a'"),
        (Path, PureWindowsPath("a"), "x: expected Path, got PureWindowsPath"),
        (Shape, Shape(), "x: expected Shape, got Shape"),
        (Pair, Plain(1), "x: expected Pair, got Plain"),
        (Pair, (1, None), "x: expected Pair, got tuple (1, None)"),
        (Pair, Pair("a"), "x.x: expected int, got str 'a'"),
        (Folder, Folder("a"), "x.path: expected Path, got str 'a'"),
        (Any, Pair(1), "would come back as a plain tuple; convert it first, name its type in the"),
        (Any, Folder(Path("a")), "call register_type() to store Folder"),
        (Wrapped | None, Wrapped(None), "is stored as None, and would come back as None"),
        (np.ndarray, np.array([None]), "its dtype contains Python objects"),
    ],
    ids=str,
)
def test_a_value_that_does_not_fit_is_refused_with_the_path(annotation, value, message):
    holders = field_type(annotation)
    with pytest.raises(RecordError) as caught:
        holders.add(holders._type.cls(1, value))
    assert message in str(caught.value)
    assert len(holders) == 0


def test_what_the_class_of_a_field_refuses_is_an_error_of_the_record():
    holders = field_type(Checked)
    with pytest.raises(RecordError, match=r"x: Checked refuses the fields: ValueError: too young"):
        holders._type.load({"id": 1, "x": {"age": -1}})
    with pytest.raises(RecordError, match=r"x: expected .*'test\.money' makes, got int 5"):
        field_type(Money)._type.load({"id": 1, "x": 5})


def test_two_values_that_are_packed_as_one_are_refused_in_a_set():
    class Rounded:
        def __init__(self, number: float) -> None:
            self.number = number

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Rounded) and self.number == other.number

        def __hash__(self) -> int:
            return hash(self.number)

    register_type(Rounded, "test.rounded", lambda it: round(it.number), Rounded)
    for annotation, value in [
        (set[Rounded], {Rounded(1.1), Rounded(1.2)}),
        (dict[Rounded, int], {Rounded(1.1): 1, Rounded(1.2): 2}),
    ]:
        holders = field_type(annotation)
        with pytest.raises(RecordError, match="x: two elements of it would come back as one"):
            holders.add(holders._type.cls(1, value))


def test_a_class_that_is_not_registered_is_refused_with_what_to_do():
    class Unknown: ...

    with pytest.raises(CollectionError, match=r"x: Unknown cannot be stored: .*register_type\(\)"):
        field_type(Unknown)


def test_a_field_whose_type_became_a_union_reads_its_records():
    one, grown = field_type(IPv4Address), field_type(IPv4Address | IPv6Address | None)
    stored = one._type.dump(one._type.cls(1, IPv4Address("10.0.0.1")))
    assert grown._type.load(stored).x == IPv4Address("10.0.0.1")
    again = grown._type.dump(grown._type.load(stored))
    assert one._type.load(again).x == IPv4Address("10.0.0.1")


@pytest.mark.parametrize("name", [*SAFE, "pickle"])
@pytest.mark.parametrize(
    ("one", "several", "value", "other"),
    [
        (Path, Path | int, Path("a"), Path("b")),
        (Money, Money | Path, Money(1), Money(2)),
        (list[Path], list[Path | int], [Path("a")], [Path("b")]),
        (np.float64, np.float64 | str, np.float64(1.5), np.float64(2.5)),
        (np.ndarray, np.ndarray | str, np.arange(3), np.arange(4)),
        (dict[str, np.ndarray], Any, {"a": np.arange(3)}, {"a": np.arange(4)}),
    ],
    ids=str,
)
def test_queries_find_a_value_in_each_of_its_stored_forms(name, one, several, value, other):
    def holder(annotation: Any) -> Any:
        members = {"id": key(type=int), "x": field(type=annotation, eq=False)}
        return attrs.make_class("Holder", members)

    store = MemoryStore(serialize=name)
    small = Collection(store, holder(one))
    large = Collection(store, holder(several))
    small.add(small._type.cls(1, value))
    large.add_many([large._type.cls(2, value), large._type.cls(3, other)])
    for holders, found in [(small, [1, 2]), (large, [2] if several is Any else [1, 2])]:
        rest = sorted({1, 2, 3} - {*found})
        assert list(holders.find(x=value).keys()) == found
        assert list(holders.find("@.x == {x}", x=value).keys()) == found
        assert list(holders.find("@.x != {x}", x=value).keys()) == rest


def test_a_given_scalar_of_numpy_has_an_order_with_the_stored_numbers():
    holders = field_type(np.float64)
    holders.add_many(holders._type.cls(number, np.float64(number)) for number in range(4))
    assert list(holders.find("@.x < {x}", x=np.float64(2)).keys()) == [0, 1]
    assert list(holders.find("@.x >= {x}", x=np.float64(2)).keys()) == [2, 3]


@pytest.mark.parametrize("annotation", [Any, np.ndarray | str, np.ndarray], ids=str)
def test_an_array_that_the_constructor_copies_is_the_same_array(annotation):
    holders = field_type(annotation, converter=np.array)
    holders.add(holders._type.cls(1, np.arange(3)))
    assert (holders[1].x == np.arange(3)).all()
    growing = field_type(annotation, converter=lambda array: np.append(array, 1))
    with pytest.raises(RecordError, match="once it is read back"):
        growing.add(growing._type.cls(1, np.arange(3)))


def test_register_type_is_a_public_name_with_types():
    assert "register_type" in stones.__all__
    assert issubclass(SerializerError, StoneError)


def test_a_program_that_keeps_unknown_types_gets_the_bytes_back():
    codec = serializer("json")
    raw = b'{"$type":["other.secret",[1,{"$tuple":[2]}]]}'
    with unknown_types_kept():
        value = codec.decode(raw)
    assert codec.encode(value) == raw
    with pytest.raises(FormatMismatchError, match=ADVICE):
        codec.decode(raw)
