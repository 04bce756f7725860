"""Records edited, added and deleted by the forms of `stones serve --write`."""

import enum
import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import pytest
from attrs import Factory, define, field

from stones import Collection, MemoryStore, index, key
from stones.formats.any_digits import any_digits
from stones.stores.key_text import show_key

from .served import served


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@define
class Item:
    name: str = key()
    count: int
    made: date
    code: str = index(unique=True)
    price: Decimal | None = None
    tags: tuple[str, ...] = ()
    colour: Colour = Colour.RED
    note: str | None = None


@define
class Run:
    tool: str = key()
    number: int = key()
    result: Any = None


@define
class Message:
    text: str
    size: int = field(default=3)


def bolt(**changes):
    return Item(**{"name": "bolt", "count": 3, "made": date(2024, 2, 29), "code": "b", **changes})


EDIT = "/collections/Item/edit?key=bolt"
ADD = "/collections/Item/add"
DELETE = "/collections/Item/delete?key=bolt"


def filled(store):
    Collection(store, Item).add_many([bolt(), bolt(name="nut", code="n", note="small")])
    return store


@pytest.fixture
def any_store(open_store):
    return filled(open_store(serialize="msgpack"))


@pytest.fixture
def store():
    return filled(MemoryStore(serialize="msgpack"))


@pytest.fixture(params=["with its class", "without its class"])
def classes(request):
    return {"Item": Item} if request.param == "with its class" else {}


@pytest.fixture
def site(store, classes):
    with served(store, write=True, classes=classes) as site:
        yield site


def items(store):
    return Collection(store, Item)


def test_a_form_changes_the_fields_that_were_typed(any_store, classes):
    with served(any_store, write=True, classes=classes) as site:
        form = site.get(EDIT).inputs
        assert form["text:made"] == "2024-02-29"
        form |= {"text:count": "4", "text:made": "2024-03-01", "text:tags": '["new", "red"]'}
        answer = site.post(EDIT, form)
    assert (answer.status, answer.headers["location"]) == (
        303,
        "/collections/Item/record?key=bolt&done=saved",
    )
    expected = bolt(count=4, made=date(2024, 3, 1), tags=("new", "red"))
    assert items(any_store)["bolt"] == expected
    assert items(any_store).find(count=4).one() == expected


def test_a_form_that_was_not_changed_writes_nothing(store, site):
    answer = site.post(EDIT, site.get(EDIT).inputs)
    assert answer.headers["location"].endswith("done=unchanged")
    assert items(store)["bolt"] == bolt()


def test_the_second_of_two_who_edit_is_refused_and_sees_both_versions(any_store, classes):
    with served(any_store, write=True, classes=classes) as site:
        mine, theirs = site.get(EDIT).inputs, site.get(EDIT).inputs
        theirs |= {"text:note": "their words", "text:count": "7"}
        assert site.post(EDIT, theirs).status == 303
        answer = site.post(EDIT, mine | {"text:note": "my words", "text:code": "mine"})
        assert answer.status == 409
        assert "was changed since you opened it" in answer.message
        rows = [re.sub("<[^>]*>", "", row).split("\n")[1:4] for row in answer.text.split("<tr")]
        assert ["note changed by both", "my words", "their words"] in rows
        assert ["count changed meanwhile", "3", "7"] in rows
        assert ["code changed by you", "mine", "b"] in rows
        assert ["made", "2024-02-29", "2024-02-29"] in rows
        assert items(any_store)["bolt"] == bolt(note="their words", count=7)
        # Whoever has seen both may save. What was changed meanwhile stays.
        assert site.post(EDIT, answer.inputs).status == 303
    assert items(any_store)["bolt"] == bolt(note="my words", count=7, code="mine")


def test_an_edit_of_a_record_that_was_deleted_shows_what_was_typed(store, site):
    form = site.get(EDIT).inputs | {"text:note": "my words"}
    del items(store)["bolt"]
    answer = site.post(EDIT, form)
    assert answer.status == 409
    assert "was deleted since you opened it" in answer.message
    assert "my words" in answer.text
    assert "bolt" not in items(store)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ({"text:count": "many"}, "count: expected int"),
        ({"text:made": "2024-02-30"}, "made: expected date"),
        ({"text:made": ""}, "made: expected date"),
        ({"json:tags": "[1"}, "tags: '[1' is not the JSON of stones: Expecting"),
        ({"text:code": "n"}, "unique"),
        ({"text:nothing": "x"}, "nothing"),
        ({"text:name": "other"}, "is the key"),
    ],
)
def test_what_does_not_fit_is_refused_with_all_that_was_typed(store, site, typed, message):
    form = site.get(EDIT).inputs | {"text:note": "my words"} | typed
    answer = site.post(EDIT, form)
    assert answer.status in (400, 409)
    assert message in answer.message
    assert answer.inputs["text:note"] == "my words"
    assert items(store)["bolt"] == bolt()


def test_a_record_is_added_and_a_second_one_with_its_key_is_refused(store, site):
    form = site.get(ADD).inputs
    form |= {"text:name": "ring", "text:count": "1", "text:made": "2024-01-01", "text:code": "r"}
    form |= {"text:tags": "[]", "text:colour": "blue"}
    answer = site.post(ADD, form)
    assert answer.status == 303, answer.message
    assert answer.headers["location"] == "/collections/Item/record?key=ring&done=added"
    ring = bolt(name="ring", count=1, made=date(2024, 1, 1), code="r", colour=Colour.BLUE)
    assert items(store)["ring"] == ring
    answer = site.post(ADD, form | {"text:code": "q"})
    assert answer.status == 409
    assert "is there already" in answer.message
    assert answer.inputs["text:code"] == "q"


def test_a_record_is_added_as_a_copy_of_another_one(store, site):
    form = site.get(f"{ADD}?key=bolt").inputs
    assert site.post(ADD, form | {"text:name": "bolt 2", "text:code": "b2"}).status == 303
    assert items(store)["bolt 2"] == bolt(name="bolt 2", code="b2")


def test_a_record_is_deleted_if_it_is_as_it_was_shown(store, site):
    form = site.get(DELETE).inputs
    items(store).update("bolt", count=9)
    answer = site.post(DELETE, form)
    assert answer.status == 409
    assert "was changed" in answer.message
    answer = site.post(DELETE, answer.inputs)
    assert answer.headers["location"] == "/collections/Item?done=deleted"
    assert list(items(store)) == ["nut"]
    assert site.post(DELETE, form).status == 404


@pytest.mark.parametrize("path", [EDIT, ADD, DELETE])
@pytest.mark.parametrize("token", ["", "x", "é"])
def test_a_form_without_the_token_of_the_server_is_refused(store, path, token):
    with served(store, write=True) as site:
        form = site.get(path).inputs | {"form_token": token}
        answer = site.post(path, form)
        assert answer.status == 403
        assert "of another site" in answer.message
    assert [*items(store)] == ["bolt", "nut"]


@pytest.mark.parametrize("path", [EDIT, ADD, DELETE])
def test_without_write_there_is_no_form_and_none_is_taken(store, path):
    with served(store) as site:
        token = {"form_token": site.app.state.site.form_token}
        for answer in (site.get(path), site.post(path, token)):
            assert answer.status == 403
            assert "for reading only" in answer.message


@pytest.mark.parametrize(
    "path",
    [
        "/collections/Nothing/edit?key=1",
        "/collections/Nothing/add",
        "/collections/Item/edit",
        "/collections/Item/edit?key=nobody",
        "/collections/Item/edit?key=bolt&key=2",
        "/collections/Item/edit?key=%5Cq",
        "/collections/Item/edit?key=%FF",
        "/collections/Run/edit?key=tool&key=seven",
    ],
)
def test_what_is_not_there_is_told(path):
    store = MemoryStore(serialize="msgpack")
    Collection(store, Item).add(bolt())
    Collection(store, Run).add(Run("tool", 7))
    with served(store, write=True) as site:
        answer = site.get(path)
        assert answer.status == 404
        assert answer.message


def test_a_record_with_a_key_of_several_parts_is_edited():
    store = MemoryStore(serialize="msgpack")
    runs = Collection(store, Run)
    runs.add(Run("a/b c", -7, "x"))
    with served(store, write=True) as site:
        path = "/collections/Run/edit?key=a%2Fb+c&key=-7"
        answer = site.post(path, site.get(path).inputs | {"text:result": "y"})
        assert answer.headers["location"] == (
            "/collections/Run/record?key=a%2Fb+c&key=-7&done=saved"
        )
    assert runs["a/b c", -7].result == "y"


@pytest.mark.parametrize("classes", [{}, {"Message": Message}])
def test_a_record_whose_key_is_generated_is_added(classes):
    store = MemoryStore(serialize="msgpack")
    messages = Collection(store, Message)
    messages.add(Message("first"))
    with served(store, write=True, classes=classes) as site:
        form = site.get("/collections/Message/add").inputs
        answer = site.post(
            "/collections/Message/add", form | {"text:text": "new", "text:size": "5"}
        )
        assert answer.status == 303, answer.message
    assert [*messages.values()] == [Message("first"), Message("new", 5)]


def test_a_field_with_a_default_may_be_left_empty():
    store = MemoryStore(serialize="msgpack")
    messages = Collection(store, Message)
    messages.add(Message("first"))
    with served(store, write=True, classes={"Message": Message}) as site:
        form = site.get("/collections/Message/add").inputs
        assert site.post("/collections/Message/add", form | {"text:text": "new"}).status == 303
    assert [*messages.values()][1] == Message("new", 3)


def test_a_field_that_an_old_record_lacks_can_be_filled():
    @define
    class Old:
        name: str = key()

    @define
    class New:
        name: str = key()
        note: str = field(default=Factory(lambda new: new.name, takes_self=True))

    store = MemoryStore(serialize="msgpack")
    Collection(store, Old, "Item").add(Old("bolt"))
    Collection(store, New, "Item").add(New("nut", "x"))
    with served(store, write=True) as site:
        form = site.get(EDIT).inputs
        assert site.post(EDIT, form).headers["location"].endswith("done=unchanged")
        assert site.post(EDIT, form | {"text:note": "new"}).status == 303
    assert Collection(store, New, "Item")["bolt"] == New("bolt", "new")


HOSTILE = [
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "</textarea><script>alert(1)</script>",
    "{{ 7 * 7 }}{% raw %}",
    "\n\nfirst lines are empty\r\n\r",
    "\0\x1b[31m\u202e\ufeff\x85\u2028",
    "a" * 400,
    " ",
    "&amp;&lt;",
    "Größe \U0001f600",
    "\\x00",
]


def run_query(tool, number):
    return urlencode([("key", show_key(tool.encode())), ("key", str(number))])


def test_hostile_text_is_shown_as_text_and_comes_back_as_it_was():
    store = MemoryStore(serialize="msgpack")
    runs = Collection(store, Run)
    runs.add_many(Run(text, 1, text) for text in HOSTILE)
    with served(store, write=True, classes={"Run": Run}) as site:
        for text in HOSTILE:
            query = run_query(text, 1)
            path = f"/collections/Run/edit?{query}"
            page = site.get(path)
            assert page.status == 200
            assert "<script>alert" not in page.text
            assert "<img" not in page.text
            answer = site.post(path, page.inputs)
            assert answer.headers["location"].endswith("done=unchanged")
            assert "<script>alert" not in site.get(f"/collections/Run/delete?{query}").text
    assert [*runs.values()] == [Run(text, 1, text) for text in sorted(HOSTILE)]


VALUES = [
    None,
    True,
    1,
    1.0,
    float("inf"),
    10**5000,
    "",
    "1",
    "null",
    b"\0\xff",
    (1, True, 1.0, "1", None),
    [(1,), {"a": (2,)}],
    {"a": {"b": [None]}},
    {1: "an int", (2, 3): "a tuple"},
    date(2024, 2, 29),
    datetime(2024, 2, 29, 7, 8, 9, 123),
    time(7, 8),
    timedelta(days=-1, microseconds=1),
    Decimal("1.50"),
    UUID(int=7),
    {"x", "y"},
]


@pytest.mark.parametrize("serializer", ["msgpack", "json", "cbor"])
@pytest.mark.parametrize("classes", [{}, {"Run": Run}], ids=["dicts", "class"])
def test_a_value_of_any_type_that_nobody_typed_stays_as_it_was(serializer, classes):
    store = MemoryStore(serialize=serializer)
    runs = Collection(store, Run)
    runs.add_many(Run("old", number, value) for number, value in enumerate(VALUES))
    before = dict(store)
    with served(store, write=True, classes=classes) as site:
        for number in range(len(VALUES)):
            query = run_query("old", number)
            page = site.get(f"/collections/Run/edit?{query}")
            assert "cannot be typed" not in page.text
            answer = site.post(f"/collections/Run/edit?{query}", page.inputs)
            assert answer.headers["location"].endswith("done=unchanged")
            assert dict(store) == before
            # Typed anew, it is the same value too.
            copy = site.get(f"/collections/Run/add?{query}").inputs | {"text:tool": "new"}
            added = site.post("/collections/Run/add", copy)
            assert added.status == 303, added.message
            with any_digits():
                assert repr(runs["new", number].result) == repr(VALUES[number])
            del runs["new", number]


def test_a_set_can_be_typed_whatever_the_order_of_its_items_in_memory():
    # Both fall on the last place of a small set, so their order turns each time they are stored.
    store = MemoryStore(serialize="pickle")
    inside: Any = {7, 15}
    for _ in range(100):
        inside = [inside]
    store["sets"] = {"inside": inside}
    Collection(store, Run).add(Run("lint", 1, ({7, 15}, frozenset({15, 7}))))
    with served(store, write=True) as site:
        assert "json:result" in site.get("/collections/Run/edit?key=lint&key=1").inputs
        assert "cannot be typed" not in site.get("/keys/edit?key=sets").text
