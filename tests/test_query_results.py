"""What a query gives: narrower queries, ranges, tuples, lists, and tables of other packages."""

import sys
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import pandas as pd
import pyarrow as pa
import pytest
from attrs import define, field

from stones import Collection, QueryError, RecordError, UnsupportedError, ValueTypeError, key


@define
class Address:
    city: str


@define
class User:
    name: str = key()
    age: int | None = None
    address: Address | None = None
    tags: set[str] = field(factory=set)
    born: date | None = None


@define
class Step:
    run: str = key()
    number: int = key()
    loss: float = 0.0


RECORDS = [
    User("ada", 36, Address("London"), {"math"}, date(1815, 12, 10)),
    User("bob", None),
    User("eve", 52, Address("Bonn"), {"a", "b"}),
]


@pytest.fixture
def users(store):
    collection: Collection[str, User] = Collection(store, User)
    collection.add_many(RECORDS)
    return collection


@pytest.fixture
def steps(store):
    collection: Collection[tuple[str, int], Step] = Collection(store, Step)
    collection.add_many(Step(run, n, 1 / n) for run in ("r1", "r2") for n in (1, 2, 3))
    store["beside"] = "not a record"
    return collection


# -- narrower --------------------------------------------------------------------------------------


def test_find_narrows_a_query(users):
    adults = users.find("@.age > 30")
    assert adults.find("@.address.city == 'Bonn'").one().name == "eve"
    assert adults.find(name="ada").count() == 1
    assert adults.find(name="bob").count() == 0
    assert adults.find().count() == 2
    assert adults.find("@.age < {high}", high=40).find(tags={"math"}).one().name == "ada"
    assert users.find(name="eve").find("$[?(@.age > $[0].age)]").one().name == "eve"


def test_a_narrower_query_keeps_its_order(users):
    assert users.find().order_by("-name").find("@.age > 0").to_list("name") == ["eve", "ada"]


def test_a_query_stays_as_it_was(users):
    query = users.find()
    query.find(name="ada"), query.limit(1), query.order_by("-name"), query.reversed()
    assert query.to_list("name") == ["ada", "bob", "eve"]


def test_find_of_a_query_refuses_what_find_of_the_collection_refuses(users):
    with pytest.raises(RecordError, match="did you mean 'name'"):
        users.find().find(nam="x")
    with pytest.raises(QueryError, match="did you mean 'age'"):
        users.find().find("@.agee > 1")


# -- ranges ----------------------------------------------------------------------------------------


def test_a_range_can_be_queried(steps):
    run = steps.range(prefix=("r1",))
    assert list(run.find().keys()) == [("r1", 1), ("r1", 2), ("r1", 3)]
    assert list(run.find("@.loss < 0.6").keys()) == [("r1", 2), ("r1", 3)]
    assert list(run.find().order_by("loss").limit(1).keys()) == [("r1", 3)]
    assert run.find().count() == 3
    assert run.find().offset(2).count() == 1
    assert run.find().group_by("run").count() == {"r1": 3}
    assert list(steps.range(gt=("r1", 2), lt=("r2", 2)).find().keys()) == [("r1", 3), ("r2", 1)]
    assert run.find(number=2).one() == Step("r1", 2, 0.5)


def test_a_query_of_a_range_has_the_order_of_the_range(steps):
    backwards = steps.range(prefix=("r1",), reverse=True)
    assert list(backwards.find().keys()) == list(backwards) == [("r1", 3), ("r1", 2), ("r1", 1)]
    assert list(backwards.find().reversed().limit(1).keys()) == [("r1", 1)]


def test_a_query_of_a_range_about_the_whole_collection(steps):
    assert list(steps.range(ge=("r2",)).find("$[?(@.loss == $[1].loss)]").keys()) == [("r2", 2)]


def test_a_range_is_still_a_mapping(steps):
    run = steps.range(prefix=("r1",), limit=2)
    assert dict(run) == {("r1", 1): Step("r1", 1, 1.0), ("r1", 2): Step("r1", 2, 0.5)}
    assert repr(run).startswith("<Range of <Collection 'Step'")


def test_a_range_with_a_limit_is_not_queried(steps):
    with pytest.raises(QueryError, match="limit"):
        steps.range(limit=2).find()


def test_a_query_of_a_range_refuses_what_fits_no_record(steps):
    with pytest.raises(RecordError, match="Step has no field 'nam'"):
        steps.range(ge=("r1",)).find(nam=1)


@pytest.mark.needs("snapshots")
def test_a_range_of_a_snapshot_can_be_queried(steps, store):
    with store.snapshot() as view:
        steps.clear()
        assert Collection(view, Step).range(prefix=("r2",)).find().count() == 3


# -- lists and tuples ------------------------------------------------------------------------------


def test_several_paths_give_tuples(users):
    assert list(users.find().values("name", "address.city")) == [
        ("ada", "London"),
        ("bob", None),
        ("eve", "Bonn"),
    ]
    assert list(users.find(name="eve").values("tags[*]", "age")) == [(["a", "b"], 52)]
    assert list(users.find(name="bob").values("tags[*]", "age")) == [([], None)]
    with pytest.raises(QueryError, match="did you mean 'age'"):
        users.find().values("name", "agee")


def test_a_query_makes_a_list(users):
    assert users.find("@.age > 40").to_list() == RECORDS[2:]
    assert users.find().to_list("age") == [36, None, 52]
    assert users.find().to_list("name", "age") == [("ada", 36), ("bob", None), ("eve", 52)]
    assert users.find().order_by("-age").limit(1).to_list("name") == ["eve"]


def test_a_query_has_no_length(users):
    with pytest.raises(TypeError):
        len(users.find())
    assert users.find()
    assert not users.find(name="x")


def test_a_field_may_have_the_name_of_an_operator(store):
    @define
    class Words:
        len: int = key()
        contains: int = 2
        sub: int = 3

    words = Collection(store, Words)
    words.add(Words(1))
    assert words.find().to_arrow().to_pylist() == [{"len": 1, "contains": 2, "sub": 3}]


# -- tables ----------------------------------------------------------------------------------------


def test_a_query_makes_a_table_of_arrow(users):
    table = users.find().to_arrow()
    assert table.column_names == ["name", "age", "address", "tags", "born"]
    assert table.to_pydict() == {
        "name": ["ada", "bob", "eve"],
        "age": [36, None, 52],
        "address": [{"city": "London"}, None, {"city": "Bonn"}],
        "tags": [["math"], [], ["a", "b"]],
        "born": [date(1815, 12, 10), None, None],
    }


def test_the_columns_of_a_table_are_paths(users):
    table = users.find("@.age > 0").order_by("-age").to_arrow("name", "address.city", "tags[*]")
    assert table.column_names == ["name", "address.city", "tags[*]"]
    assert table["address.city"].to_pylist() == ["Bonn", "London"]
    assert table["address.city"].type == pa.string()
    assert [sorted(tags) for tags in table["tags[*]"].to_pylist()] == [["a", "b"], ["math"]]


def test_a_table_of_nothing_has_its_columns(users):
    assert users.find(name="x").to_arrow().column_names[0] == "name"
    assert list(users.find(name="x").to_pandas("age").columns) == ["age"]


def test_values_of_several_types_are_no_column_of_arrow(store):
    @define
    class Loose:
        id: int = key()
        value: Any

    loose = Collection(store, Loose)
    loose.add_many([Loose(1, "a"), Loose(2, 3)])
    with pytest.raises(QueryError, match="values of 'value' do not fit one column"):
        loose.find().to_arrow()
    loose.find(id=2).delete()
    loose.find().update(value=2**70)
    with pytest.raises(QueryError, match="do not fit one column"):
        loose.find().to_arrow("value")


def test_types_that_arrow_lacks_are_changed(store):
    @define
    class Row:
        id: UUID = key()
        price: Decimal
        pair: tuple[int, int]

    rows = Collection(store, Row)
    rows.add(Row(UUID(int=1), Decimal("9.90"), (1, 2)))
    assert rows.find().to_arrow().to_pylist() == [
        {"id": str(UUID(int=1)), "price": Decimal("9.90"), "pair": [1, 2]}
    ]


@pytest.mark.parametrize(
    "values", [[datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 1)], [time(1, tzinfo=UTC)]]
)
def test_a_table_of_arrow_never_changes_a_time_zone(store, values):
    @define
    class Loose:
        id: int = key()
        value: Any

    things: Collection[int, Loose] = Collection(store, Loose)
    things.add_many(Loose(number, value) for number, value in enumerate(values))

    with pytest.raises(QueryError, match=r"'value' do not fit one column: .* time zone"):
        things.find().to_arrow("value")


def test_a_query_makes_a_frame_of_pandas(users):
    frame = users.find("@.age > 0").to_pandas("name", "age")
    assert isinstance(frame, pd.DataFrame)
    assert frame.to_dict("list") == {"name": ["ada", "eve"], "age": [36, 52]}
    assert users.find().to_pandas().shape == (3, 5)


@pytest.mark.parametrize(
    "values", [[2**53 + 1, None], [2**63, 0.5], [-(2**53) - 1, None], [2**63, -1]]
)
def test_a_frame_of_pandas_has_large_ints_as_they_are(store, values):
    @define
    class Loose:
        id: int = key()
        value: Any

    things: Collection[int, Loose] = Collection(store, Loose)
    things.add_many(Loose(number, value) for number, value in enumerate(values))

    assert things.find().to_pandas("value")["value"].tolist() == values


@pytest.mark.parametrize(("package", "method"), [("pyarrow", "to_arrow"), ("pandas", "to_pandas")])
def test_a_package_that_is_not_installed_is_named(users, monkeypatch, package, method):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UnsupportedError, match=f"pip install {package}"):
        getattr(users.find(), method)()


@pytest.mark.parametrize("method", ["to_arrow", "to_pandas", "to_list", "values"])
def test_a_table_of_what_no_record_has_is_refused(users, method):
    with pytest.raises(QueryError, match="did you mean 'age'"):
        getattr(users.find(), method)("name", "agee")


def test_a_query_is_not_copied_without_its_store(users):
    import copy

    for wrong in (users.find().order_by("age"), users.range(ge="b")):
        assert list(copy.copy(wrong)) == list(wrong)
        with pytest.raises(ValueTypeError):
            copy.deepcopy(wrong)
