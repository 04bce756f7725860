"""Scans of compressed and encrypted records find what scans of plain records find.

The fast lanes read what the serializer made, unpacked. What they find, and the error of a damaged
record, never depend on the lane. The lanes themselves are in test_scans.py.
"""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from attrs import define
from hypothesis import given
from hypothesis import strategies as st

from stones import (
    Collection,
    CorruptValueError,
    LmdbStore,
    MemoryStore,
    SqliteStore,
    StoneError,
    key,
    migrate,
)
from stones.collections.language.jsonpath import parse_filter
from stones.collections.scans import scan
from stones.collections.scans.page_filter import PageFilter
from stones.engine import Space
from stones.formats.metadata import write_formats

KEY = b"k" * 32
OTHER_KEY = b"o" * 32
LANES = [None, "bytes", "fields", "value"]
SERIALIZERS = ["msgpack", "json", "cbor", "pickle"]
FORMATS: dict[str, dict[str, Any]] = {
    "zstd": {"compress": "zstd"},
    "encrypted": {"encrypt": KEY},
    "zstd, encrypted": {"compress": "zstd", "encrypt": KEY},
    "zstd, checksums": {"compress": "zstd", "checksums": True},
    "encrypted, checksums": {"encrypt": KEY, "checksums": True},
}
PROVEN = [name for name in FORMATS if name != "zstd"]
FILTERS = [
    *("@.a == 5", "@.a > 3", "@.a != 5", "@.a", "!@.a", '@.a == "Rome"', '@.b.a == "Rome"'),
    *('@.b.a =~ "^R"', "@.b[*] == 5", '@.a == "Rome" || @.b.a == 5', "@.a < 4 && @.b.a", "@.a*2>9"),
]


@define
class Loose:
    id: int = key()
    a: Any = None
    b: Any = None


def collection(format, serialize="msgpack", records=(), store=None):
    if store is None:
        store = MemoryStore(serialize=serialize, **FORMATS.get(format, {}))
    loose = Collection(store, Loose)
    loose.add_many(Loose(place, *fields) for place, fields in enumerate(records))
    return loose


def bound(text):
    return parse_filter(text).bound({})


def damaged(loose, place, change):
    """Change the stored bytes of one record: `change` takes its stored key too."""
    inside = loose._records
    stored = inside.encode_key(place)
    with inside.database.writing() as txn:
        txn.put(Space.DATA, stored, change(stored, txn.get(Space.DATA, stored)))


def outcome(find):
    """What an iterator gives, and the error that ends it, if one does."""
    found = []
    try:
        for each in find:
            found.append(each)  # noqa: PERF402  # the error comes in between
    except StoneError as error:
        return found, type(error), str(error)
    return found, None, ""


def outcomes(loose, text, lane):
    """What each function of a scan gives."""
    inside = loose._records
    arguments = inside, inside.span, [bound(text)]

    def counted():
        yield scan.count(*arguments, lane=lane)

    paths = [["a"], ["b", "a"]]
    return [
        outcome(scan.keys(*arguments, lane=lane)),
        outcome(scan.matches(*arguments, lane=lane)),
        outcome(scan.field_values(*arguments, paths, lane=lane)),
        outcome(scan.field_values(inside, inside.span, [], paths, lane=lane)),
        outcome(counted()),
    ]


def is_read_by_fast_lanes(loose, text="@.a == 5"):
    """Whether a fast lane looks at a page of the records, and can read each of them."""
    inside = loose._records
    with inside.database.reading() as txn:
        filter = PageFilter([bound(text)], inside.reader_at(txn), lane="fields")
        entries = txn.scan(Space.DATA, inside.span.start, inside.span.stop)
        page = filter.page(*zip(*entries, strict=True))
        return page is not None and not page.unreadable


# -- the same answers ----------------------------------------------------------------------------

atoms = st.one_of(
    st.sampled_from([5, 5.0, 0, "Rome", "", None, True, Decimal(5), date(2024, 1, 1), 2**80]),
    st.integers(-10, 10),
    st.floats(allow_nan=False),
    st.text(max_size=5),
    st.binary(max_size=3),
)
inner = st.one_of(atoms, st.lists(atoms, max_size=3), st.dictionaries(st.sampled_from("ab"), atoms))
records = st.lists(st.tuples(st.one_of(atoms, inner), inner), min_size=1, max_size=20)


@given(
    records,
    st.sampled_from(FILTERS),
    st.sampled_from(SERIALIZERS),
    st.sampled_from(sorted(FORMATS)),
    st.sampled_from(LANES),
)
def test_packed_records_are_found_as_plain_ones(records, text, serialize, format, lane):
    plain = collection("plain", serialize, records)
    packed = collection(format, serialize, records)
    assert outcomes(packed, text, lane) == outcomes(plain, text, "value")


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("serialize", SERIALIZERS)
@pytest.mark.parametrize("format", FORMATS)
def test_records_of_several_formats_are_found_in_every_lane(format, serialize, lane):
    """Some are under an older key, some are plain, some are in the format of new records."""
    expected = collection("plain", serialize, [(n % 7, {"a": "Rome"}) for n in range(60)])
    store = MemoryStore(serialize=serialize, encrypt=[OTHER_KEY, KEY])
    mixed = collection(format, store=store, records=[(n % 7, {"a": "Rome"}) for n in range(60)])
    options = FORMATS[format]
    database = mixed._records.database
    _, newer = database.codec.request.keys
    parts = [
        {"encryption": None},
        {
            "compression": options.get("compress"),
            "encryption": newer if "encrypt" in options else None,
            "checksums": options.get("checksums", False),
        },
    ]
    for step, changes in enumerate(parts):
        with database.writing() as txn:
            write_formats(txn, database.codec.metadata.migrating_to(**changes))
            database.reload(txn)
        for n in range(step, 60, 3):
            mixed.put(Loose(n, n % 7, {"a": "Rome"}))
    firsts = {store.database.get(mixed._records.encode_key(n))[0] for n in range(60)}
    assert len(firsts) == 3
    for text in FILTERS:
        assert outcomes(mixed, text, lane) == outcomes(expected, text, "value"), text


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("format", FORMATS)
def test_a_query_sees_the_defaults_of_later_fields_of_packed_records(format, lane):
    @define
    class First:
        id: int = key()
        name: str = ""

    @define
    class Then:
        id: int = key()
        name: str = ""
        age: int = 30

    store = MemoryStore(serialize="msgpack", **FORMATS[format])
    Collection(store, First, name="people").add_many(First(n, f"{n}") for n in range(20))
    people = Collection(store, Then, name="people")
    people.add(Then(20, "new", 31))
    inside = people._records
    for text, expected in {"@.age == 30": 20, "@.age > 30": 1, '@.name == "7"': 1}.items():
        found = list(scan.matches(inside, inside.span, [bound(text)], lane=lane))
        assert len(found) == expected
        assert all("age" in value for _, value in found)


@pytest.mark.parametrize("engine", [MemoryStore, LmdbStore, SqliteStore])
@pytest.mark.parametrize("format", PROVEN)
def test_a_large_packed_collection_is_found_on_each_engine_and_in_a_snapshot(
    engine, format, tmp_path
):
    place = [] if engine is MemoryStore else [tmp_path / "db"]
    with engine(*place, serialize="json", **FORMATS[format]) as store:
        many = collection(format, store=store, records=[(n % 50, "x" * 20) for n in range(3000)])
        with store.snapshot() as view:
            kept = Collection(view, Loose)
            many.put(Loose(7, "changed"))
            assert kept.find("@.a == 7").count() == 60
            assert kept.find("@.a == 7").to_list() == [
                Loose(n, 7, "x" * 20) for n in range(7, 3000, 50)
            ]
        assert many.find("@.a == 7").count() == 59
        assert many.find("@.a >= 0").sum("a") == sum(n % 50 for n in range(3000)) - 7
        assert [each.id for each in many.find("@.a > 40").order_by("-a").limit(2)] == [49, 99]
        assert many.find('@.a == "changed"').one() == Loose(7, "changed")


@pytest.mark.parametrize("lane", LANES)
def test_pages_of_very_large_values_are_not_unpacked_as_a_whole(lane):
    text = "Rome" * 700_000
    large = collection("zstd, encrypted", records=[(n, text) for n in range(6)])
    inside = large._records
    found = scan.matches(inside, inside.span, [bound('@.a > 3 && @.b =~ "^Rome"')], lane=lane)
    assert [value for _, value in found] == [{"id": n, "a": n, "b": text} for n in (4, 5)]


# -- which records the fast lanes read -----------------------------------------------------------


@pytest.mark.parametrize("serialize", ["msgpack", "json"])
@pytest.mark.parametrize("format", PROVEN)
def test_the_fast_lanes_read_packed_records(format, serialize):
    assert is_read_by_fast_lanes(collection(format, serialize, [(n, "x") for n in range(9)]))


def test_the_fast_lanes_read_a_collection_in_a_format_of_its_own():
    store = MemoryStore(serialize="msgpack")
    loose = collection("plain", store=store, records=[(n, "x") for n in range(9)])
    migrate(loose, encrypt=KEY)
    assert is_read_by_fast_lanes(loose)
    assert [each.id for each in loose.find("@.a > 6")] == [7, 8]
    migrate(store, encrypt=KEY)
    migrate(loose, encrypt=False)
    assert is_read_by_fast_lanes(loose)
    assert [each.id for each in loose.find("@.a > 6")] == [7, 8]


# -- damage --------------------------------------------------------------------------------------

DAMAGES = {
    "a bit": lambda _, raw: raw[:-1] + bytes([raw[-1] ^ 1]),
    "a bit in the middle": lambda _, raw: raw[:9] + bytes([raw[9] ^ 4]) + raw[10:],
    "cut short": lambda _, raw: raw[:-3],
    "too long": lambda _, raw: raw + b"x",
    "empty": lambda _, raw: b"",
    "only a first byte": lambda _, raw: raw[:1],
    "a plain value in its place": lambda _, raw: b"\x04\x83\xa2id\x02\xa1a\x01\xa1b\x01",
    "a format that is not listed": lambda _, raw: b"\x63" + raw[1:],
    "another checksum bit": lambda _, raw: bytes([raw[0] ^ 0x80]) + raw[1:],
}


@pytest.mark.parametrize("lane", [None, "bytes", "fields"])
@pytest.mark.parametrize("serialize", SERIALIZERS)
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("format", FORMATS)
def test_damage_is_met_at_its_place_though_the_record_is_no_match(format, damage, serialize, lane):
    loose = collection(format, serialize, [(n % 3, {"a": "Rome"}) for n in range(40)])
    damaged(loose, 20, DAMAGES[damage])
    for text in ("@.a == 1", '@.b.a == "Bonn"'):
        found = outcomes(loose, text, lane)
        assert found == outcomes(loose, text, "value")
        if format != "zstd":  # compression alone does not notice all damage
            assert all(error is CorruptValueError for _, error, _ in found)
            assert all("b'Loose/" in message for _, _, message in found)


@pytest.mark.parametrize("size", [40, 2500])
@pytest.mark.parametrize("format", PROVEN)
def test_a_record_that_was_moved_from_another_key_is_met(format, size):
    loose = collection(format, records=[(n % 3, "x") for n in range(size)])
    inside = loose._records
    other = inside.database.get(inside.encode_key(1))
    damaged(loose, size - 2, lambda *_: other)
    for query in (loose.find("@.a == 9").count, loose.find("@.a == 9").to_list):
        with pytest.raises(CorruptValueError, match="Loose/"):
            query()


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("serialize", SERIALIZERS)
def test_a_frame_that_gives_other_bytes_is_met_though_nothing_proves_it(serialize, lane):
    """Only the serializer can tell that a compressed value without a checksum is damaged."""
    loose = collection("zstd", serialize, [(n % 3, "x") for n in range(40)])
    codec = loose._records.database.codec
    damaged(loose, 20, lambda stored, raw: codec.wrap(stored, codec.unwrap(stored, raw)[:-1]))
    with pytest.raises(CorruptValueError, match="Loose/"):
        scan.count(loose._records, loose._records.span, [bound("@.a == 9")], lane=lane)


def test_looking_for_one_packed_record_reads_few():
    loose = collection("encrypted", records=[(n, "x") for n in range(4000)])
    damaged(loose, 600, DAMAGES["a bit"])
    query = loose.find("@.a >= 0")
    assert query.exists()
    assert query.first() == Loose(0, 0, "x")
    assert len(query.limit(600).to_list()) == 600
    with pytest.raises(CorruptValueError):
        query.count()
