"""The steps of a collection: what a declaration means, and how `migrate` and `undo` run it."""

import linecache
import warnings
from decimal import Decimal
from uuid import uuid4

import pytest
from attrs import define, field

from stones import (
    ChangedStepWarning,
    Collection,
    DuplicateKeyError,
    Index,
    MemoryStore,
    Migration,
    MigrationError,
    ReadOnlyError,
    RecordError,
    check,
    key,
)


@define
class Old:
    name: str = key()
    mail: str
    balance: str = "1.50"
    legacy: int = 0


@define
class New:
    name: str = key()
    email: str
    balance: Decimal = Decimal(0)


RENAME = Migration(1, rename={"mail": "email"})
CONVERT = Migration(2, convert={"balance": Decimal}, drop=["legacy"])
STEPS = [RENAME, CONVERT]


def filled(store, count=5, **options):
    old = Collection(store, Old, "User", **options)
    old.add_many(Old(f"u{number}", f"{number}@x", str(number)) for number in range(count))
    return old


def newer(store, steps=STEPS, cls=New, **options):
    return Collection(store, cls, "User", migrations=steps, **options)


# -- the declaration ---------------------------------------------------------------------------


def test_the_parts_of_a_step_run_in_the_order_of_the_documentation():
    step = Migration(
        1,
        rename={"a": "b"},
        convert={"b": int},
        drop=["c"],
        add={"d": 0},
        change=lambda record: record | {"sum": record["b"] + record["d"]},
    )
    assert step.apply({"a": "7", "c": 1}) == {"b": 7, "d": 0, "sum": 7}


def test_a_path_goes_into_dicts_and_into_each_dict_of_a_list():
    step = Migration(
        1,
        rename={"home.zip": "home.code"},
        convert={"items.price": Decimal},
        drop=["items.old"],
        add={"items.count": 1},
    )
    before = {"home": {"zip": "1"}, "items": [{"price": "2", "old": 0}, {"price": None}]}
    assert step.apply(before) == {
        "home": {"code": "1"},
        "items": [{"price": Decimal(2), "count": 1}, {"price": None, "count": 1}],
    }


def test_a_field_moves_into_a_dict_that_is_made_for_it():
    assert Migration(1, rename={"city": "home.city"}).apply({"city": "Rome"}) == {
        "home": {"city": "Rome"}
    }


def test_two_fields_change_their_names():
    assert Migration(1, rename={"a": "b", "b": "a"}).apply({"a": 1, "b": 2}) == {"a": 2, "b": 1}


def test_a_class_leaves_none_as_it_is_and_a_function_gets_it():
    assert Migration(1, convert={"age": int}).apply({"age": None}) == {"age": None}
    assert Migration(1, convert={"age": lambda age: age or 0}).apply({"age": None}) == {"age": 0}


def test_an_added_value_is_a_copy_for_each_record_and_a_function_is_called_for_each():
    step = Migration(1, add={"tags": [], "id": uuid4})
    one, other = step.apply({}), step.apply({})
    assert one["tags"] is not other["tags"]
    assert one["id"] != other["id"]
    assert step.apply({"tags": [1], "id": 2}) == {"tags": [1], "id": 2}


@pytest.mark.parametrize(
    ("step", "record", "message"),
    [
        (Migration(3, rename={"a": "b"}), {"a": 1, "b": 2}, "step 3: 'a' cannot be renamed"),
        (Migration(3, convert={"a": int}), {"a": "x"}, "step 3: 'a': 'x' cannot be converted"),
        (Migration(3, convert={"a.b": int}), {"a": 5}, "step 3: 'a' is int 5, and no dict"),
        (Migration(3, change=lambda record: 1 / 0), {}, "step 3: <lambda>: ZeroDivisionError"),
        (Migration(3, change=lambda record: [record]), {}, "step 3: <lambda> returned list"),
        (Migration(3, change=lambda record: record.clear()), {"a": 1}, "changed the dict and"),
    ],
)
def test_what_a_step_cannot_do_is_an_error_with_the_step_and_the_field(step, record, message):
    with pytest.raises(RecordError, match=r".*") as error:
        step.apply(record)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({}, "it changes nothing"),
        ({"rename": {"a": "a"}}, "cannot move"),
        ({"rename": {"a": "b", "c": "b"}}, "named twice"),
        ({"rename": {"a": "a.b"}}, "cannot move"),
        ({"rename": {"a": "b"}, "drop": ["a"]}, "name the new path, 'b'"),
        ({"convert": {"a": int}, "drop": ["a"]}, "named twice"),
        ({"convert": {"a.b": int}, "drop": ["a"]}, "overlap"),
        ({"drop": "a"}, "drop= is a list"),
        ({"drop": [""]}, "is no path"),
        ({"drop": ["$.a"]}, "is no path"),
        ({"convert": {"a": 5}}, "a class or a function"),
        ({"change": 5}, "change= is a function"),
        ({"rename": ["a"]}, "rename= is a dict"),
        ({"key": len, "reverse": len}, "cannot have reverse="),
    ],
)
def test_a_declaration_that_cannot_be_meant_is_refused(parts, message):
    with pytest.raises(MigrationError) as error:
        Migration(1, **parts)
    assert message in str(error.value)


@pytest.mark.parametrize("number", [0, -1, True, "1", None])
def test_the_number_of_a_step_is_an_int_from_1_on(number):
    with pytest.raises(MigrationError, match="from 1 on"):
        Migration(number, drop=["a"])


# -- migrate -----------------------------------------------------------------------------------


def test_all_records_get_all_steps(open_store):
    store = open_store()
    filled(store)
    users = newer(store)
    report = users.migrate()
    assert (report.steps, report.records, report.changed, report.removed) == ((1, 2), 5, 5, 0)
    assert store["User/u3"] == {"name": "u3", "email": "3@x", "balance": Decimal(3)}
    assert [*users.values()] == [New(f"u{n}", f"{n}@x", Decimal(n)) for n in range(5)]
    assert users.migrate().steps == ()
    assert not check(store).findings


def test_a_dry_run_writes_nothing_and_lists_what_would_fail_with_keys():
    store = MemoryStore()
    old = filled(store)
    old["u2"] = Old("u2", "2@x", "two")
    before = dict(store)
    report = newer(store).migrate(dry_run=True)
    assert dict(store) == before
    assert [(failure.key, failure.step) for failure in report.failures] == [("u2", 2)]
    assert "User['u2']: step 2: 'balance': 'two' cannot be converted" in report.failures[0].message


def test_nothing_is_written_if_a_step_fails_for_a_record():
    store = MemoryStore()
    filled(store)["u2"] = Old("u2", "2@x", "two")
    before = dict(store)
    with pytest.raises(MigrationError, match=r"1 record would fail.*User\['u2'\]: step 2"):
        newer(store).migrate()
    assert dict(store) == before


def test_a_result_that_the_class_does_not_take_is_named_with_key_and_field():
    store = MemoryStore()
    filled(store, 2)
    length = {"email": lambda mail: mail if mail == "0@x" else len(mail)}
    wrong = [Migration(1, rename={"mail": "email"}, convert=length, drop=["legacy"])]

    @define
    class Plain:
        name: str = key()
        email: str
        balance: str

    with pytest.raises(MigrationError, match=r"User\['u1'\].*email: expected str, got int 3"):
        newer(store, wrong, Plain).migrate()


def test_a_step_without_key_must_not_change_the_key():
    store = MemoryStore()
    filled(store, 1)
    steps = [*STEPS, Migration(3, change=lambda user: user | {"name": "other"})]
    report = newer(store, steps).migrate(dry_run=True)
    assert "only a step with key=" in report.failures[0].message


def test_none_removes_the_record(open_store):
    store = open_store()
    filled(store)
    steps = [*STEPS, Migration(3, change=lambda u: u if u["balance"] > 1 else None)]
    users = newer(store, steps, indexes=["email"])
    report = users.migrate()
    assert (report.changed, report.removed) == (3, 2)
    assert [*users] == ["u2", "u3", "u4"]
    assert len(users) == 3
    assert not check(store).findings


def test_a_step_reads_another_collection(open_store):
    store = open_store()
    filled(store, 2)

    @define
    class City:
        user: str = key()
        city: str

    cities = Collection(store, City)
    cities.add_many([City("u0", "Rome"), City("u1", "Oslo")])

    @define
    class Placed:
        name: str = key()
        email: str
        balance: Decimal
        city: str

    def place(user):
        return user | {"city": cities[user["name"]].city}

    users = newer(store, [*STEPS, Migration(3, change=place)], Placed)
    users.migrate()
    assert [user.city for user in users.values()] == ["Rome", "Oslo"]


def test_defaults_of_the_class_and_kept_defaults_are_written_into_the_records():
    store = MemoryStore()

    @define
    class First:
        name: str = key()

    Collection(store, First, "User").add(First("ada"))

    @define
    class Second:
        name: str = key()
        level: int = 7

    Collection(store, Second, "User").add(Second("bob", 1))

    @define
    class Third:
        name: str = key()
        rank: int
        note: str = "none"

    newer(store, [Migration(1, rename={"level": "rank"})], Third).migrate()
    assert store["User/ada"] == {"name": "ada", "rank": 7, "note": "none"}


def test_unknown_fields_are_kept_where_the_collection_keeps_them():
    store = MemoryStore()
    filled(store, 1)
    newer(store, [RENAME, Migration(2, convert={"balance": Decimal})], unknown="keep").migrate()
    assert store["User/u0"]["legacy"] == 0


def test_progress_is_called_up_to_the_whole():
    store = MemoryStore()
    filled(store)
    told = []
    newer(store).migrate(lambda done, total: told.append((done, total)))
    assert told[-1] == (10, 10)


def test_migrate_works_outside_of_transactions_and_on_stores_that_can_be_written(tmp_path):
    store = MemoryStore()
    filled(store)
    with store.transaction(), pytest.raises(MigrationError, match="outside"):
        newer(store).migrate()
    with store.snapshot() as view, pytest.raises(ReadOnlyError):
        newer(view).migrate()


def test_an_older_program_is_told_to_run_the_newer_one():
    store = MemoryStore()
    filled(store)
    newer(store).migrate()
    with pytest.raises(MigrationError, match="steps up to 2"):
        newer(store, [RENAME], unknown="keep").migrate()


def test_a_collection_without_records_has_nothing_to_do():
    assert newer(MemoryStore()).migrate().steps == ()


# -- indexes -----------------------------------------------------------------------------------


def test_an_index_follows_the_new_name_of_its_field(open_store):
    store = open_store()
    filled(store, indexes=["mail", "balance"])
    users = newer(store, indexes=["balance", "email"])
    users.migrate()
    assert sorted((index.name, index.state) for index in users.indexes) == [
        ("balance", "ready"),
        ("email", "ready"),
    ]
    assert users.find(email="3@x").one().name == "u3"
    assert "email" in str(users.find(email="3@x").explain())
    assert not check(store).findings


def test_an_index_of_a_dropped_field_is_dropped():
    store = MemoryStore()
    filled(store, indexes=["legacy"])
    users = newer(store)
    users.migrate()
    assert users.indexes == ()
    assert not check(store).findings


def test_a_unique_index_takes_values_that_pass_from_record_to_record():
    store = MemoryStore()

    @define
    class Row:
        name: str = key()
        rank: int

    rows = Collection(store, Row, indexes=[Index("rank", unique=True)])
    rows.add_many(Row(f"{n:03}", n) for n in range(50))
    steps = [Migration(1, convert={"rank": lambda rank: rank + 1})]
    rows = Collection(store, Row, indexes=[Index("rank", unique=True)], migrations=steps)
    rows.migrate()
    assert [row.rank for row in rows.values()] == [*range(1, 51)]
    with pytest.raises(DuplicateKeyError):
        rows.add(Row("x", 50))
    assert not check(store).findings


def test_two_records_with_the_same_unique_value_are_named_before_anything_is_written():
    store = MemoryStore()
    old = filled(store, 2, indexes=[Index("mail", unique=True)])
    old.add(Old("u9", "1@X"))
    before = dict(store)
    steps = [Migration(1, rename={"mail": "email"}, convert={"email": str.lower}), CONVERT]
    with pytest.raises(MigrationError, match=r"User\['u9'\]: it has the same email as User\['u1'"):
        newer(store, steps).migrate()
    assert dict(store) == before


def test_an_index_with_a_condition_on_a_renamed_field_stands_in_the_way():
    store = MemoryStore()
    filled(store, indexes=[Index("balance", where='@.mail == "1@x"')])
    with pytest.raises(MigrationError, match="drop_index"):
        newer(store).migrate()


# -- undo --------------------------------------------------------------------------------------


def test_undo_takes_back_renames_and_steps_with_a_reverse(open_store):
    store = open_store()
    filled(store, indexes=["mail"])
    before = dict(store)
    back = Migration(
        2,
        convert={"balance": Decimal},
        drop=["legacy"],
        reverse=lambda user: user | {"balance": str(user["balance"]), "legacy": 0},
    )
    users = newer(store, [RENAME, back])
    users.migrate()
    report = users.undo(to=0)
    assert (report.steps, report.changed) == ((2, 1), 5)
    assert dict(store) == before
    old = Collection(store, Old, "User")
    assert old.find(mail="3@x").one() == Old("u3", "3@x", "3")
    old.add(Old("u9", "9@x"))
    assert not check(store).findings
    users = newer(store, [RENAME, back])
    assert users["u9"].email == "9@x"
    assert users.migrate().changed == 6


def test_undo_says_which_step_has_no_reverse():
    store = MemoryStore()
    filled(store)
    users = newer(store)
    users.migrate()
    before = dict(store)
    with pytest.raises(MigrationError, match=r"step 2 \(convert balance.*no reverse="):
        users.undo(to=1)
    assert dict(store) == before


@pytest.mark.parametrize("to", [-1, True, "1", None])
def test_undo_takes_the_number_of_a_step(to):
    with pytest.raises(MigrationError, match="takes the number of a step"):
        newer(MemoryStore()).undo(to=to)


# -- steps that change ------------------------------------------------------------------------


def test_a_step_whose_code_changed_after_it_ran_is_reported():
    store = MemoryStore()
    filled(store)
    newer(store).migrate()
    edited = [RENAME, Migration(2, convert={"balance": float}, drop=["legacy"])]
    with pytest.warns(ChangedStepWarning, match="step 2 of 'User'"):
        users = newer(store, edited)
    with pytest.warns(ChangedStepWarning):
        assert users.migrate().edited == (2,)


def test_a_changed_step_is_reported_at_the_line_of_the_program_that_called_stones():
    store = MemoryStore()
    filled(store)
    newer(store).migrate()
    edited = [RENAME, Migration(2, convert={"balance": float}, drop=["legacy"])]
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        users = Collection(store, New, "User", migrations=edited)
        users.migrate()
        users.migrate(dry_run=True)
    lines = [linecache.getline(each.filename, each.lineno).strip() for each in found]
    assert lines == [
        'users = Collection(store, New, "User", migrations=edited)',
        "users.migrate()",
        "users.migrate(dry_run=True)",
    ]


def test_a_step_that_is_the_same_is_not_reported():
    store = MemoryStore()
    filled(store)
    newer(store).migrate()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        newer(store, [RENAME, Migration(2, name="x", drop=["legacy"], convert=CONVERT.convert)])


def test_validators_of_the_class_are_asked():
    store = MemoryStore()
    filled(store, 2)

    @define
    class Strict:
        name: str = key()
        email: str = field()
        balance: Decimal

        @email.validator
        def _check(self, attribute, value):
            if value == "1@x":
                raise ValueError("no address")

    report = newer(store, STEPS, Strict).migrate(dry_run=True)
    assert "no address" in report.failures[0].message
