"""import_from into a collection: what becomes a record, what does not, and nothing by halves."""

import copy
import json
import shelve
from collections import OrderedDict
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address
from typing import Any
from uuid import UUID

import attrs
import pytest
from attrs import Factory, define, evolve, field, frozen, validators
from hypothesis import example, given
from hypothesis import strategies as st

from stones import (
    Collection,
    CollectionError,
    MemoryStore,
    MigrationError,
    ReadOnlyError,
    RecordError,
    ValueTypeError,
    check,
    import_from,
    index,
    key,
)
from stones.collections.records.plain_forms import JsonFloat
from stones.collections.records.quick_check import quick_check
from stones.collections.records.record_type import record_type


class Colour(Enum):
    NAVY = "navy"
    SEVEN = 7


@define
class City:
    name: str
    founded: date | None = None


@define
class User:
    email: str = key()
    age: int
    born: date | None = None
    seen: datetime | None = None
    wakes: time | None = None
    balance: Decimal = Decimal(0)
    token: UUID | None = None
    tags: tuple[str, ...] = ()
    marks: set[int] = Factory(set)
    points: dict[int, float] = Factory(dict)
    colour: Colour = Colour.NAVY
    cities: list[City] = Factory(list)
    ratio: float = 0.5
    active: bool = True
    address: IPv4Address | None = None
    other: Any = None


RECORD = User(
    "ada@example.org",
    36,
    date(1815, 12, 10),
    datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC),
    time(7, 30),
    Decimal("1234567890.10"),
    UUID(int=7),
    ("a", "b"),
    {1, 2},
    {1: 0.5, 20: 2.0},
    Colour.SEVEN,
    [City("London", date(1, 1, 1)), City("Rome")],
    0.1,
    False,
    IPv4Address("10.0.0.1"),
    [1.5, {"a": None}],
)
AS_JSON = """{"email": "ada@example.org", "age": 36, "born": "1815-12-10",
"seen": "2024-05-06T07:08:09.123456Z", "wakes": "07:30", "balance": 1234567890.10,
"token": "00000000-0000-0000-0000-000000000007", "tags": ["a", "b"], "marks": [1, 2],
"points": {"1": 0.5, "20": 2.0}, "colour": 7, "cities": [{"name": "London",
"founded": "0001-01-01"}, {"name": "Rome"}], "ratio": 0.1, "active": false,
"address": "10.0.0.1", "other": [1.5, {"a": null}]}""".replace("\n", " ")


@pytest.fixture
def lines(tmp_path):
    """Makes a file of these lines."""

    def write(*lines):
        path = tmp_path / "old.jsonl"
        path.write_text("".join(f"{line}\n" for line in lines))
        return path

    return write


@pytest.fixture
def users():
    return Collection(MemoryStore(), User)


def test_json_becomes_the_types_of_the_class(lines, users):
    import_from(lines(AS_JSON), users)
    assert dict(users) == {"ada@example.org": RECORD}
    assert type(users["ada@example.org"].other[0]) is float


@frozen
class Place:
    name: str
    day: date


@frozen
class Event:
    day: datetime


@define
class Tree:
    born: date
    children: list["Tree"] = Factory(list)
    first: "Tree | None" = None


def test_types_inside_of_types_become_those_of_the_class(lines):
    @define
    class Nested:
        id: int = key()
        either: Place | Event
        both: tuple[int, date]
        places: set[Place]
        by_day: dict[date, list[time]]
        several: date | int | None
        tree: Tree

    nested = Collection(MemoryStore(), Nested)
    tree = '{"born": "2024-01-03", "first": {"born": "2024-01-04"}}'
    import_from(
        lines(
            '{"id": 1.0, "either": {"_type": "Event", "day": "2024-01-01T10:00"}, "both": [1, '
            '"2024-01-02"], "places": [{"name": "a", "day": "2024-01-02"}], "by_day": '
            '{"2024-01-02": ["10:00"]}, "several": "2024-01-02", "tree": {"born": "2024-01-02", '
            f'"children": [{tree}]}}}}'
        ),
        nested,
    )
    day = date(2024, 1, 2)
    assert nested[1] == Nested(
        1,
        Event(datetime(2024, 1, 1, 10)),
        (1, day),
        {Place("a", day)},
        {day: [time(10)]},
        day,
        Tree(day, [Tree(date(2024, 1, 3), [], Tree(date(2024, 1, 4)))]),
    )


def test_numbers_beside_a_text_with_a_dollar_sign_keep_their_digits(tmp_path, users):
    path = tmp_path / "old.jsonl"
    path.write_text('{"email": "a", "age": 1, "balance": 0.10000000000000000001, "other": "$5"}\n')
    import_from(path, users)
    assert users["a"] == User("a", 1, balance=Decimal("0.10000000000000000001"), other="$5")


def test_cells_of_csv_become_the_types_of_the_class(tmp_path, users):
    path = tmp_path / "old.csv"
    path.write_text(
        "email,age,born,seen,wakes,balance,token,tags,marks,points,colour,cities,ratio,active,"
        "address,other\n"
        "ada@example.org,36,1815-12-10,2024-05-06 07:08:09.123456+00:00,07:30,1234567890.10,"
        '00000000-0000-0000-0000-000000000007,"[""a"",""b""]","[1,2]","{""1"":0.5,""20"":2}",'
        '7,"[{""name"":""London"",""founded"":""0001-01-01""},{""name"":""Rome""}]",1e-1,FALSE,'
        "10.0.0.1,\n"
        "bob@example.org,-17,,,,-.5,,[],[],{},navy,[],3,1,,text\n"
    )
    import_from(path, users)
    assert users["ada@example.org"] == evolve(RECORD, other="", points={1: 0.5, 20: 2})
    assert users["bob@example.org"] == User(
        "bob@example.org", -17, balance=Decimal("-0.5"), ratio=3.0, other="text"
    )


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("born", '"2024-05-06T00:00:00"', "born: expected date"),
        ("seen", '"2024-05-06"', "seen: expected datetime"),
        ("seen", '"2024-05-06T07:08:09.123456789Z"', "seen: expected datetime"),
        ("wakes", '"7 o\'clock"', "wakes: expected time"),
        ("balance", '"much"', "balance: expected Decimal"),
        ("token", '"7"', "token: expected UUID"),
        ("age", '"36"', "age: expected int"),
        ("age", "36.5", "age: expected int"),
        ("age", "1e300", "age: expected int"),
        ("ratio", "1e400", "the number '1e400' is out of the range of float"),
        ("other", "[1e400]", "the number '1e400' is out of the range of float"),
        ("marks", "[1, 1]", "marks: expected set"),
        ("points", '{"01": 1}', "points: a key of the dict: expected int"),
        ("colour", '"red"', "colour: expected the value of a Colour"),
        ("cities", '[{"name": "Rome", "size": 1}]', "cities"),
        ("cities", '[{"name": "Rome", "founded": "x"}]', r"cities\[0\].founded: expected date"),
        ("nothing", "1", "User has no field 'nothing'.*unknown='drop' leaves it out"),
    ],
)
def test_what_would_lose_something_is_named_with_its_line(lines, users, name, value, reason):
    path = lines(
        AS_JSON, f'{{"email": "b", "age": 1, "{name}": {value}}}'.replace('"age": 1, "age', '"age')
    )
    with pytest.raises(MigrationError, match=f"1 of 2 entries .*line 2: {reason}"):
        import_from(path, users)
    assert len(users) == 0


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("007", "age: expected int, got str '007'"),
        ("", "age: expected int, got str ''"),
        ("1.0", "age: expected int"),
        ("1_000", "age: expected int"),
        ("yes", "age: expected int"),
    ],
)
def test_a_cell_that_would_lose_something_is_named(tmp_path, users, cell, reason):
    path = tmp_path / "old.csv"
    path.write_text(f"email,age\na,{cell}\n")
    with pytest.raises(MigrationError, match=f"line 2: {reason}"):
        import_from(path, users, delimiter=",")


def test_an_empty_cell_is_none_where_the_field_may_be_none(tmp_path):
    @define
    class Row:
        id: str = key()
        text: str
        maybe: str | None
        either: int | str

    path = tmp_path / "old.csv"
    path.write_text("id,text,maybe,either\na,,,5\n")
    rows = Collection(MemoryStore(), Row)
    import_from(path, rows)
    assert rows["a"] == Row("a", "", None, "5")


def test_bytes_and_durations_of_a_cell_are_as_an_export_writes_them(tmp_path):
    @define
    class Row:
        id: str = key()
        raw: bytes
        took: timedelta

    path = tmp_path / "old.csv"
    path.write_text("id,raw,took\na,AP8=,1.5\nb,,-86400.000001\n")
    rows = Collection(MemoryStore(), Row)
    import_from(path, rows)
    assert rows["a"] == Row("a", b"\x00\xff", timedelta(seconds=1.5))
    assert rows["b"] == Row("b", b"", -timedelta(days=1, microseconds=1))
    path.write_text("id,raw,took\na,AP8,0.0000001\nb,ab c,1\n")
    with pytest.raises(MigrationError, match=r"2 of 2 .*raw: expected bytes"):
        import_from(path, rows)


def test_a_column_without_a_field_is_told_before_any_row(tmp_path, users):
    path = tmp_path / "old.csv"
    path.write_text("email,age,E-Mail\na,b,c\n")
    with pytest.raises(MigrationError, match="User has no field for the column 'E-Mail'"):
        import_from(path, users)


def test_validators_and_converters_of_the_class_are_asked(lines):
    @define
    class Checked:
        name: str = key(converter=str.lower)
        age: int = field(validator=validators.ge(18))

    @define
    class Converted:
        id: str = key(converter=str.strip)
        price: Decimal = field(converter=abs)

    converted = Collection(MemoryStore(), Converted)
    import_from(lines('{"id": " a ", "price": -1.10}'), converted)
    assert str(converted["a"].price) == "1.10"

    checked = Collection(MemoryStore(), Checked)
    with pytest.raises(MigrationError, match=r"1 of 2 .*line 2: .*'age' must be >= 18"):
        import_from(lines('{"name": "ADA", "age": 36}', '{"name": "bob", "age": 17}'), checked)
    assert len(checked) == 0
    import_from(lines('{"name": "ADA", "age": 36}'), checked)
    assert dict(checked) == {"ada": Checked("ada", 36)}


def test_code_of_a_class_that_makes_instances_is_run(lines):
    @define(slots=False)
    class Own:
        name: str = key()

        def __setattr__(self, name, value):
            object.__setattr__(self, name, value.upper())

    own = Collection(MemoryStore(), Own)
    import_from(lines('{"name": "ada"}'), own)
    assert [*own] == ["ADA"]


def test_fields_that_the_class_lacks_are_left_out_if_the_collection_drops_them(lines):
    notes = Collection(MemoryStore(), Note, unknown="drop")
    report = import_from(lines('{"text": "a", "size": 1}', '{"text": "b", "size": 2}'), notes)
    assert report.notes == ("the field 'size' of 2 entries: the class does not have it",)
    assert [note.text for note in notes.values()] == ["a", "b"]


# -- keys --------------------------------------------------------------------------------------


@define
class Note:
    text: str


@define
class Kept:
    email: str = key()
    slot: int | None = None


@define
class Visit:
    city: str = key()
    day: int = key()


def test_the_key_of_an_entry_becomes_the_key_field(tmp_path, users):
    with shelve.open(str(tmp_path / "old")) as old:
        old["ada"] = OrderedDict(age=36)
        old["bob"] = {"age": 17, "email": "bob"}
        old["eve"] = User("eve", 52)
    report = import_from(tmp_path / "old", users, trust_pickle=True)
    assert dict(users) == {"ada": User("ada", 36), "bob": User("bob", 17), "eve": User("eve", 52)}
    assert report.notes == ()


def test_a_key_that_is_lost_is_noted_unless_a_field_keeps_it(tmp_path):
    with shelve.open(str(tmp_path / "old")) as old:
        old["7"] = {"email": "ada"}
        old["8"] = Kept("bob")
    kept = Collection(MemoryStore(), Kept)
    report = import_from(tmp_path / "old", kept, trust_pickle=True)
    assert report.notes[0].startswith("the keys of 2 entries: their records have other keys; key=")
    with shelve.open(str(tmp_path / "old")) as old:
        del old["8"]
    import_from(tmp_path / "old", kept, key="slot", trust_pickle=True, on_duplicate="replace")
    assert kept["ada"] == Kept("ada", 7)
    with pytest.raises(RecordError, match="has no field 'place'"):
        import_from(tmp_path / "old", kept, key="place", trust_pickle=True)


def test_a_named_key_field_with_another_value_is_refused(tmp_path, users):
    with shelve.open(str(tmp_path / "old")) as old:
        old["ada"] = {"email": "eve", "age": 1}
    with pytest.raises(
        MigrationError, match=r"email: the record has str 'eve', and its key .*'ada'"
    ):
        import_from(tmp_path / "old", users, key="email", trust_pickle=True)


def test_a_class_without_key_fields_gets_new_keys_or_keeps_uuids(tmp_path, lines):
    notes = Collection(MemoryStore(), Note)
    import_from(lines('{"text": "a"}', '{"text": "b"}'), notes)
    assert [note.text for note in notes.values()] == ["a", "b"]
    mine = UUID(int=5)
    report = import_from(lines(f'{{"_key": {{"$UUID": "{mine}"}}, "text": "c"}}'), notes)
    assert notes[mine] == Note("c")
    assert report.notes == ()


def test_several_key_fields_are_read_from_the_record(lines):
    visits = Collection(MemoryStore(), Visit)
    import_from(lines('{"city": "Paris", "day": 7}'), visits)
    assert dict(visits) == {("Paris", 7): Visit("Paris", 7)}


def test_the_id_of_nedb_is_left_out_or_becomes_the_key(tmp_path):
    @define
    class Person:
        name: str = key()

    path = tmp_path / "old.db"
    path.write_text('{"_id":"abcdefghijklmnop","name":"ada"}\n')
    people = Collection(MemoryStore(), Person)
    assert import_from(path, people).notes[0].startswith("the keys of 1 entry")
    assert [*people] == ["ada"]
    path.write_text('{"_id":"abcdefghijklmnop"}\n')
    import_from(path, people)
    assert [*people] == ["abcdefghijklmnop", "ada"]


# -- all or nothing ----------------------------------------------------------------------------


def test_all_that_does_not_fit_is_counted_and_nothing_is_written(lines, users):
    users["z"] = User("z", 1)
    wrong = [f'{{"email": "{number}"}}' for number in range(1500)]
    path = lines('{"email": "good", "age": 1}', "no JSON", "5", *wrong)
    with pytest.raises(MigrationError) as error:
        import_from(path, users)
    assert "1,502 of 1,503 entries cannot be taken over, and nothing was written" in str(
        error.value
    )
    assert "; and 1,497 more, which dry_run=True (`stones import --dry-run`) lists" in str(
        error.value
    )
    report = import_from(path, users, dry_run=True)
    assert (report.written, report.failed, len(report.failures)) == (1, 1502, 1000)
    assert str(report.failures[0]).startswith("line 2: it is no JSON")
    assert str(report.failures[1]).startswith("line 3: expected a dict of the fields of User")
    assert dict(users) == {"z": User("z", 1)}


def test_a_dry_run_writes_nothing(lines, users):
    report = import_from(lines(AS_JSON), users, dry_run=True)
    assert (report.written, report.failed) == (1, 0)
    assert len(users) == 0
    store = MemoryStore()
    assert import_from(lines(AS_JSON), store, dry_run=True, key="email").written == 1
    assert len(store) == 0


@pytest.mark.parametrize("form", ["collection", "store"])
def test_keys_that_are_there_already_are_named_skipped_or_replaced(lines, form):
    store = MemoryStore(key_type=str)
    visits = Collection(store, Visit, "visits")
    target = Collection(store, City_, "cities") if form == "collection" else store
    path = lines('{"name": "a", "n": 1}', '{"name": "b", "n": 1}', '{"name": "b", "n": 2}')
    options = {} if form == "collection" else {"key": "name"}
    assert len(visits) == 0

    def values():
        found = {name: target[name] for name in ("a", "b")}
        return {name: n["n"] if form == "store" else n.n for name, n in found.items()}

    with pytest.raises(MigrationError, match=r"1 of 3 .*line 3: .* is there already"):
        import_from(path, target, **options)
    report = import_from(path, target, on_duplicate="skip", **options)
    assert (report.written, report.skipped, values()) == (2, 1, {"a": 1, "b": 1})
    report = import_from(path, target, on_duplicate="replace", **options)
    assert (report.written, report.skipped, values()) == (3, 0, {"a": 1, "b": 2})
    with pytest.raises(MigrationError, match="3 of 3 entries"):
        import_from(path, target, **options)
    with pytest.raises(CollectionError, match='on_duplicate is "error", "skip" or "replace"'):
        import_from(path, target, on_duplicate="merge", **options)


@define
class City_:  # noqa: N801  # City has another key
    name: str = key()
    n: int


@define
class Indexed:
    id: int = key()
    mail: str = index(unique=True)
    city: str = index()


def test_indexes_and_counts_are_kept_and_unique_values_checked(lines):
    found = Collection(MemoryStore(), Indexed)
    rows = [{"id": n, "mail": f"m{n}", "city": f"c{n % 3}"} for n in range(3000)]
    import_from(lines(*map(json.dumps, rows)), found)
    assert len(found) == 3000
    assert found.find(city="c1").count() == 1000
    assert found.find(mail="m2999").one().id == 2999
    with pytest.raises(
        MigrationError, match=r"1 of 2 .*line 2: Indexed\[9001\] has the same mail as Indexed\[5\]"
    ):
        import_from(
            lines(
                '{"id": 9000, "mail": "m9000", "city": "x"}',
                '{"id": 9001, "mail": "m5", "city": "x"}',
            ),
            found,
        )
    with pytest.raises(MigrationError, match=r"1 of 2 .*line 2: Indexed\[9001\] has the same mail"):
        import_from(
            lines(
                '{"id": 9000, "mail": "same", "city": "x"}',
                '{"id": 9001, "mail": "same", "city": "x"}',
            ),
            found,
        )
    assert len(found) == 3000
    assert found.find(city="x").count() == 0


def test_an_import_that_fails_leaves_a_new_collection_as_it_was(lines):
    store = MemoryStore()
    found = Collection(store, Indexed)
    bad = lines('{"id": 1, "mail": "a", "city": "c"}', '{"id": 2}')
    assert import_from(bad, found, dry_run=True).failed == 1
    with pytest.raises(MigrationError):
        import_from(bad, found)
    assert found.indexes == ()
    assert [*store] == []
    assert found.add(Indexed(3, "b", "c")) == 3
    import_from(lines('{"id": 4, "mail": "d", "city": "c"}'), found)
    assert [record.id for record in found.find(city="c")] == [3, 4]
    assert {index.name for index in found.indexes} == {"mail", "city"}
    assert check(store).findings == ()


def test_a_record_is_stored_as_add_stores_it(lines):
    ours, theirs = MemoryStore(), MemoryStore()
    Collection(theirs, Indexed).add(Indexed(1, "m", "c"))
    import_from(lines('{"city": "c", "mail": "m", "id": 1}'), Collection(ours, Indexed))
    assert dict(ours) == dict(theirs)
    assert list(ours["Indexed/\x81\x01".encode("latin-1")]) == ["id", "mail", "city"]


def test_raw_keys_of_a_collection_are_refused_and_named(lines):
    store = MemoryStore()
    Collection(store, Visit, "v").add(Visit("Paris", 1))
    path = lines('{"key": "a", "value": 1}', '{"key": "v/x", "value": 1}')
    with pytest.raises(MigrationError, match=r"1 of 2 .*line 2: .*belongs to the collection 'v'"):
        import_from(path, store)
    assert len(store) == 1


def test_values_that_the_serializer_cannot_hold_are_named(tmp_path):
    with shelve.open(str(tmp_path / "old")) as old:
        old["good"], old["bad"], old[""] = 1, Note("a"), 2
    store = MemoryStore(serialize="msgpack")
    with pytest.raises(MigrationError, match="2 of 3 ") as error:
        import_from(tmp_path / "old", store, trust_pickle=True)
    assert "'bad': " in str(error.value)
    assert "'': a key has at least 1 byte" in str(error.value)


def test_a_namespace_takes_entries_too(lines):
    store = MemoryStore(key_type=str)
    import_from(lines('{"key": "a", "value": 1}'), store.namespace("old/"), prefix="x-")
    assert store.namespace("old/")["x-a"] == 1


def test_what_takes_no_entries_is_refused(lines, users):
    path = lines(AS_JSON)
    store = MemoryStore()
    with pytest.raises(ValueTypeError, match="takes an open store or a collection, not dict"):
        import_from(path, {})
    with pytest.raises(ValueTypeError, match="prefix= is for the keys of a store"):
        import_from(path, users, prefix="a")
    with store.snapshot() as snapshot, pytest.raises(ReadOnlyError):
        import_from(path, Collection(snapshot, User))
    with store.transaction(), pytest.raises(MigrationError, match="call it outside of any"):
        import_from(path, store)


def test_progress_is_told_after_each_thousand(lines):
    told = []
    path = lines(*(f'{{"text": "{number}"}}' for number in range(2500)))
    import_from(path, Collection(MemoryStore(), Note), progress=told.append)
    assert told == [1000, 2000]


def test_an_error_of_progress_undoes_all(lines, users):
    path = lines(*(f'{{"email": "{number}", "age": 1}}' for number in range(2500)))
    with pytest.raises(ZeroDivisionError):
        import_from(path, users, progress=lambda number: number // 0)
    assert len(users) == 0


# -- the quick check is the class ----------------------------------------------------------------


@define
class Plain:
    a: int = key()
    b: float
    c: str | None
    d: list[int]
    e: dict[str, Any] = Factory(dict)
    f: City | None = None
    g: list[City] = Factory(list)


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=3),
    st.lists(st.one_of(st.integers(), st.text(max_size=2)), max_size=3),
    st.dictionaries(st.sampled_from(["name", "x"]), st.text(max_size=2), max_size=2),
    st.fixed_dictionaries({"name": st.text(max_size=2), "founded": st.none() | st.dates()}),
    st.lists(st.fixed_dictionaries({"name": st.text(max_size=2), "founded": st.none()})),
)


cities = st.fixed_dictionaries({"name": st.text(max_size=2), "founded": st.none() | st.dates()})
fitting = st.fixed_dictionaries(
    {
        "a": st.integers(),
        "b": st.floats() | st.integers(),
        "c": st.none() | st.text(max_size=2),
        "d": st.lists(st.integers(), max_size=2),
        "e": st.dictionaries(st.text(max_size=2), st.integers() | st.dates(), max_size=2),
        "f": st.none() | cities,
        "g": st.lists(cities, max_size=2),
    }
)
changes = st.dictionaries(st.sampled_from("abcdefg"), values, max_size=1)


@given(fitting, changes)
@example({"a": 1, "b": 1, "c": None, "d": [], "e": {}, "f": None, "g": []}, {})
def test_the_quick_check_gives_what_load_and_dump_give(fitting, changes):
    kind = record_type(Plain)
    fields = {**fitting, **changes}
    quick = quick_check(kind.schema)(copy.deepcopy(fields))
    assert quick is not None or changes
    if quick is None:
        return
    stored = kind.dump(kind.load(copy.deepcopy(fields)))
    assert repr(quick) == repr(stored)
    assert [*map(type, quick.values())] == [*map(type, stored.values())]


def test_a_class_whose_constructor_may_change_fields_has_no_quick_check():
    @define
    class Validated:
        a: int = field(validator=validators.ge(1))

    @define
    class Hooked:
        a: int

        def __attrs_post_init__(self):
            self.a += 1

    @define
    class Computed:
        a: int
        b: int = field(init=False, default=1)

    for cls in (Validated, Hooked, Computed):
        assert quick_check(record_type(cls).schema) is None
    assert quick_check(record_type(Plain).schema) is not None


def test_a_number_of_json_keeps_its_text():
    assert JsonFloat("1.10").text == "1.10"
    assert JsonFloat("1.10") == 1.1
    assert attrs.has(User)
