"""Collections: records of an attrs class under a key prefix, on both back ends."""

import gc
import multiprocessing
import subprocess
import sys
import threading
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, Generic, TypeVar
from uuid import UUID, uuid4

import pytest
from attrs import define, field, frozen, validators
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from stones import (
    Collection,
    CollectionError,
    DuplicateKeyError,
    InvalidKeyError,
    KeyTooLongError,
    KeyTypeError,
    LmdbStore,
    MemoryStore,
    ReadOnlyError,
    RecordError,
    ReservedKeyError,
    StoneError,
    StoreClosedError,
    StoreOpenError,
    ValueTypeError,
    key,
    stone,
)

T = TypeVar("T")


@define
class User:
    email: str = key()
    name: str
    age: int = field(default=0, validator=validators.ge(0))
    tags: list[str] = field(factory=list)


@define
class Note:
    text: str


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@define
class Point:
    x: float
    y: float


@frozen
class Circle:
    centre: Point
    radius: float


@define
class Text:
    at: Point
    words: str


@define
class Box(Generic[T]):
    inside: T


@define
class Everything:
    id: UUID = key()
    shape: Circle | Text
    shapes: list[Circle | Text]
    maybe: Point | None
    colour: Colour
    names: set[str]
    pair: tuple[int, str]
    by_name: dict[str, Point]
    when: datetime
    day: date
    price: Decimal
    box: Box[int]
    _secret: str = "hidden"
    renamed: int = field(default=1, alias="class_")


@pytest.fixture
def users(store):
    return Collection(store, User)


ADA = User("ada@example.org", "Ada", 36, ["math"])
BOB = User("bob@example.org", "Bob", 41)


def test_an_added_record_is_there_under_its_key(users):
    assert users.add(ADA) == "ada@example.org"
    assert users["ada@example.org"] == ADA
    assert users.get("ada@example.org") == ADA
    assert "ada@example.org" in users
    assert len(users) == 1


def test_what_you_get_is_a_copy(users):
    users.add(ADA)
    users["ada@example.org"].tags.append("changed")
    assert users["ada@example.org"].tags == ["math"]


def test_a_missing_key_is_a_key_error_that_carries_it(users):
    for use in (users.__getitem__, users.__delitem__, users.pop, users.update):
        with pytest.raises(KeyError) as caught:
            use("nobody")
        assert caught.value.args == ("nobody",)
    assert users.get("nobody") is None
    assert users.get("nobody", ADA) is ADA
    assert users.pop("nobody", None) is None
    assert users.delete("nobody") is False


def test_adding_the_same_key_again_changes_nothing(users):
    users.add(ADA)
    with pytest.raises(DuplicateKeyError, match=r"User\['ada@example.org'\] is there already"):
        users.add(User("ada@example.org", "Another"))
    assert list(users.values()) == [ADA]


def test_put_replaces(users):
    users.put(ADA)
    users.put(User("ada@example.org", "Countess"))
    assert users["ada@example.org"].name == "Countess"
    assert len(users) == 1


def test_setting_an_item_wants_the_key_of_the_record(users):
    users["ada@example.org"] = ADA
    with pytest.raises(RecordError, match="another key"):
        users["bob@example.org"] = ADA
    assert list(users) == ["ada@example.org"]


def test_update_changes_fields_and_returns_the_record(users):
    users.add(ADA)
    assert users.update("ada@example.org", age=37, name="A.") == User(
        "ada@example.org", "A.", 37, ["math"]
    )
    assert users["ada@example.org"].age == 37


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"agee": 1}, "did you mean 'age'"),
        ({"name": 5}, "name: expected str, got int 5"),
        ({"age": -1}, "age"),
        ({"email": "eve@example.org"}, "another key"),
        ({"tags": [1]}, r"tags\[0\]"),
    ],
)
def test_an_update_that_does_not_fit_changes_nothing(users, changes, message):
    users.add(ADA)
    with pytest.raises(RecordError, match=message) as caught:
        users.update("ada@example.org", **changes)
    assert "User['ada@example.org']" in str(caught.value)
    assert list(users.values()) == [ADA]


def test_modify_takes_a_new_record_or_one_changed_in_place(users):
    users.add(ADA)
    users.modify("ada@example.org", lambda user: user.tags.append("engines"))
    assert users["ada@example.org"].tags == ["math", "engines"]
    users.modify("ada@example.org", lambda user: User(user.email, "New"))
    assert users["ada@example.org"].name == "New"


def test_a_modification_may_use_the_store_and_is_one_transaction_with_that(store, users):
    users.add(ADA)

    def change(user: User) -> None:
        store["log"] = "changed"
        users.add(BOB)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        users.modify("ada@example.org", change)
    assert "log" not in store
    assert list(users) == ["ada@example.org"]


def test_add_many_takes_any_iterable_in_one_transaction(users):
    told = []
    assert users.add_many((User(f"{n}", "N") for n in range(5)), progress=told.append) == 5
    assert told == [1, 2, 3, 4, 5]
    with pytest.raises(DuplicateKeyError):
        users.add_many([User("new", "N"), User("3", "again")])
    assert len(users) == len(list(users)) == 5


def test_add_many_may_read_the_collection_that_it_adds_to(users):
    users.add_many([ADA, BOB])
    users.add_many(User("copy of " + user.email, user.name) for user in users.values())
    assert len(users) == 4


def test_add_many_inside_a_transaction_may_be_fed_by_what_writes(store, users):
    notes = Collection(store, Note)

    def fed():
        notes.add(Note("one"))
        yield ADA

    with store.transaction():
        users.add_many(fed())
    assert (len(users), len(notes)) == (1, 1)


@pytest.mark.parametrize("removes", [Collection.clear, Collection.popitem])
def test_what_feeds_add_many_in_a_transaction_may_remove_what_was_added(store, users, removes):
    counts = []

    def fed():
        yield ADA
        counts.append(len(users))
        removes(users)
        yield BOB

    with store.transaction():
        users.add_many(fed())
    assert counts == [1]
    assert len(users) == len(list(users)) == 1


def test_add_many_skips_the_records_whose_keys_are_there(users):
    users.add(ADA)
    told = []
    records = [BOB, User(ADA.email, "other"), User(BOB.email, "twice"), User("c", "C")]
    assert users.add_many(iter(records), on_duplicate="skip", progress=told.append) == 2
    assert told == [1, 2, 3, 4]
    assert list(users.values()) == [ADA, BOB, User("c", "C")]
    assert len(users) == 3


def test_add_many_replaces_the_records_whose_keys_are_there(users):
    users.add(ADA)
    records = [BOB, User(ADA.email, "other"), User(BOB.email, "twice")]
    assert users.add_many(records, on_duplicate="replace") == 3
    assert list(users.values()) == [User(ADA.email, "other"), User(BOB.email, "twice")]
    assert len(users) == 2


@pytest.mark.parametrize("on_duplicate", ["error", "skip", "replace"])
def test_add_many_is_all_or_nothing_whatever_it_does_with_duplicates(users, on_duplicate):
    users.add(ADA)
    records = [BOB, User("c", "C"), User("d", 5)]  # type: ignore[arg-type]
    with pytest.raises(RecordError, match=r"User\['d'\]: name: expected str"):
        users.add_many(records, on_duplicate=on_duplicate)
    assert list(users.values()) == [ADA]


@pytest.mark.parametrize("wrong", ["ignore", "", None, True, ["skip"]])
def test_add_many_refuses_what_it_cannot_do_with_duplicates(users, wrong):
    with pytest.raises(CollectionError, match='on_duplicate is "error", "skip" or "replace", not'):
        users.add_many([ADA], on_duplicate=wrong)
    assert len(users) == 0


@pytest.mark.parametrize("on_duplicate", ["skip", "replace"])
def test_records_without_a_key_are_never_duplicates(store, on_duplicate):
    notes = Collection(store, Note)
    assert notes.add_many([Note("x"), Note("x")], on_duplicate=on_duplicate) == 2
    assert notes.put_many([Note("x")]) == 1
    assert len(notes) == 3


def test_put_many_stores_new_records_and_replaces_others(users):
    users.add(ADA)
    told = []
    assert users.put_many((User(ADA.email, "new"), BOB), progress=told.append) == 2
    assert list(users.values()) == [User(ADA.email, "new"), BOB]
    assert told == [1, 2]
    with pytest.raises(RecordError, match="holds records of class User"):
        users.put_many([User("c", "C"), Note("x")])
    assert len(users) == 2


def test_nothing_is_skipped_where_the_keys_belong_to_the_store(store):
    store["User/ada"] = 1
    with pytest.raises(CollectionError, match="are no records"):
        Collection(store, User).add_many([User("ada", "A")], on_duplicate="skip")
    assert store["User/ada"] == 1


def test_get_many_gives_the_records_that_are_there_in_the_order_asked(users):
    users.add_many([ADA, BOB])
    found = users.get_many([BOB.email, "missing", ADA.email, ADA.email])
    assert list(found.items()) == [(BOB.email, BOB), (ADA.email, ADA)]
    assert users.get_many([]) == {}
    assert users.get_many(email for email in users if email != BOB.email) == {ADA.email: ADA}
    with pytest.raises(KeyTypeError):
        users.get_many([ADA.email, 5])


@pytest.mark.needs("snapshots")
def test_get_many_reads_one_snapshot(users, store):
    users.add(ADA)
    with store.snapshot() as view:
        users.put(User(ADA.email, "changed"))
        users.add(BOB)
        assert Collection(view, User).get_many([BOB.email, ADA.email]) == {ADA.email: ADA}


def test_get_many_reads_what_its_transaction_has(users, store):
    users.add_many([ADA, BOB])
    with store.transaction():
        users.delete(ADA.email)
        assert users.get_many([BOB.email, ADA.email]) == {BOB.email: BOB}


def test_get_many_names_the_record_that_cannot_be_read(users, store):
    @define
    class Young:
        email: str = key()
        name: str
        age: int = field(validator=validators.le(40))
        tags: list[str]

    users.add_many([ADA, BOB])
    young: Collection[str, Young] = Collection(store, Young, name="User")
    assert list(young.get_many([ADA.email])) == [ADA.email]
    with pytest.raises(RecordError, match=r"User\['bob@example.org'\]: age: .* must be <= 40"):
        young.get_many([ADA.email, BOB.email])


def test_a_record_of_another_class_is_refused(users):
    for wrong in (Note("x"), {"email": "x"}, None, User):
        for store_it in (users.add, users.put, lambda record: users.setdefault("x", record)):
            with pytest.raises(RecordError, match="holds records of class User"):
                store_it(wrong)
    assert len(users) == 0


def test_a_record_with_a_value_of_the_wrong_type_is_refused(users):
    bad = User("ada@example.org", "Ada")
    bad.tags = ["fine", 3]
    with pytest.raises(RecordError, match=r"User\['ada@example.org'\]: tags\[1\]"):
        users.add(bad)
    assert len(users) == 0


def test_keys_of_the_wrong_type_are_refused(users):
    for use in (users.__getitem__, users.get, users.delete, users.__contains__):
        with pytest.raises(KeyTypeError, match="str"):
            use(1)


def test_a_key_that_is_too_long_is_refused_when_written(users):
    with pytest.raises(KeyTooLongError, match="506"):
        users.add(User("x" * 507, "Long"))
    users.add(User("x" * 506, "Long"))
    assert len(users) == 1


def test_iteration_is_in_key_order_both_ways(users):
    for name in "caebd":
        users.add(User(name, name.upper()))
    assert list(users) == list(users.keys()) == list("abcde")
    assert [user.name for user in users.values()] == list("ABCDE")
    assert [key for key, _ in users.items()] == list("abcde")
    assert list(reversed(users)) == list("edcba")
    assert [user.name for user in reversed(users.values())] == list("EDCBA")


def test_range_gives_the_records_between_two_keys(users):
    users.add_many(User(name, name) for name in ("a", "b", "ba", "c", "d"))
    assert list(users.range(ge="b", lt="d")) == ["b", "ba", "c"]
    assert list(users.range(gt="b", le="d")) == ["ba", "c", "d"]
    assert list(users.range(prefix="b")) == ["b", "ba"]
    assert list(users.range(reverse=True, limit=2)) == ["d", "c"]
    assert users.range(ge="c")["d"].name == "d"
    assert len(users.range(lt="c")) == 3
    for wrong in ({"ge": "a", "gt": "a"}, {"le": "a", "lt": "b"}, {"limit": -1}):
        with pytest.raises(InvalidKeyError):
            users.range(**wrong)


def test_setdefault_pop_and_popitem(users):
    assert users.setdefault("ada@example.org", ADA) == ADA
    assert users.setdefault("ada@example.org", User("ada@example.org", "Other")) == ADA
    users.add(BOB)
    assert users.popitem() == ("bob@example.org", BOB)
    assert users.pop("ada@example.org") == ADA
    assert len(users) == 0
    with pytest.raises(KeyError):
        users.popitem()


def test_clear_empties_this_collection_alone(store, users):
    notes = Collection(store, Note)
    users.add(ADA)
    notes.add(Note("stays"))
    store["raw"] = 1
    users.clear()
    assert (len(users), len(notes), len(store)) == (0, 1, 2)


def test_clearing_the_store_empties_the_collections(store, users):
    users.add(ADA)
    store.clear()
    assert (len(users), list(users), len(store)) == (0, [], 0)
    users.add(BOB)
    assert len(users) == 1


def test_records_without_a_key_get_one_that_sorts_by_time(store):
    notes = Collection(store, Note)
    keys = [notes.add(Note(str(number))) for number in range(100)]
    assert all(isinstance(found, UUID) for found in keys)
    assert keys == sorted(keys) == list(notes)
    assert notes[keys[7]] == Note("7")
    notes[keys[7]] = Note("seven")
    assert notes[keys[7]] == Note("seven")
    assert len(notes) == 100


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        (int, [-(10**30), -256, -1, 0, 1, 255, 256, 2**64, 10**40]),
        (bytes, [b"", b"\0", b"a", b"a\0", b"\xff"]),
        (date, [date.min, date(2026, 1, 2), date.max]),
        (datetime, [datetime(1969, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)]),
        (tuple[str, int], [("a", -1), ("a", 2), ("aa", 1), ("b", 0)]),
    ],
)
def test_keys_keep_the_order_that_python_gives_them(store, kind, keys):
    @define
    class Keyed:
        id: kind = key()  # type: ignore[valid-type]

    things = Collection(store, Keyed)
    things.add_many(map(Keyed, reversed(keys)))
    assert list(things) == keys
    assert list(things.range(gt=keys[0])) == keys[1:]
    assert [thing.id for thing in things.values()] == keys


def test_several_key_fields_are_a_tuple_key(store):
    @define
    class Reading:
        sensor: str = key()
        at: int = key()
        value: float

    readings = Collection(store, Reading)
    readings.add_many([Reading("b", 1, 0.5), Reading("a", 2, 1.5), Reading("a", 1, 2.5)])
    assert list(readings) == [("a", 1), ("a", 2), ("b", 1)]
    assert readings["a", 2].value == 1.5
    assert list(readings.range(ge=("a", 2))) == [("a", 2), ("b", 1)]


def test_any_attrs_class_comes_back_as_it_was(store):
    everything = Collection(store, Everything)
    text = Text(Point(1, 2), "words")
    record = Everything(
        uuid4(),
        Circle(Point(0.5, -1.5), 3),
        [text, Circle(Point(0, 0), 1)],
        None,
        Colour.BLUE,
        {"x", "y"},
        (1, "one"),
        {"origin": Point(0, 0)},
        datetime(2026, 1, 2, 3, 4, 5, 6),
        date(2026, 1, 2),
        Decimal("1.10"),
        Box(7),
        secret="s",
        class_=2,
    )
    everything.add(record)
    assert everything[record.id] == record


def test_a_record_can_be_read_without_its_class(store, users):
    users.add(ADA)
    plain = {"email": "ada@example.org", "name": "Ada", "age": 36, "tags": ["math"]}
    assert store["User/ada@example.org"] == plain
    assert dict(store.range(prefix="User/")) == {b"User/ada@example.org": plain}


def test_the_dict_cannot_write_into_a_collection(store, users):
    users.add(ADA)
    claimed = "User/ada@example.org"
    writes = [
        lambda: store.__setitem__(claimed, 1),
        lambda: store.put(claimed, 1, overwrite=False),
        lambda: store.__delitem__(claimed),
        lambda: store.delete("User/other"),
        lambda: store.pop(claimed),
        store.popitem,
        lambda: store.setdefault("User/new", 1),
        lambda: store.update({"fine": 1, "User/new": 2}),
        lambda: store.__ior__({"User/new": 2}),
        lambda: store.deep_add("User/new", 1),
        lambda: store.deep_remove(claimed, 1),
    ]
    for write in writes:
        with pytest.raises(ReservedKeyError, match="collection 'User'"):
            write()
    assert list(store) == [b"User/ada@example.org"]
    store["User"] = store["Users/x"] = "beside it"
    assert len(store) == 3


def test_another_opener_of_the_file_respects_the_claim_too(tmp_path):
    with stone(tmp_path / "db", LmdbStore) as first, stone(tmp_path / "db", LmdbStore) as second:
        Collection(first, User).add(ADA)
        with pytest.raises(ReservedKeyError):
            second["User/x"] = 1


def test_keys_in_the_way_are_found_before_the_prefix_is_claimed(store):
    store["User/raw"] = 1
    with pytest.raises(CollectionError, match="User/raw"):
        Collection(store, User)
    store["User/raw"] = 2
    Collection(store, User, name="people").add(ADA)


@pytest.mark.parametrize("name", ["", "a/b", "/", "a b", "-x", "é" * 65, "x" * 65, "\n"])
def test_a_name_that_cannot_be_a_prefix_is_refused(store, name):
    with pytest.raises(CollectionError, match="name"):
        Collection(store, User, name=name)
    assert store.stats()["collections"] == {}


def test_two_classes_cannot_claim_the_same_name(store, users):
    users.add(ADA)
    with pytest.raises(CollectionError, match="keys of type str"):
        Collection(store, Note, name="User")

    @define
    class Person:
        email: str = key()
        height: int

    with pytest.raises(CollectionError, match=r"class User.*'ada@example.org'.*'name'"):
        Collection(store, Person, name="User")


def test_a_class_may_be_renamed(store, users):
    users.add(ADA)

    @define
    class Person:
        email: str = key()
        name: str
        age: int
        tags: list[str]

    people = Collection(store, Person, name="User")
    assert people["ada@example.org"].name == "Ada"


@pytest.mark.parametrize("wrong", [dict, int, {"a": 1}, None, "User", User("x", "y")])
def test_a_class_that_is_not_attrs_is_refused(store, wrong):
    with pytest.raises(CollectionError, match=r"attrs|class"):
        Collection(store, wrong, name="wrong")


def test_a_collection_wants_a_store():
    with pytest.raises(CollectionError, match="store"):
        Collection({}, User)


def test_a_record_that_no_longer_fits_says_where(store, users):
    @define
    class Strict:
        email: str = key()
        name: str
        age: str
        tags: list[str]

    strict = Collection(store, Strict, name="User")
    users.add_many([ADA, BOB])
    with pytest.raises(RecordError, match=r"User\['ada@example.org'\]: age"):
        strict["ada@example.org"]
    with pytest.raises(RecordError, match=r"User\['ada@example.org'\]: age"):
        list(strict.find())
    with pytest.raises(CollectionError, match=r"'User'.*'ada@example.org': age"):
        Collection(store, Strict, name="User")


def test_a_field_that_is_new_takes_its_default_in_older_records(store):
    @define
    class Old:
        id: int = key()

    Collection(store, Old, name="things").add(Old(1))

    @define
    class Old:  # as the program looks a year later
        id: int = key()
        note: str = "none"

    assert Collection(store, Old, name="things")[1].note == "none"


def test_records_and_their_count_are_one_with_the_transaction(store, users):
    users.add(ADA)
    with pytest.raises(ZeroDivisionError), store.transaction():
        users.add(BOB)
        users.delete("ada@example.org")
        store["raw"] = 1
        assert len(users) == 1
        raise ZeroDivisionError
    assert (len(users), list(users), list(store)) == (
        1,
        ["ada@example.org"],
        [b"User/ada@example.org"],
    )


def test_a_savepoint_can_be_undone_alone(store, users):
    with store.transaction():
        users.add(ADA)
        with pytest.raises(DuplicateKeyError):
            users.add_many([BOB, ADA])
        assert list(users) == ["ada@example.org"]
    assert len(users) == 1


def test_a_collection_made_in_a_transaction_that_is_undone_can_be_used_after_it(store):
    with pytest.raises(ZeroDivisionError), store.transaction():
        users = Collection(store, User)
        users.add(ADA)
        raise ZeroDivisionError
    assert store.stats()["collections"] == {}
    store["User"] = 1
    users.add(BOB)
    assert store.stats()["collections"] == {"User": 1}
    with pytest.raises(ReservedKeyError):
        store["User/x"] = 1


@pytest.mark.needs("snapshots")
def test_a_collection_over_a_snapshot_is_frozen_and_read_only(store, users):
    users.add(ADA)
    with store.snapshot() as view:
        frozen = Collection(view, User)
        users.add(BOB)
        users.update("ada@example.org", age=99)
        assert list(frozen.values()) == [ADA]
        assert len(frozen) == 1
        assert frozen.find("$[?(@.age > 30)]").count() == 1
        for write in (
            lambda: frozen.add(BOB),
            lambda: frozen.delete("ada@example.org"),
            frozen.clear,
            lambda: frozen.update("ada@example.org", age=1),
        ):
            with pytest.raises(ReadOnlyError):
                write()
        assert list(Collection(view, Note).items()) == []


def test_a_closed_store_closes_its_collections(store, users):
    store.close()
    for use in (
        lambda: users["x"],
        lambda: len(users),
        lambda: list(users),
        lambda: users.add(ADA),
        lambda: users.find("$[?(@.age > 1)]").first(),
        lambda: Collection(store, Note),
    ):
        with pytest.raises(StoreClosedError):
            use()
    assert repr(users) == "<Collection 'User' of User: closed>"


@pytest.mark.needs("snapshots")
def test_iterating_while_writing_sees_one_snapshot(users):
    users.add_many(User(f"{n:03}", "N") for n in range(50))
    seen = []
    for email in users:
        seen.append(email)
        users.delete(email)
        users.add(User("z" + email, "new"))
    assert seen == [f"{n:03}" for n in range(50)]
    assert len(users) == 50


def test_threads_lose_no_update(users):
    users.add(User("count", "C", 0))

    def work() -> None:
        for _ in range(25):
            users.modify("count", lambda user: User(user.email, user.name, user.age + 1))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert users["count"].age == 150


def add_some(path: str, number: int) -> None:
    with stone(path, LmdbStore) as store:
        users = Collection(store, User)
        notes = Collection(store, Note)
        for step in range(20):
            users.add(User(f"{number}-{step}", "N"))
            notes.add(Note("n"))
            users.modify("count", lambda user: User("count", "C", user.age + 1))


def test_processes_lose_nothing_and_agree_on_the_counts(tmp_path):
    path = str(tmp_path / "db")
    with stone(path, LmdbStore, "json") as store:
        Collection(store, User).add(User("count", "C", 0))
    spawn = multiprocessing.get_context("spawn")
    children = [spawn.Process(target=add_some, args=[path, number]) for number in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * 4
    with stone(path, LmdbStore) as store:
        users, notes = Collection(store, User), Collection(store, Note)
        assert users["count"].age == 80
        assert len(users) == len(list(users)) == 81
        assert len(notes) == len(set(notes)) == 80


def test_validators_and_converters_run_on_the_way_in(store):
    @define
    class Account:
        name: str = key(converter=str.strip)
        balance: int = field(validator=validators.ge(0))

    accounts = Collection(store, Account)
    assert accounts.add(Account("  x ", 1)) == "x"
    with pytest.raises(RecordError, match="balance"):
        accounts.update("x", balance=-1)
    assert accounts["x"].balance == 1


def test_what_no_serializer_holds_is_refused_with_its_place(tmp_path):
    @define
    class Loose:
        id: int = key()
        anything: Any

    loose = Collection(stone("x", serialize="json"), Loose)
    with pytest.raises(StoneError, match="complex"):
        loose.add(Loose(1, [1j]))
    assert len(loose) == 0


def test_the_representation_is_short_and_reads_no_whole_store(store, users):
    users.add(ADA)
    shown = ": 1 record" if store.database.engine.supports.counts else ""
    assert repr(users) == f"<Collection 'User' of User{shown}>"


def test_add_many_keeps_its_memory(tmp_path):
    import tracemalloc

    with stone(tmp_path / "db", LmdbStore, "msgpack") as store:
        users = Collection(store, User)
        users.add_many(User(f"warm {n}", "N") for n in range(1000))
        tracemalloc.start()
        users.add_many(User(f"{n:06}", "N" * 100) for n in range(50_000))
        for _ in users.find("$[?(@.age >= 0)]"):
            pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 2_000_000


ON_DUPLICATE = ["error", "skip", "replace"]


class CollectionAgainstDict(RuleBasedStateMachine):
    """A collection and a plain dict of records, through the same operations."""

    def __init__(self) -> None:
        super().__init__()
        self.store = stone("model", serialize="msgpack")
        self.users = Collection(self.store, User)
        self.model: dict[str, User] = {}

    emails = Bundle("emails")
    ages = st.integers(0, 100)

    @rule(target=emails, email=st.text(max_size=3))
    def an_email(self, email: str) -> str:
        return email

    @rule(email=emails, age=ages)
    def add(self, email: str, age: int) -> None:
        if email in self.model:
            with pytest.raises(DuplicateKeyError):
                self.users.add(User(email, "N", age))
        else:
            self.users.add(User(email, "N", age))
            self.model[email] = User(email, "N", age)

    @rule(email=emails, age=ages)
    def put(self, email: str, age: int) -> None:
        self.users.put(User(email, "P", age))
        self.model[email] = User(email, "P", age)

    @rule(wanted=st.lists(emails, max_size=4), age=ages, on_duplicate=st.sampled_from(ON_DUPLICATE))
    def add_many(self, wanted: list[str], age: int, on_duplicate: Any) -> None:
        records = [User(email, "M", age + place) for place, email in enumerate(wanted)]
        there = {email for email in wanted if email in self.model or wanted.count(email) > 1}
        if on_duplicate == "error" and there:
            with pytest.raises(DuplicateKeyError):
                self.users.add_many(records)
            return
        written = 0
        for record in records:
            if on_duplicate != "skip" or record.email not in self.model:
                self.model[record.email] = record
                written += 1
        assert self.users.add_many(records, on_duplicate=on_duplicate) == written

    @rule(wanted=st.lists(emails, max_size=4))
    def get_many(self, wanted: list[str]) -> None:
        expected = {email: self.model[email] for email in wanted if email in self.model}
        assert list(self.users.get_many(wanted).items()) == list(expected.items())

    @rule(email=emails, age=ages)
    def update(self, email: str, age: int) -> None:
        if email in self.model:
            self.model[email] = self.users.update(email, age=age)

    @rule(email=emails)
    def delete(self, email: str) -> None:
        assert self.users.delete(email) == (self.model.pop(email, None) is not None)

    @rule(email=emails, age=ages)
    def roll_back(self, email: str, age: int) -> None:
        with pytest.raises(ZeroDivisionError), self.store.transaction():
            self.users.put(User(email, "R", age))
            self.users.clear()
            raise ZeroDivisionError

    @rule(age=ages)
    def find(self, age: int) -> None:
        found = list(self.users.find("$[?(@.age < {age})]", age=age))
        assert found == [user for _, user in sorted(self.model.items()) if user.age < age]

    @invariant()
    def same(self) -> None:
        assert list(self.users.items()) == sorted(self.model.items())
        assert len(self.users) == len(self.model)


TestCollectionAgainstDict = CollectionAgainstDict.TestCase


def test_ages_of_time_do_not_matter_to_generated_keys(store):
    notes = Collection(store, Note)
    before = datetime.now(UTC) - timedelta(seconds=1)
    made = notes.add(Note("now"))
    milliseconds = made.int >> 80
    assert before.timestamp() * 1000 < milliseconds < before.timestamp() * 1000 + 60_000


def test_a_modification_that_removes_its_record_keeps_the_count_right(users):
    users.add_many([ADA, BOB])
    users.modify("ada@example.org", lambda user: users.delete(user.email) and None)
    assert len(users) == len(list(users)) == 2
    users.modify("ada@example.org", lambda _: users.clear())
    assert len(users) == len(list(users)) == 1


def test_a_claim_is_respected_by_another_store_on_the_file_in_the_same_transaction(tmp_path):
    with stone(tmp_path / "db", LmdbStore) as first, stone(tmp_path / "db", LmdbStore) as second:
        with first.transaction():
            first["x"] = 1
            Collection(second, User).add(ADA)
            with pytest.raises(ReservedKeyError):
                first["User/raw"] = 1
        assert len(Collection(first, User)) == 1


def test_a_record_that_would_change_by_being_read_back_is_refused(store):
    @define
    class Account:
        id: int = key()
        password: str = field(converter=lambda text: f"hash({text})")

    accounts = Collection(store, Account)
    with pytest.raises(RecordError, match=r"password: .* leave its own results alone"):
        accounts.add(Account(1, "x"))

    @define
    class Counted:
        id: int = key()
        seen: int = 0

        def __attrs_post_init__(self):
            self.seen += 1

    with pytest.raises(RecordError, match="seen"):
        Collection(store, Counted).add(Counted(1))
    assert len(store) == 0


def test_a_record_that_its_validators_refuse_is_not_written(store):
    @define
    class Tagged:
        id: int = key()
        tags: list[str] = field(factory=list, validator=validators.max_len(2))

    tagged = Collection(store, Tagged)
    tagged.add(Tagged(1))
    with pytest.raises(RecordError, match="tags"):
        tagged.modify(1, lambda record: record.tags.extend("abc"))
    assert tagged[1].tags == []


def test_a_store_that_is_read_only_sees_collections_claimed_since_it_was_opened(tmp_path):
    stone(tmp_path / "db", LmdbStore).close()
    add = f"""
from tests.test_collection import *
Collection(stone({str(tmp_path / "db")!r}, LmdbStore), User).add(ADA)
"""
    with LmdbStore(tmp_path / "db", readonly=True) as reader:
        users = Collection(reader, User)
        assert (len(users), list(users.values())) == (0, [])
        root = Path(__file__).parent.parent
        subprocess.run([sys.executable, "-c", add], check=True, cwd=root)
        assert (len(users), list(users.values())) == (1, [ADA])


def test_a_key_that_is_none_is_not_made_up(store):
    @define
    class Optional:
        id: int = key(default=None)

    with pytest.raises(RecordError, match="the key of the record is None"):
        Collection(store, Optional).add(Optional())


def test_a_renamed_class_may_go_on_changing(store):
    @define
    class First:
        id: int = key()

    @define
    class Second:
        id: int = key()
        more: int = 0

    Collection(store, First, name="things").add(First(1))
    Second.__qualname__ = First.__qualname__
    assert Collection(store, Second, name="things")[1].more == 0
    Second.__qualname__ = "renamed"
    assert Collection(store, Second, name="things")[1].more == 0


@pytest.mark.parametrize("name", [5, b"bytes", ["list"]])
def test_a_name_that_is_no_string_is_refused(store, name):
    with pytest.raises(CollectionError, match="name"):
        Collection(store, User, name=name)


@pytest.mark.parametrize(
    ("limit", "error"),
    [("1", ValueTypeError), (2.5, ValueTypeError), (True, ValueTypeError), (-1, InvalidKeyError)],
)
def test_a_limit_that_is_no_number_is_refused_everywhere_in_the_same_way(
    users, store, limit, error
):
    with pytest.raises(error, match="a limit is"):
        users.range(limit=limit)
    with pytest.raises(error, match="a limit is"):
        users.find().limit(limit)
    with pytest.raises(error, match="a limit is"):
        store.range(limit=limit)


def test_a_prefix_is_for_keys_that_have_one(store):
    @define
    class Numbered:
        id: int = key()

    with pytest.raises(InvalidKeyError, match="prefix is for keys that are str, bytes or a tuple"):
        Collection(store, Numbered).range(prefix=1)


def test_enums_and_records_can_be_asked_for(store):
    @define
    class Painted:
        id: int = key()
        colour: Colour
        at: Point

    painted = Collection(store, Painted)
    painted.add_many([Painted(1, Colour.RED, Point(1, 2)), Painted(2, Colour.BLUE, Point(0, 0))])
    assert [found.id for found in painted.find(colour=Colour.RED)] == [1]
    assert [found.id for found in painted.find(at=Point(0, 0))] == [2]
    assert painted.find("$[?(@.colour == {c})]", c=Colour.BLUE).one().id == 2
    assert list(painted.search("$[?(@.colour == {c})].id", c=Colour.BLUE)) == [2]


def test_a_query_is_true_where_it_finds_something(users):
    users.add(ADA)
    assert users.find(name="Ada")
    assert not users.find(name="Nobody")


def test_a_collection_keeps_the_file_open_whose_store_nobody_holds(tmp_path):
    users = Collection(LmdbStore(tmp_path / "db", durability="none"), User)
    gc.collect()
    users.add(User("ada@example.org", "Ada", 36))
    assert len(users) == 1
    # As long as the file is open, it cannot be opened in a stricter mode.
    with pytest.raises(StoreOpenError, match="durability"):
        LmdbStore(tmp_path / "db")
    del users
    gc.collect()
    LmdbStore(tmp_path / "db").close()


def test_records_that_are_not_added_after_all_leave_a_new_collection_as_it_was():
    @define
    class Count:
        name: str = key()
        number: int

    counts = Collection(MemoryStore(), Count)
    with pytest.raises(RecordError):
        counts.add_many(iter([Count("a", 1), Count("b", "x")]))
    assert len(counts) == 0
    with pytest.raises(RecordError):
        counts.add(Count("a", "x"))
    assert len(counts) == 0
    assert counts.add(Count("a", 1)) == "a"
