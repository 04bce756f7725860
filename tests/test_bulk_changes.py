"""`update` and `delete` of all records of a query: all of them or none."""

import threading

import pytest
from attrs import define, evolve, field, validators
from hypothesis import given
from hypothesis import strategies as st

from stones import (
    Collection,
    DuplicateKeyError,
    MemoryStore,
    QueryError,
    ReadOnlyError,
    RecordError,
    ValueTypeError,
    index,
    key,
)


@define
class User:
    name: str = key()
    age: int = field(validator=validators.ge(0))
    active: bool = True
    tags: list[str] = field(factory=list)


@define
class Note:
    text: str


AGES = {"ada": 36, "bob": 17, "cyd": 36, "eve": 52}


@pytest.fixture
def users(store):
    collection: Collection[str, User] = Collection(store, User)
    collection.add_many(User(name, age) for name, age in AGES.items())
    return collection


def ages(users) -> dict[str, int]:
    return {user.name: user.age for user in users.values()}


def test_fields_of_all_that_match_are_set(users):
    assert users.find("@.age > 20").update(active=False, tags=["old"]) == 3
    assert [user.active for user in users.values()] == [False, True, False, False]
    assert users["ada"] == User("ada", 36, False, ["old"])


def test_a_function_changes_all_that_match(users):
    assert users.find(age=36).update(lambda user: evolve(user, age=user.age + 1)) == 2
    assert ages(users) == {"ada": 37, "bob": 17, "cyd": 37, "eve": 52}


def test_a_function_may_change_the_record_in_place(users):
    def older(user: User) -> None:
        user.age += 1

    assert users.find().update(older) == 4
    assert ages(users) == {name: age + 1 for name, age in AGES.items()}


def test_all_that_match_are_deleted(users):
    assert users.find("@.age > 20").delete() == 3
    assert list(users) == ["bob"]
    assert len(users) == 1
    assert users.find("@.age > 20").delete() == 0
    assert users.find().delete() == 1
    assert len(users) == 0


def test_a_part_of_a_query_is_changed(users):
    assert users.find().order_by("-age").limit(2).delete() == 2
    assert list(users) == ["bob", "cyd"]
    assert users.find().order_by("age").offset(1).update(age=1) == 1
    assert ages(users) == {"bob": 17, "cyd": 1}
    first = users.find().limit(1)
    assert users.find().after(first.cursor()).delete() == 1
    assert list(users) == ["bob"]
    assert users.range(ge="b").find().delete() == 1


def test_no_change_makes_another_record_match(users):
    by_age = users.find("@.age < 60").order_by("age")
    assert by_age.update(lambda user: evolve(user, age=user.age + 10)) == 4
    assert ages(users) == {name: age + 10 for name, age in AGES.items()}


def test_a_function_that_fails_leaves_no_trace(users):
    def fails_at_last(user: User) -> User:
        return evolve(user, age=user.age - 20)

    with pytest.raises(ValueError, match="age"):
        users.find().update(fails_at_last)
    assert ages(users) == AGES


def test_a_record_that_does_not_fit_is_named(users):
    def renamed(user: User) -> User:
        return evolve(user, name="x")

    with pytest.raises(RecordError, match=r"User\['ada'\]: the record has another key, 'x'"):
        users.find().update(renamed)
    with pytest.raises(RecordError, match=r"User\['eve'\]: tags\[0\]: expected str"):
        users.find().update(lambda u: evolve(u, tags=[3]) if u.name == "eve" else u)
    with pytest.raises(RecordError, match="holds records of class User"):
        users.find().update(lambda _: "x")
    assert ages(users) == AGES


def test_a_change_that_a_validator_refuses_names_the_record(users):
    with pytest.raises(RecordError, match=r"User\['ada'\]: age"):
        users.find().update(age=-1)
    assert ages(users) == AGES


@pytest.mark.parametrize("filter", ["@.age > 0", "@.age > 100"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"agee": 1}, "did you mean 'age'"),
        ({"name": "x"}, "name is the key"),
        ({"age": "old"}, r"User.update\(\): age: expected int"),
        ({"age": 1, "tags": [3]}, "expected str"),
    ],
)
def test_a_change_that_fits_no_record_is_refused_at_once(users, filter, changes, message):
    with pytest.raises(RecordError, match=message):
        users.find(filter).update(**changes)
    assert ages(users) == AGES


def test_a_part_of_a_key_is_no_field_to_change(store):
    @define
    class Visit:
        city: str = key()
        day: int = key()
        note: str = ""

    visits = Collection(store, Visit)
    visits.add(Visit("Rome", 1))
    with pytest.raises(RecordError, match="day is the key, or a part of it"):
        visits.find().update(day=2)
    assert visits.find().update(note="sunny") == 1


@pytest.mark.parametrize("arguments", [[], [3], [None], ["age"]])
def test_an_update_takes_fields_or_a_function(users, arguments):
    with pytest.raises(ValueTypeError, match="fields or a function"):
        users.find().update(*arguments)
    with pytest.raises(ValueTypeError, match="both"):
        users.find().update(lambda user: user, age=3)


def test_records_with_generated_keys_are_changed_too(store):
    notes = Collection(store, Note)
    first = notes.add(Note("a"))
    notes.add(Note("b"))
    assert notes.find(text="a").update(text="c") == 1
    assert notes[first] == Note("c")
    assert notes.find(text="b").delete() == 1
    assert list(notes) == [first]


def test_a_function_may_use_the_collection(users):
    def moved(user: User) -> User:
        users.delete("eve")
        return evolve(user, age=len(users))

    assert users.find().update(moved) == 3
    assert ages(users) == {"ada": 3, "bob": 3, "cyd": 3}


def test_a_change_joins_a_transaction(users, store):
    with pytest.raises(RuntimeError), store.transaction():
        users.add(User("new", 99))
        assert users.find("@.age > 90").delete() == 1
        assert users.find().update(age=1) == 4
        raise RuntimeError
    assert ages(users) == AGES


@pytest.mark.needs("snapshots")
def test_a_snapshot_is_not_changed(users, store):
    with store.snapshot() as view:
        frozen = Collection(view, User)
        with pytest.raises(ReadOnlyError):
            frozen.find().delete()
        with pytest.raises(ReadOnlyError):
            frozen.find().update(age=1)


def test_no_other_write_comes_between(users):
    users.find().update(age=0)

    def work() -> None:
        for _ in range(20):
            users.find().update(lambda user: evolve(user, age=user.age + 1))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(ages(users).values()) == {60}


def test_a_unique_index_is_checked_record_by_record(store):
    @define
    class Seat:
        id: int = key()
        number: int = index(unique=True)

    seats: Collection[int, Seat] = Collection(store, Seat)
    seats.add_many(Seat(id, id) for id in range(3))
    with pytest.raises(DuplicateKeyError, match="number"):
        seats.find().update(number=7)
    with pytest.raises(DuplicateKeyError, match="number"):  # 0 becomes 1 while 1 is there
        seats.find().update(lambda seat: evolve(seat, number=seat.number + 1))
    assert seats.find().to_list("number") == [0, 1, 2]
    upwards = seats.find().order_by("-number")
    assert upwards.update(lambda seat: evolve(seat, number=seat.number + 1)) == 3
    assert seats.find().to_list("number") == [1, 2, 3]
    assert seats.find(number=2).delete() == 1
    seats.add(Seat(9, 2))


def test_a_function_that_removes_all_records_leaves_a_right_count(users):
    def change(user):
        if user.name == "ada":
            users.delete("ada")
        if user.name == "cyd":
            users.clear()
        return user

    assert users.find(age=36).update(change) == 2
    assert len(users) == len(list(users)) == 1


def test_a_query_that_cannot_be_answered_changes_nothing(users):
    with pytest.raises(QueryError):
        users.find().order_by("agee").delete()
    assert ages(users) == AGES


@given(
    numbers=st.lists(st.integers(0, 9)),
    low=st.integers(0, 9),
    limit=st.none() | st.integers(0, 5),
)
def test_what_is_left_is_as_in_a_list(numbers, low, limit):
    users: Collection[str, User] = Collection(MemoryStore(), User)
    users.add_many(User(f"{place:03}", age) for place, age in enumerate(numbers))
    query = users.find("@.age >= {low}", low=low).order_by("-age")
    query = query if limit is None else query.limit(limit)
    chosen = sorted((x for x in enumerate(numbers) if x[1] >= low), key=lambda x: (-x[1], x[0]))
    chosen = chosen if limit is None else chosen[:limit]
    assert query.update(active=False) == len(chosen)
    assert [int(user.name) for user in users.find(active=False)] == sorted(x for x, _ in chosen)
    assert query.delete() == len(chosen)
    assert [int(name) for name in users] == sorted({*range(len(numbers))} - {x for x, _ in chosen})
