"""The command `info`: its plot, and what it tells without reading entries."""

import json

import attrs
import pytest

from stones import Collection, key, stone


@attrs.define
class Note:
    id: int = key()
    text: str


@pytest.fixture(params=["lmdb:{}", "sqlite:{}.db", "json:{}.json"], ids=["lmdb", "sqlite", "json"])
def place(request, tmp_path):
    place = request.param.format(tmp_path / "db")
    with stone(place, serialize="json") as store:
        Collection(store, Note).add_many([Note(number, "x" * 50) for number in range(100)])
        store.namespace("sessions/")["ada"] = 1
        store.update({"user:1": 1, "user:2": 2, "files/a": 3, "plain": 4})
    return place


def test_a_plot_has_a_bar_for_each_collection_namespace_and_prefix(run, place):
    first, *lines = run("info", place, "--plot").splitlines()
    assert "105 entries" in first
    names = {line[:10].strip(): line.count("█") for line in lines}
    assert names.keys() == {"Note/", "sessions/", "user:", "files/", "other keys"}
    assert names["Note/"] == max(names.values()) > 10
    assert "\x1b" not in first
    assert max(map(len, lines)) <= 80


def test_info_tells_the_other_prefixes_to_programs(run, place):
    found = json.loads(run("info", place, "--json"))
    assert [(use["prefix"], use["entries"]) for use in found["prefixes"]] == [
        ("", 1),
        ("files/", 1),
        ("user:", 2),
    ]


def test_a_store_with_many_prefixes_shows_the_largest(run, tmp_path):
    with stone(f"lmdb:{tmp_path / 'db'}", serialize="json") as store:
        store.update({f"{number}/": "x" * number for number in range(2000)})
    lines = run("info", tmp_path / "db", "--plot").splitlines()
    assert len(lines) == 32
    assert "971 more" in run("info", tmp_path / "db", "--plot")


def test_a_quick_look_has_the_same_lines_at_each_call(run, place):
    before = run("info", place, "--quick")
    assert "  entries     105\n" in before
    assert "  collection  Note: 100 records\n" in before
    assert "  namespace   sessions/: 1 entry\n" in before
    with stone(place) as store:
        store["more"] = 1
    after = run("info", place, "--quick")
    assert [line[:14] for line in after.splitlines()] == [x[:14] for x in before.splitlines()]
    assert json.loads(run("info", place, "--quick", "--json"))["collections"] == {"Note": 100}


def test_what_is_quick_has_no_plot(run, place):
    assert "--quick measures no sizes" in run("info", place, "--quick", "--plot", code=2)
