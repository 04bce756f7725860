"""A run of steps that meets another program, or damaged notes: what is told, and what stays."""

import json

import pytest
from attrs import define

from stones import (
    Collection,
    CollectionError,
    CorruptValueError,
    Index,
    LmdbStore,
    MemoryStore,
    Migration,
    MigrationError,
    check,
    key,
    ledger,
    stone,
)
from stones.engine import Space
from stones.stores.claims import claim_key

COUNT = 3000


@define
class Row:
    name: str = key()
    count: int = 0


def more(record):
    return record | {"count": record["count"] + 1}


def less(record):
    return record | {"count": record["count"] - 1}


ONE = Migration(1, change=more, reverse=less)
TWO = Migration(2, change=more, reverse=less)


@pytest.fixture(params=["memory", "lmdb"])
def store(request, tmp_path):
    place = MemoryStore(serialize="json")
    if request.param == "lmdb":
        place = stone(tmp_path / "db", LmdbStore, serialize="json")
    with place as opened:
        Collection(opened, Row).add_many(Row(f"{number:05}") for number in range(COUNT))
        yield opened


def rows(store, *steps):
    return Collection(store, Row, migrations=steps)


class Once:
    """A progress function that does something once, when so many steps of the work are done."""

    def __init__(self, share, function):
        self.share, self.function = share, function

    def __call__(self, done, of):
        if self.function is not None and done >= of * self.share:
            function, self.function = self.function, None
            function()


def stop():
    raise KeyboardInterrupt


def counts(store):
    return {value["count"] for value in store.range(prefix="Row/").values()}


# -- another program, while the steps are tried ----------------------------------------------------


def test_a_run_that_another_program_ends_first_has_nothing_left_to_do(store):
    report = rows(store, ONE).migrate(Once(0.1, rows(store, ONE).migrate))
    assert (report.steps, report.changed) == ((1,), 0)
    assert counts(store) == {1}
    assert check(store).sound


def test_a_run_does_not_begin_where_another_program_has_begun_a_later_step(store):
    def begin_both():
        with pytest.raises(KeyboardInterrupt):
            rows(store, ONE, TWO).migrate(Once(0.7, stop))

    with pytest.raises(MigrationError, match="has begun to bring the records to step 2; nothing"):
        rows(store, ONE).migrate(Once(0.1, begin_both))
    rows(store, ONE, TWO).migrate()
    assert counts(store) == {2}
    assert check(store).sound


@pytest.mark.parametrize("share", [0.1, 0.7])
def test_a_run_whose_collection_is_dropped_says_so(store, share):
    with pytest.raises(MigrationError, match="the collection 'Row' is not there any more"):
        rows(store, ONE).migrate(Once(share, rows(store).drop))
    assert not store
    assert check(store).sound


def test_a_run_whose_records_are_all_removed_ends(store):
    assert rows(store, ONE).migrate(Once(0.7, store.clear)).steps == (1,)
    assert not store
    assert check(store).sound


def test_an_undo_stops_where_another_program_has_undone_the_steps(store):
    users = rows(store, ONE, TWO)
    users.migrate()
    with pytest.raises(MigrationError, match="another program has migrated it meanwhile"):
        users.undo(0, Once(0.1, lambda: rows(store, ONE, TWO).undo(1)))
    assert counts(store) == {1}
    assert check(store).sound


# -- another program, while the records are written ------------------------------------------------


def test_a_run_stops_where_another_program_goes_on_to_a_later_step(store):
    with pytest.raises(MigrationError, match="another program brings the records to step 2"):
        rows(store, ONE).migrate(Once(0.7, rows(store, ONE, TWO).migrate))
    assert counts(store) == {2}
    assert check(store).sound


def test_an_undo_waits_for_the_end_of_a_migration(store):
    both = rows(store, ONE, TWO)
    with pytest.raises(KeyboardInterrupt):
        both.migrate(Once(0.7, stop))
    for to in (0, 2):
        with pytest.raises(MigrationError, match="in the middle of a migration: call migrate"):
            both.undo(to)
    both.migrate()
    with pytest.raises(KeyboardInterrupt):
        both.undo(0, Once(0.7, stop))
    with pytest.raises(MigrationError, match=r"in the middle of a migration: call undo\(to=0\)"):
        both.undo(1)
    both.undo(0)
    assert counts(store) == {0}
    assert check(store).sound


def test_no_program_writes_while_steps_are_undone(store):
    users = rows(store, ONE)
    users.migrate()
    refused = []

    def write():
        for program in (rows(store, ONE), rows(store)):
            with pytest.raises(MigrationError) as error:
                program.put(Row("new", 7))
            refused.append(str(error.value))
        assert rows(store, ONE)["00000"].count in (0, 1)

    users.undo(0, Once(0.7, write))
    assert "cannot be written while its steps above 0 are undone" in refused[0]
    assert len(refused) == 2
    assert counts(store) == {0}
    assert check(store).sound


# -- what does not fit -----------------------------------------------------------------------------


def test_an_undo_needs_each_step_that_it_takes_back(store):
    rows(store, ONE, TWO).migrate()
    with pytest.raises(MigrationError, match=r"step 2 of 'Row' is not in migrations="):
        rows(store, ONE).undo(0)
    assert counts(store) == {2}


@pytest.mark.parametrize("condition", ["@.state == 'on'", "@..state == 'on'"])
@pytest.mark.parametrize("touched", ["state", "note"])
def test_an_index_with_a_condition_answers_rightly_while_records_lack_a_step(condition, touched):
    @define
    class Lamp:
        name: str = key()
        size: int = 0
        state: str = "off"
        note: str = ""

    store = MemoryStore()
    indexes = [Index("size", where=condition)]
    lamps = Collection(store, Lamp, indexes=indexes)
    lamps.add_many(Lamp(f"{n}", n, "on" if n % 2 else "off") for n in range(100))
    step = Migration(1, convert={touched: lambda text: "on" if touched == "state" else text})
    later = Collection(store, Lamp, indexes=indexes, migrations=[step])
    query = later.find(f"$[?({condition} && @.size > 90)]")
    expected = [f"{n}" for n in range(91, 100) if n % 2 or touched == "state"]
    assert list(query.keys()) == expected
    is_used = query.explain().index is not None
    assert is_used is (touched == "note" and "@.state" in condition)
    later.migrate()
    assert list(query.keys()) == expected


def test_damaged_figures_of_a_run_count_as_none(store):
    with store.database.writing() as txn:
        txn.put(Space.META, b"run/Row", b"no json")
    assert rows(store, ONE).migrate().changed == COUNT
    assert [entry.changed for entry in ledger(store)] == [COUNT]


@pytest.mark.parametrize("steps", [[1], {"done": "1"}, {"done": -1}, {"done": 1, "to": 10**9}])
def test_damaged_numbers_of_steps_are_told_at_opening(store, steps):
    rows(store, ONE).migrate()
    with store.database.writing() as txn:
        described = json.loads(txn.get(Space.META, claim_key("Row")))
        txn.put(Space.META, claim_key("Row"), json.dumps(described | {"steps": steps}).encode())
    with pytest.raises((CorruptValueError, CollectionError), match="Row"):
        rows(store, ONE)
    assert not check(store).sound
