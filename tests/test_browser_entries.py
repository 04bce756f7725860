"""Entries in no collection, edited, added and deleted by the forms of `stones serve --write`."""

from urllib.parse import quote

import pytest
from attrs import define

from stones import Collection, MemoryStore, key
from stones.stores.key_text import show_key

from .served import served


@define
class Note:
    number: int = key()


@pytest.fixture
def store():
    store = MemoryStore({"text": "a\n<b>", "pair": (1, 2)}, serialize="msgpack")
    store.namespace("sessions/")["ada"] = {"since": 3}
    Collection(store, Note).add(Note(1))
    return store


@pytest.fixture
def site(store):
    with served(store, write=True) as site:
        yield site


def path(what, key):
    return f"/keys/{what}?key={quote(show_key(key))}"


def edited(site, key, **typed):
    form = site.get(path("edit", key)).inputs
    return site.post(path("edit", key), form | {"notation": "json", **typed})


def test_a_value_is_edited_as_text_or_as_json(store, site):
    assert site.get(path("edit", b"text")).inputs["value"] == "a\n<b>"
    assert site.get(path("edit", b"pair")).inputs["value"] == '{"$tuple":[1,2]}'
    answer = edited(site, b"pair", value='{"$tuple":[1,2,3]}')
    assert answer.headers["location"] == "/keys/value?key=pair&done=saved"
    assert edited(site, b"text", value="[1]", notation="text").status == 303
    assert (store["pair"], store["text"]) == ((1, 2, 3), "[1]")


def test_an_entry_of_a_namespace_keeps_the_count_of_it(store, site):
    assert edited(site, b"sessions/ada", value='{"since": 4}').status == 303
    added = {"key": "sessions/bob", "notation": "json", "value": "1"}
    assert site.post("/keys/add", site.get("/keys/add").inputs | added).status == 303
    sessions = store.namespace("sessions/")
    assert (dict(sessions), len(sessions)) == ({b"ada": {"since": 4}, b"bob": 1}, 2)
    form = site.get(path("edit", b"sessions/bob")).inputs
    assert site.post(path("delete", b"sessions/bob"), form).headers["location"] == (
        "/keys?done=deleted"
    )
    assert len(sessions) == 1


def test_the_second_of_two_who_edit_a_value_sees_both(store, site):
    form = site.get(path("edit", b"text")).inputs | {"notation": "text"}
    store["text"] = "theirs"
    answer = site.post(path("edit", b"text"), form | {"value": "mine"})
    assert answer.status == 409
    assert ">theirs</pre>" in answer.text
    assert answer.inputs["value"] == "mine"
    assert site.post(path("delete", b"text"), form).status == 409
    assert store["text"] == "theirs"
    assert site.post(path("edit", b"text"), answer.inputs | {"notation": "text"}).status == 303
    assert store["text"] == "mine"


def test_a_key_that_was_deleted_is_not_made_again(store, site):
    form = site.get(path("edit", b"text")).inputs | {"notation": "text"}
    del store["text"]
    answer = site.post(path("edit", b"text"), form)
    assert answer.status == 409
    assert "was deleted" in answer.message
    assert site.post(path("delete", b"text"), form).status == 404
    assert "text" not in store


@pytest.mark.parametrize(
    ("typed", "status", "message"),
    [
        ({"key": "text"}, 409, "is there already"),
        ({"key": ""}, 400, "at least one byte"),
        ({"key": "\\q"}, 400, "is no escape"),
        ({"key": "x" * 600}, 400, "511"),
        ({"key": "Note/x"}, 400, "belongs to the collection"),
        ({"key": "new", "value": "{"}, 400, "is not the JSON of stones"),
    ],
)
def test_what_cannot_be_added_is_told_with_all_that_was_typed(site, typed, status, message):
    form = site.get("/keys/add").inputs | {"notation": "json", "value": "1"} | typed
    answer = site.post("/keys/add", form)
    assert answer.status == status
    assert message in answer.message
    assert answer.inputs["value"] == form["value"]


def test_a_record_is_changed_only_through_its_collection(store, site):
    answer = edited(site, b"Note/\x81\x01", value='{"number": 2}')
    assert answer.status == 400
    assert "belongs to the collection" in answer.message
    assert [*Collection(store, Note)] == [1]


def test_a_key_of_any_bytes_is_edited(store, site):
    store[b"\xff\0<b>&key=x"] = 1
    assert edited(site, b"\xff\0<b>&key=x", value="2").status == 303
    assert store[b"\xff\0<b>&key=x"] == 2


@pytest.mark.parametrize("what", ["edit", "add", "delete"])
def test_without_write_no_entry_is_changed(store, what):
    with served(store) as site:
        form = {"form_token": site.app.state.site.form_token, "key": "new", "value": "1"}
        assert site.post(path(what, b"text"), form).status == 403
    assert "new" not in store
