"""The commands `collections`, `indexes` and `keys` with forms."""

import csv
import io
import json

import attrs
import pytest

from stones import Collection, Index, LmdbStore, key, stone


@attrs.define
class User:
    id: int = key()
    name: str
    tags: list[str] = attrs.field(factory=list)


@attrs.define
class Visit:
    city: str = key()
    number: int = key()


URLS = ["{}", "sqlite:{}.db", "json:{}.json"]


def fill(place):
    with stone(place if ":" in place else f"lmdb:{place}", serialize="json") as store:
        indexes = ["name", Index("tags", each=True), Index("name", where="@.id > 1")]
        users = Collection(store, User, indexes=indexes)
        users.add_many([User(1, "Ada", ["a"]), User(2, "Bob")])
        Collection(store, Visit).add(Visit("New York", 7))
        store["plain"] = 1


@pytest.fixture(params=URLS, ids=["lmdb", "sqlite", "json"])
def place(request, tmp_path):
    place = request.param.format(tmp_path / "db")
    fill(place)
    return place


def test_collections_tells_what_there_is(run, place):
    found = json.loads(run("collections", place, "--json"))
    assert found == [
        {
            "name": "User",
            "records": 2,
            "key": "int",
            "record": "User",
            "fields": ["id", "name", "tags"],
            "indexes": ["name", "tags", "name[@.id > 1]"],
            "step": 0,
        },
        {
            "name": "Visit",
            "records": 1,
            "key": "tuple[str, int]",
            "record": "Visit",
            "fields": ["city", "number"],
            "indexes": [],
            "step": 0,
        },
    ]
    assert [json.loads(line) for line in run("collections", place).splitlines()] == found


def test_indexes_tells_of_each_index_of_all_collections_or_of_one(run, place):
    found = json.loads(run("indexes", place, "--json"))
    assert [each["name"] for each in found] == ["name", "tags", "name[@.id > 1]"]
    assert found[1]["each"]
    assert found[2]["where"] == "@.id > 1"
    assert {each["state"] for each in found} == {"ready"}
    assert json.loads(run("indexes", place, "User", "--json")) == found
    assert json.loads(run("indexes", place, "Visit", "--json")) == []


def test_a_table_has_names_in_one_cell(run, place):
    rows = [*csv.DictReader(io.StringIO(run("collections", place, "--csv")))]
    assert [row["fields"] for row in rows] == ["id, name, tags", "city, number"]
    assert "id, name, tags" in run("collections", place, "--table")


def test_a_collection_that_is_not_there_has_no_indexes_to_show(run, place):
    error = run("indexes", place, "Usr", code=3)
    assert "there is no collection Usr" in error
    assert "User, Visit" in error


def test_an_empty_store_has_no_collections(run, tmp_path):
    stone(tmp_path / "db", LmdbStore, "json").close()
    assert run("collections", tmp_path / "db") == ""
    assert run("collections", tmp_path / "db", "--json") == "[]\n"
    header = run("indexes", tmp_path / "db", "--csv")
    assert header == "collection,name,paths,unique,each,where,state,problem\r\n"


def test_keys_have_forms_in_which_they_are_as_they_are_typed(run, place):
    plain = run("keys", place).splitlines()
    assert [each["key"] for each in json.loads(run("keys", place, "--json"))] == plain
    typed = run("keys", place, "--typed", "--jsonl").splitlines()
    assert json.loads(typed[-2]) == {"key": "Visit 'New York' 7"}
    assert run("keys", place, "--csv", "--limit", "1").splitlines() == ["key", plain[0]]
