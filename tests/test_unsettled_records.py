"""Records that have not had all steps of their migrations: each is upgraded as it is read.

The twin is a dict whose values have had all steps. The migration is driven by hand, record by
record, between the writes of programs.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from attrs import asdict, define, evolve, field
from hypothesis import given, settings
from hypothesis import strategies as st

from stones import (
    Collection,
    CollectionError,
    DuplicateKeyError,
    JsonFileStore,
    LmdbStore,
    MemoryStore,
    Migration,
    MigrationError,
    RecordError,
    check,
    index,
    inspect,
    key,
    salvage,
    stone,
)
from stones.collections.completed_records import completed_record
from stones.collections.record_steps import read_cursors
from stones.engine import Space
from stones.errors import StoneError

from .unsettled import begin, finish, marks, sweep


@define
class Old:
    name: str = key()
    mail: str
    legacy: int = index()
    tags: list[str] = index(each=True, factory=list)


@define
class OldWithLevel:
    name: str = key()
    mail: str
    legacy: int = index()
    tags: list[str] = index(each=True, factory=list)
    level: int = 7


@define
class Middle:
    """After step 1."""

    name: str = key()
    email: str = index()
    legacy: int = index()
    tags: list[str] = index(each=True, factory=list)
    level: int = 7


@define
class New:
    """After step 3."""

    name: str = key()
    email: str = index()
    size: int = index()
    tags: list[str] = index(each=True, factory=list)
    level: float = 0.5
    state: str = "new"


def without_threes(record):
    """The change of step 2, which removes records."""
    if record["legacy"] == 3:
        return None
    record["size"] = record.pop("legacy") * 10
    return record


STEPS = [
    Migration(1, rename={"mail": "email"}),
    Migration(2, change=without_threes),
    Migration(3, convert={"level": lambda level: level / 2}, add={"state": "old"}),
]


def old(store, cls=Old, **options):
    return Collection(store, cls, name="users", **options)


def middle(store, **options):
    return Collection(store, Middle, name="users", migrations=STEPS[:1], **options)


def new(store, **options):
    return Collection(store, New, name="users", migrations=STEPS, **options)


def upgraded(record, level=7):
    """The record of the newest class for one of an older class. None if a step removes it.

    `level` is the default that was kept when the field was added. None if it never was added.
    """
    fields = {"level": level, **asdict(record)}
    fields.setdefault("email", fields.pop("mail", None))
    if fields["legacy"] == 3:
        return None
    size, level = fields.pop("legacy") * 10, fields.pop("level")
    return New(**fields, size=size, level=0.5 if level is None else level / 2, state="old")


def assert_reads(users, model):
    """Every way to read the collection gives what the dict has."""
    names = sorted(model)
    assert dict(users.items()) == model
    assert list(users) == names
    assert list(reversed(users)) == names[::-1]
    assert list(users.values()) == [model[name] for name in names]
    assert users.get_many([*names, "?"]) == model
    for name in ("a", "b", "c", "d", "e"):
        assert (name in users) == (name in model)
        assert users.get(name) == model.get(name)
        assert users.find(name=name).to_list() == ([model[name]] if name in model else [])
    inside = {name: user for name, user in model.items() if "b" <= name < "d"}
    assert dict(users.range(ge="b", lt="d").items()) == inside
    assert len(users.range(ge="b", lt="d")) == len(inside)
    assert list(users.range(reverse=True, limit=2)) == names[::-1][:2]
    every = users.find()
    assert every.count() == len(model)
    assert every.sum("size") == sum(user.size for user in model.values())
    assert every.max("level") == max((user.level for user in model.values()), default=None)
    assert list(every.values("email")) == [model[name].email for name in names]
    assert list(every.keys()) == names
    assert sum(every.group_by("size").count().values()) == len(model)
    for query, wants in QUERIES:
        found = {name for name, user in model.items() if wants(user)}
        assert set(query(users).keys()) == found
        assert query(users).count() == len(found)
        assert query(users).to_list() == [model[name] for name in sorted(found)]
        assert query(users).exists() == bool(found)
    by_size = sorted(names, key=lambda name: (model[name].size, name))
    assert list(users.find().order_by("size").keys()) == by_size
    assert list(users.find().order_by("size").limit(2).keys()) == by_size[:2]
    assert list(users.search("$[*].state")) == [model[name].state for name in names]


QUERIES = [
    (lambda users: users.find("@.size > 15"), lambda user: user.size > 15),
    (lambda users: users.find(size=20), lambda user: user.size == 20),
    (lambda users: users.find(email="x@x"), lambda user: user.email == "x@x"),
    (lambda users: users.find("@.tags[*] == 'red'"), lambda user: "red" in user.tags),
    (
        lambda users: users.find(state="old", level=3.5),
        lambda u: (u.state, u.level) == ("old", 3.5),
    ),
]

names = st.sampled_from("abcde")
texts = st.sampled_from(["x@x", "y@y"])
tags = st.lists(st.sampled_from(["red", "blue"]), max_size=2)
numbers = st.integers(0, 4)
first = st.lists(st.builds(Old, names, texts, numbers, tags), max_size=5)
later = st.lists(st.builds(OldWithLevel, names, texts, numbers, tags, numbers), max_size=3)
news = st.builds(New, names, texts, numbers, tags, st.just(2.5))
changes = st.lists(
    st.one_of(
        st.tuples(st.just("put"), news),
        st.tuples(st.just("add"), news),
        st.tuples(st.just("add_many"), st.lists(news, max_size=3)),
        st.tuples(st.just("put_many"), st.lists(news, max_size=3)),
        st.tuples(st.just("delete"), names),
        st.tuples(st.just("pop"), names),
        st.tuples(st.just("popitem"), st.none()),
        st.tuples(st.just("setdefault"), news),
        st.tuples(st.just("update"), names),
        st.tuples(st.just("update_all"), numbers),
        st.tuples(st.just("delete_all"), numbers),
        st.tuples(st.just("clear"), st.none()),
        st.tuples(st.just("sweep"), numbers),
        st.tuples(st.just("finish"), st.none()),
    ),
    max_size=6,
)


def apply(users, model, change, given):
    """Make a change in the collection and in the dict. Both give the same answer."""
    if change == "put":
        assert users.put(given) == given.name
        model[given.name] = given
    elif change == "add":
        if given.name in model:
            with pytest.raises(DuplicateKeyError):
                users.add(given)
        else:
            assert users.add(given) == given.name
            model[given.name] = given
    elif change == "add_many":
        fresh = {user.name: user for user in reversed(given) if user.name not in model}
        assert users.add_many(given, on_duplicate="skip") == len(fresh)
        model.update(fresh)
    elif change == "put_many":
        assert users.put_many(given) == len(given)
        model.update({user.name: user for user in given})
    elif change == "delete":
        assert users.delete(given) == (given in model)
        model.pop(given, None)
    elif change == "pop":
        assert users.pop(given, None) == model.pop(given, None)
    elif change == "popitem":
        if model:
            assert users.popitem() == (last := max(model), model.pop(last))
        else:
            with pytest.raises(KeyError):
                users.popitem()
    elif change == "setdefault":
        assert users.setdefault(given.name, given) == model.setdefault(given.name, given)
    elif change == "update":
        if given in model:
            model[given] = evolve(model[given], state="changed")
            assert users.update(given, state="changed") == model[given]
        else:
            with pytest.raises(KeyError):
                users.update(given, state="changed")
    elif change == "update_all":
        found = [name for name, user in model.items() if user.size == given * 10]
        assert users.find(size=given * 10).update(email="z@z") == len(found)
        model.update({name: evolve(model[name], email="z@z") for name in found})
    elif change == "delete_all":
        found = [name for name, user in model.items() if user.size == given * 10]
        assert users.find(size=given * 10).delete() == len(found)
        for name in found:
            del model[name]
    elif change == "clear":
        users.clear()
        model.clear()
    elif change == "sweep":
        begin(users)
        if users._records._description.read_now().steps.to is not None:
            sweep(users, given)
    else:
        begin(users)
        if users._records._description.read_now().steps.to is not None:
            finish(users)


def run(store, first, later, changes):
    """Records of two old classes, then the changes of a new program. Compares after each."""
    model = {}
    old(store).put_many(first)
    model.update({user.name: user for user in first})
    if later:
        old(store, OldWithLevel).put_many(later)
        model.update({user.name: user for user in later})
    level = 7 if later else None
    model = {name: u for name, user in model.items() if (u := upgraded(user, level)) is not None}
    users = new(store)
    assert_reads(users, model)
    for change, value in changes:
        apply(users, model, change, value)
        assert_reads(users, model)
        assert_reads(new(store), model)
    if changes and model:
        begin(users)
        if users._records._description.read_now().steps.to is not None:
            finish(users)
        assert_reads(users, model)
        assert marks(users) == []
        assert len(users) == len(model)
    report = check(store)
    assert report.sound, report.findings


@settings(max_examples=40, deadline=None)
@given(first, later, changes)
def test_records_read_as_if_all_had_had_all_steps(first, later, changes):
    run(MemoryStore(), first, later, changes)


@settings(max_examples=5, deadline=None)
@given(first, later, changes)
def test_records_read_so_on_disk(tmp_path_factory, first, later, changes):
    path = tmp_path_factory.mktemp("unsettled") / "db"
    with stone(path, LmdbStore, serialize="msgpack") as store:
        run(store, first, later, changes)


# -- programs side by side -------------------------------------------------------------------------


def users_of_old(store, count=6):
    """The records a, b, c... of the first class. A step removes d."""
    old(store).add_many(
        [Old(name, f"{name}@x", n, ["red"]) for n, name in enumerate("abcdef"[:count])]
    )


def test_each_engine_reads_records_of_all_shapes(store):
    users_of_old(store)
    model = {name: upgraded(old(store)[name], None) for name in "abcef"}
    users = new(store)
    assert_reads(users, model)
    for change, value in [
        ("put", New("f", "f@y", 1)),
        ("sweep", 2),
        ("put", New("a", "a@y", 2)),
        ("add", New("d", "d@y", 3)),
        ("update", "c"),
        ("delete", "b"),
        ("update_all", 4),
        ("finish", None),
    ]:
        apply(users, model, change, value)
        assert_reads(users, model)
    assert marks(users) == []
    assert len(users) == len(model)


def test_programs_of_two_steps_read_one_store(opened):
    with opened() as store:
        users_of_old(store)
        earlier, latest = middle(store), new(store)
        earlier.put(Middle("a", "a@y", 5, [], 1))
        assert earlier["a"] == Middle("a", "a@y", 5, [], 1)
        assert earlier["b"] == Middle("b", "b@x", 1, ["red"])
        assert latest["a"] == New("a", "a@y", 50, [], 0.5, "old")
        assert latest["b"] == New("b", "b@x", 10, ["red"], 0.5, "old")
        begin(earlier)
        sweep(earlier, 3)
        latest.put(New("b", "b@z", 7))
        assert latest["c"] == New("c", "c@x", 20, ["red"], 3.5, "old")
        with pytest.raises(MigrationError, match=r"had the steps up to 3, and this program knows"):
            earlier.put(Middle("e", "e@y", 5))
        assert earlier["f"] == Middle("f", "f@x", 5, ["red"])
        finish(latest)
        assert latest["a"] == New("a", "a@y", 50, [], 0.5, "old")
        assert latest["c"] == New("c", "c@x", 20, ["red"], 3.5, "old")
        assert latest["b"] == New("b", "b@z", 7)


@pytest.mark.parametrize("write", ["put", "add", "delete", "clear", "pop", "update"])
def test_a_program_with_fewer_steps_cannot_write(write):
    store = MemoryStore()
    users_of_old(store)
    before = old(store, unknown="keep")
    new(store).put(New("a", "a@y", 1))
    arguments = {"put": [Old("z", "z", 1)], "add": [Old("z", "z", 1)], "clear": []}.get(
        write, ["b"]
    )
    values = {"mail": "z"} if write == "update" else {}
    with pytest.raises(MigrationError, match="deploy the newer program"):
        getattr(before, write)(*arguments, **values)
    assert before["b"] == Old("b", "b@x", 1, ["red"])


def test_an_old_program_that_keeps_unknown_fields_goes_on_reading(opened):
    with opened() as store:
        users_of_old(store)
        reader = Collection(store, Middle, name="users", migrations=STEPS[:1], unknown="keep")
        finish(middle(store))
        assert reader["b"].email == "b@x"
        step = Migration(2, add={"more": 1})

        @define
        class Later(Middle):
            more: int = 1

        later = Collection(store, Later, name="users", migrations=[STEPS[0], step])
        later.put(Later("c", "c@z", 9))
        assert reader["c"] == Middle("c", "c@z", 9)
        assert reader.find(email="c@z").count() == 1
        assert reader.find("@.legacy > 4").count() == 2
        assert [user.name for user in reader.values()] == list("abcdef")


def test_a_snapshot_does_not_see_the_sweep_that_comes_after_it(opened):
    with opened() as store:
        users_of_old(store)
        model = {name: upgraded(old(store)[name], None) for name in "abcef"}
        users = new(store)
        begin(users)
        sweep(users, 2)
        with store.snapshot() as frozen:
            seen = new(frozen)
            users.put(New("e", "e@y", 9))
            sweep(users, 2)
            assert_reads(seen, model)
            finish(users)
            assert_reads(seen, model)
        assert users["e"] == New("e", "e@y", 9)


def test_an_iteration_does_not_see_what_is_written_meanwhile(opened):
    with opened() as store:
        old(store).add_many([Old(f"{n:04}", "x@x", 1) for n in range(1200)])
        users = new(store)
        expected = [New(f"{n:04}", "x@x", 10, [], 0.5, "old") for n in range(1200)]
        expected = [evolve(user, level=0.5) for user in expected]
        begin(users)
        with store.transaction():
            read = []
            for user in users.values():
                read.append(user)
                if user.name == "0010":
                    users.put_many([New(f"{n:04}", "y@y", 3) for n in range(1200)])
        assert read == expected
        assert set(users.find().values("email")) == {"y@y"}


def test_an_untouched_index_answers_while_records_lack_steps():
    store = MemoryStore()
    users_of_old(store)
    users = middle(store)
    begin(users)
    assert "legacy" in str(users.find("@.legacy == 2").explain())
    plan = str(users.find(email="a@x").explain())
    assert "a step changes 'email' in records that migrations= brings to step 1" in plan
    assert users.find("@.legacy == 2").to_list() == [Middle("c", "c@x", 2, ["red"])]


def test_unknown_fields_are_taken_along_through_the_steps():
    store = MemoryStore()
    users_of_old(store)

    @define
    class Narrow:
        name: str = key()
        email: str

    users = Collection(store, Narrow, name="users", migrations=STEPS[:1], unknown="keep")
    users.update("b", email="b@y")
    assert store["users/b"] == {"name": "b", "email": "b@y", "legacy": 1, "tags": ["red"]}


# -- steps that do not fit -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("numbers", "problem"),
    [
        ([1, 1], "two steps have the number 1"),
        ([1, 3], "step 2 is missing in migrations="),
        ([2, 6], "the steps 3 to 5 are missing in migrations="),
        ([0], "steps are numbered from 1 on"),
        ([True], "steps are numbered from 1 on"),
    ],
)
def test_the_numbers_of_steps_have_no_gaps_and_no_repeats(numbers, problem):
    @define
    class Step:
        number: int
        changes_keys: bool = False
        touched: frozenset = frozenset()

        def apply(self, record):
            return record

    with pytest.raises(MigrationError, match=problem) as caught:
        Collection(MemoryStore(), Old, migrations=[Step(number) for number in numbers])
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("wrong", [5, [5], ["x"], "x"])
def test_what_is_no_step_is_refused(wrong):
    with pytest.raises(MigrationError, match="takes a list of Migration"):
        Collection(MemoryStore(), Old, migrations=wrong)


def test_the_list_may_begin_with_a_later_step_once_the_earlier_ones_have_run():
    store = MemoryStore()
    users_of_old(store)
    with pytest.raises(MigrationError, match="step 1 is missing"):
        Collection(store, New, name="users", migrations=STEPS[1:])
    finish(middle(store))
    assert Collection(store, New, name="users", migrations=STEPS[1:])["b"].size == 10


def test_a_step_that_fails_names_the_record_the_step_and_the_cause():
    def broken(record):
        return {**record, "mail": record["mail"].wrong}

    store = MemoryStore()
    users_of_old(store)
    users = Collection(store, Old, name="users", migrations=[Migration(1, change=broken)])
    for read in (lambda: users["b"], users.find("@.legacy > 3").to_list, lambda: [*users.values()]):
        with pytest.raises(RecordError, match=r"users\['.'\]: step 1: .*'wrong'"):
            read()
    users.put(Old("b", "mended", 1))
    assert users["b"].mail == "mended"
    assert users.delete("c") is True


def test_a_step_must_give_a_dict_and_leave_the_key_alone():
    store = MemoryStore()
    users_of_old(store)
    listed = Migration(1, change=lambda record: [*record])
    with pytest.raises(RecordError, match=r"users\['b'\]: step 1"):
        Collection(store, Old, name="users", migrations=[listed])["b"]
    renamed = Migration(1, change=lambda record: {**record, "name": record["name"] * 2})
    with pytest.raises(
        RecordError, match=r"users\['b'\]: a step has changed name, which is the key"
    ):
        Collection(store, Old, name="users", migrations=[renamed])["b"]


def test_before_a_step_for_keys_only_migrate_len_and_name_work():
    store = MemoryStore()
    users_of_old(store)

    @define
    class ByMail:
        name: str
        mail: str = key()
        legacy: int
        tags: list[str] = field(factory=list)

    step = Migration(1, key=lambda record: record["mail"])
    users = Collection(store, ByMail, name="users", migrations=[step])
    assert (len(users), users.name) == (6, "users")
    for use in (
        lambda: users["a"],
        lambda: "a" in users,
        lambda: list(users),
        lambda: list(users.values()),
        lambda: users.get_many(["a"]),
        users.find().count,
        users.find(name="a").to_list,
        lambda: list(users.search("$[*]")),
        lambda: users.put(ByMail("a", "a", 1)),
        lambda: users.delete("a"),
        users.clear,
    ):
        with pytest.raises(
            MigrationError, match=r"step 1 of 'users' changes the keys .* migrate\(\)"
        ):
            use()
    assert old(store)["b"].mail == "b@x"
    store.clear()
    users.put(ByMail("a", "a@x", 1))
    assert users["a@x"].name == "a"


def test_a_record_is_shown_with_the_defaults_of_its_own_shape():
    store = MemoryStore()
    users_of_old(store)
    old(store, OldWithLevel).put(OldWithLevel("a", "a@x", 1))
    new(store).put(New("b", "b@y", 1))
    shown = {
        name: completed_record(store.database, b"users/" + name.encode(), store[f"users/{name}"])
        for name in "bc"
    }
    assert shown["c"] == {"name": "c", "mail": "c@x", "legacy": 2, "tags": ["red"], "level": 7}
    assert shown["b"] == new(store).to_dict(New("b", "b@y", 1))


# -- the rest of the store -------------------------------------------------------------------------


def test_clearing_the_store_removes_marks_and_cursors(opened):
    with opened() as store:
        users_of_old(store)
        users = new(store)
        users.put(New("f", "f@y", 1))
        sweep(users, 2)
        assert len(marks(users)) == 2
        store.clear()
        assert marks(users) == []
        users.put(New("a", "a@y", 2))
        assert_reads(users, {"a": New("a", "a@y", 2)})


def test_emptying_the_collection_ends_the_migration(opened):
    with opened() as store:
        users_of_old(store)
        users = new(store)
        users.put(New("f", "f@y", 1))
        users.clear()
        assert marks(users) == []
        assert inspect(store).collections[0].step == 3
        users.put(New("a", "a@y", 2))
        assert_reads(users, {"a": New("a", "a@y", 2)})


def test_a_copy_takes_records_of_all_shapes_with_their_steps(opened):
    source = MemoryStore()
    users_of_old(source)
    users = new(source)
    model = {name: upgraded(old(source)[name], None) for name in "abcef"}
    users.put(model.setdefault("f", New("f", "f@y", 1)))
    begin(users)
    sweep(users, 2)
    with opened() as target:
        target.update(source)
        assert_reads(new(target), model)
        with pytest.raises(CollectionError, match="are brought to 3"):
            target.update(source)
        finish(new(target))
        assert_reads(new(target), model)
        with pytest.raises(CollectionError, match="have had the steps up to 3 in"):
            target.update(source)
        finish(users)
        target.update(source)
        assert_reads(new(target), model)


def test_info_and_check_know_the_steps_of_records(opened):
    with opened() as store:
        users_of_old(store)
        assert inspect(store).collections[0].to_step is None
        users = new(store)
        users.put(New("f", "f@y", 1))
        found = inspect(store)
        assert (found.version, found.collections[0].step, found.collections[0].to_step) == (
            "3",
            0,
            3,
        )
        assert check(store).sound
        with store.database.writing() as txn:
            txn.put(Space.META, b"progress/users", b"[1]")
            txn.put(Space.META, b"step/users\0x", b"x")
            txn.put(Space.META, b"step/nobody\0x", b"1")
        found = {finding.key: finding for finding in check(store).findings}
        assert found.keys() == {b"progress/users", b"step/users\0x", b"step/nobody\0x"}
        assert "restore a backup" in found[b"progress/users"].what
        assert "restore a backup" in found[b"step/users\0x"].what
        assert {key for key, each in found.items() if each.repairable} == {b"step/nobody\0x"}
        assert check(store, repair=True).mended == ()  # the cursors cannot be made again


def metadata_of(store):
    with store.database.reading() as txn:
        return dict(txn.scan(Space.META))


def test_a_repair_removes_damaged_steps_that_no_migration_needs(opened):
    with opened() as store:
        users_of_old(store)
        users = new(store)
        finish(users)
        before, entries = metadata_of(store), dict(store)
        with store.database.writing() as txn:
            txn.put(Space.META, b"progress/users", b"[1]")
            txn.put(Space.META, b"step/users\0x", b"x")
            txn.put(Space.META, b"progress/nobody", b"{}")
            txn.put(Space.META, b"step/\xff\0x", b"1")
        assert {finding.repairable for finding in check(store).findings} == {True}
        assert len(check(store, repair=True).mended) == 1
        assert check(store).sound
        assert (metadata_of(store), dict(store)) == (before, entries)


def test_salvage_leaves_out_steps_that_no_migration_needs(tmp_path):
    with stone(tmp_path / "db", LmdbStore, serialize="json") as store:
        users_of_old(store)
        with store.database.writing() as txn:
            txn.put(Space.META, b"step/nobody\0x", b"1")
    assert len(salvage(tmp_path / "db", tmp_path / "new").lost) == 1
    assert check(tmp_path / "new").sound


def test_damage_of_the_cursors_is_named():
    store = MemoryStore()
    users_of_old(store)
    users = new(store)
    begin(users)
    with store.database.writing() as txn:
        txn.put(Space.META, b"progress/users", b"{")
    with pytest.raises(StoneError, match="of the migration of 'users' is damaged"):
        users["a"]
    assert store.range(prefix="users/")["users/a"]["name"] == "a"


def test_records_of_an_edited_file_read_in_the_middle_of_a_migration(tmp_path):
    path = tmp_path / "store.json"
    with stone(path, JsonFileStore, serialize="json") as store:
        users_of_old(store)
        users = new(store)
        users.put(New("a", "a@y", 1))
        begin(users)
        with store.database.reading() as txn:
            assert read_cursors(txn, "users") == {}
    edited = json.loads(path.read_text())
    edited["users/c"]["mail"] = "c@y"
    path.write_text(json.dumps(edited))
    with stone(path, JsonFileStore, serialize="json") as store:
        users = new(store)
        assert users["c"].email == "c@y"
        assert users["a"] == New("a", "a@y", 1)
        assert users.find("@.size == 20").count() == 1


# -- without snapshots -----------------------------------------------------------------------------


def test_readers_and_writers_go_on_while_records_are_swept(store):
    names = [f"{n:03}" for n in range(150)]
    old(store).add_many([Old(name, "x@x", 1) for name in names])
    stop = Event()

    def write():
        users = new(store)
        for n in range(30):
            users.put(New(names[n * 37 % 150], "y@y", 9))
            users.find(name=names[n * 13 % 150]).update(state="changed")
        return len(users)

    def read():
        users, count = new(store), 0
        while not stop.is_set() or not count:
            assert {(user.email, user.size) for user in users.values()} <= wanted
            assert users.find("@.size > 5").count() + users.find("@.size <= 5").count() == 150
            assert [*users.get_many(names)] == names
            count += 1
        return count

    def migrate():
        users = new(store)
        begin(users)
        while sweep(users, 6):
            pass

    wanted = {("x@x", 10), ("y@y", 9)}
    with ThreadPoolExecutor() as pool:
        reader = pool.submit(read)
        try:
            written, swept = pool.submit(write), pool.submit(migrate)
            assert written.result() == 150
            swept.result()
        finally:
            stop.set()
        assert reader.result() > 0
    finish(new(store))
    users = new(store)
    assert {(user.email, user.size) for user in users.values()} == wanted
    assert check(store).sound
