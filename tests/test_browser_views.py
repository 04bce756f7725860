"""What the pages of `stones serve` show, computed from stores of every engine."""

from datetime import date
from threading import Event
from time import monotonic, sleep

import pytest
from attrs import define

from stones import (
    Collection,
    LmdbStore,
    MemoryStore,
    Query,
    QueryError,
    StoneError,
    index,
    key,
    stone,
)
from stones.browser.measurements import Measurements
from stones.browser.views import keys_page
from stones.browser.views.entry_page import EntryPage
from stones.browser.views.keys_page import KeysPage, KeysRequest
from stones.browser.views.record_page import RecordPage
from stones.browser.views.records_page import RecordsPage, RecordsRequest
from stones.browser.views.store_page import PrefixRow, StorePage
from stones.browser.views.value_tree import MOST_LEVELS, MOST_NODES, MOST_PARTS, MOST_TEXT, tree
from stones.engine import Space


@define
class User:
    name: str = key()
    age: int = index()
    city: str = ""
    born: date | None = None
    tags: tuple[str, ...] = ()


@define
class Visit:
    city: str = key()
    day: int = key()
    note: str = ""


@define
class Odd:
    größe: int
    where: int
    contains: int


@define
class Note:
    text: str


def user(number):
    return User(f"u{number:03}", number % 7, f"City {number % 3}", date(2000, 1, 1), ("a",))


@pytest.fixture
def users(store):
    users = Collection(store, User)
    users.add_many(map(user, range(120)))
    return Collection.without_class(store, "User")


def page_of(collection, **arguments):
    return RecordsPage.of(collection, RecordsRequest.of(arguments))


def keys_of(page):
    return [row.key for row in page.rows]


def walked(page_at, page):
    """The pages from this one on, and those that the way back to the first one shows."""
    there, back = [page], []
    while there[-1].next is not None:
        there.append(page_at(there[-1].next))
    back.append(there[-1])
    while back[-1].previous is not None:
        back.append(page_at(back[-1].previous))
    return there, back[::-1]


# -- the table of records ----------------------------------------------------------------------


def test_a_table_has_the_key_first_and_a_column_for_each_other_field(users):
    page = page_of(users)
    assert page.count == 120
    assert (page.key_column.name, page.key_column.types) == ("name", "str")
    assert [(column.name, column.types) for column in page.columns] == [
        ("age", "int"),
        ("city", "str"),
        ("born", "date"),
        ("tags", "tuple[str, ...]"),
    ]
    first = page.rows[0]
    assert (first.key, first.parts) == ("u000", ("u000",))
    assert [cell.text for cell in first.cells] == ["0", "City 0", "2000-01-01", "('a',)"]


@pytest.mark.parametrize("order_by", ["", "-", "age", "-age", "city", "-city,age"])
def test_pages_lead_through_all_records_and_back(users, order_by):
    page = page_of(users, order_by=order_by, limit="25")
    there, back = walked(lambda arguments: page_of(users, **arguments), page)
    query = users.find()
    if order_by in ("", "-"):
        ordered = [*query.reversed()] if order_by else [*query]
    else:
        ordered = [*query.order_by(*order_by.split(","))]
    assert [name for page in there for name in keys_of(page)] == [each["name"] for each in ordered]
    assert [page.rows for page in back] == [page.rows for page in there]
    assert there[0].first is None
    assert {len(page.rows) for page in there} == {25, 20}
    assert page_of(users, **there[2].first).rows == there[0].rows


def test_the_page_before_is_whole_though_records_were_added_and_deleted(store, users):
    first = page_of(users, limit="25")
    second = page_of(users, **first.next)
    writer = Collection(store, User)
    writer.add(User("u000a", 1))
    writer.delete("u001")
    writer.delete("u002")
    back = page_of(users, **second.previous)
    assert keys_of(back) == keys_of(page_of(users, limit="25"))
    assert back.previous is None
    third = page_of(users, **page_of(users, **back.next).next)
    assert keys_of(page_of(users, **third.previous))[-1] < keys_of(third)[0]


def test_a_filter_shows_what_matches_and_how_that_is_found(users):
    page = page_of(users, filter="@.age == 3 && @.city == 'City 1'")
    assert keys_of(page) == [f"u{n:03}" for n in range(120) if n % 7 == 3 and n % 3 == 1]
    assert page.plan[0][:2] == ("index", "age")
    assert page.plan[1] == ("test", "the record", "@.city == 'City 1'")
    assert page.next is None


def test_the_error_of_a_filter_has_its_place(users):
    error = page_of(users, filter="@.age > 3 and @.age < 5").error
    assert error.column == 10
    assert (error.before, error.at, error.behind) == ("@.age > 3 ", "a", "nd @.age < 5")
    assert error.reason == "'and' is not expected here: write && for it"
    unknown = page_of(users, filter="@.city == 'x' && @.agee > 3").error
    assert (unknown.before, unknown.column) == ("@.city == 'x' && @.", 19)
    assert "did you mean 'age'" in unknown.reason
    ended = page_of(users, filter="@.age >").error
    assert (ended.before, ended.at, ended.column) == ("@.age >", "", 7)


def test_an_error_without_a_place_shows_its_reason_only(users):
    error = page_of(users, filter="@.age > {age}").error
    assert error.column is None
    assert "age" in error.reason


@pytest.mark.parametrize(
    "arguments",
    [
        {"after": "no cursor"},
        {"before": "no cursor"},
        {"order_by": "nope"},
        {"order_by": "tags[*]"},
    ],
)
def test_a_place_or_an_order_that_cannot_be_is_told_and_leads_to_the_first_page(users, arguments):
    page = page_of(users, **arguments)
    assert isinstance(page.problem, QueryError)
    assert page.rows == ()
    assert page.first is not None


def test_a_column_sorts_only_if_that_reads_no_whole_collection(store, users, monkeypatch):
    assert all(column.sort is not None for column in page_of(users).columns)
    monkeypatch.setattr("stones.browser.views.records_page.SORTED_IN_MEMORY", 100)
    by_name = {column.name: column.sort for column in page_of(users).columns}
    assert by_name["age"] == {"order_by": "age"}
    assert by_name["city"] is None
    assert [each.sort for each in page_of(users).orders] == ["", "-", "age", "-age"]


def test_a_sorted_column_turns_its_order(users):
    def age(**arguments):
        return page_of(users, **arguments).columns[0]

    assert (age().direction, age().sort) == ("", {"order_by": "age"})
    up = age(order_by="age")
    assert (up.direction, up.sort) == ("ascending", {"order_by": "-age"})
    assert age(order_by="-age").direction == "descending"


def test_a_column_of_any_name_sorts(store):
    odd = Collection(store, Odd, indexes=["größe", "where"])
    odd.add_many([Odd(1, 2, 3), Odd(2, 1, 4)])
    page = page_of(Collection.without_class(store, "Odd"))
    for column in page.columns:
        found = page_of(Collection.without_class(store, "Odd"), **column.sort)
        assert found.problem is None, column
        assert len(found.rows) == 2
    for order in page.orders:
        found = page_of(Collection.without_class(store, "Odd"), order_by=order.sort)
        assert found.problem is None, order
        assert len(found.rows) == 2


def test_keys_of_several_parts_come_in_the_parts_of_a_url(store):
    Collection(store, Visit).add(Visit("a/b \\ \x00", -7))
    page = page_of(Collection.without_class(store, "Visit"))
    assert page.rows[0].parts == ("a/b \\\\ \\x00", "-7")
    assert page.key_column.name == "city, day"


def test_generated_keys_have_a_column_of_their_own(store):
    Collection(store, Note).add(Note("x"))
    page = page_of(Collection.without_class(store, "Note"))
    assert (page.key_column.name, page.key_column.types) == ("key", "UUID")
    assert [column.name for column in page.columns] == ["text"]


def test_a_collection_with_its_class_shows_the_same_table(store, users):
    with_class, without = page_of(Collection(store, User)), page_of(users)
    assert with_class.rows == without.rows
    assert (
        page_of(Collection(store, User), **with_class.next).rows
        == page_of(users, **without.next).rows
    )


def test_a_record_that_cannot_be_read_hides_no_other(store, users):
    damaged = b"User/u003"
    store.database.write(lambda txn: txn.put(Space.DATA, damaged, b"\x00broken"))
    page = page_of(Collection.without_class(store, "User"), limit="25")
    assert len(page.rows) == 25
    assert [row.key for row in page.rows if row.problem] == ["u003"]
    assert page_of(users, **page.next).rows[0].key == "u025"


def test_records_that_all_cannot_be_read_say_why_once(tmp_path):
    path = str(tmp_path / "db")
    with LmdbStore(path, serialize="pickle") as store:
        Collection(store, User).add_many(map(user, range(3)))
    with LmdbStore(path, readonly=True, trust_pickle=False) as store:
        users = Collection.without_class(store, "User")
        page, record = page_of(users), RecordPage.of(users, "u001")
    assert keys_of(page) == ["u000", "u001", "u002"]
    assert "reading a pickle can run code" in page.unreadable
    assert "reading a pickle can run code" in record.problem
    assert record.stored.format == "pickle"


def test_what_ends_a_search_keeps_what_was_found(users, monkeypatch):
    def items(query):
        yield from [(f"u{n:03}", {"name": f"u{n:03}"}) for n in range(3)]
        raise StoneError("this took too long")

    monkeypatch.setattr(Query, "items", items)
    page = page_of(users, filter="@.age >= 0")
    assert keys_of(page) == ["u000", "u001", "u002"]
    assert str(page.problem) == "this took too long"
    assert page.next is not None


# -- one record --------------------------------------------------------------------------------


def test_a_record_is_a_tree_with_types(users, store):
    page = RecordPage.of(users, "u001")
    assert [(part.label, part.type, part.text) for part in page.root.parts] == [
        ("name", "str", "u001"),
        ("age", "int", "1"),
        ("city", "str", "City 1"),
        ("born", "date", "2000-01-01"),
        ("tags", "tuple", "1 item"),
    ]
    assert [(part.label, part.text) for part in page.root.parts[4].parts] == [("0", "a")]
    assert page.stored_key == "User/u001"
    assert page.stored.format.startswith("pickle")
    assert page.stored.size > 20


def test_a_record_that_is_not_there_has_no_page(users):
    assert RecordPage.of(users, "nobody") is None


def test_a_damaged_record_says_so_and_how_it_is_stored(store, users):
    store.database.write(lambda txn: txn.put(Space.DATA, b"User/u003", b"\x00broken"))
    page = RecordPage.of(users, "u003")
    assert page.root is None
    assert page.problem
    assert page.stored.size == 7


# -- trees -------------------------------------------------------------------------------------


def nodes(node):
    yield node
    for part in node.parts:
        yield from nodes(part)


def test_a_tree_cuts_what_is_long_deep_or_wide():
    deep = value = {}
    for _ in range(1_000):
        value["inside"] = value = {}
    found = [*nodes(tree(deep))]
    assert len(found) == MOST_LEVELS + 1
    assert found[-1].note == "deeper levels are not shown"

    wide = tree([*range(MOST_PARTS + 5)])
    assert len(wide.parts) == MOST_PARTS
    assert wide.note == "5 more are not shown"

    large = tree([[*range(100)] for _ in range(100)])
    assert len([*nodes(large)]) <= MOST_NODES + 1
    assert "more are not shown" in large.note

    text = tree("x" * (MOST_TEXT + 1))
    assert text.text == "x" * MOST_TEXT + "…"
    assert text.note == f"{MOST_TEXT + 1:,} characters in all"
    assert len(tree(10**10_000).text) < 200


@pytest.mark.parametrize(
    ("value", "type", "text"),
    [
        (None, "None", "None"),
        (True, "bool", "True"),
        (b"\xff", "bytes", "b'\\xff'"),
        (date(2020, 1, 31), "date", "2020-01-31"),
        ("a\x1b[31m\u202e\ud800", "str", "a\\x1b[31m\\u202e\\ud800"),
        (frozenset(), "frozenset", "0 items"),
    ],
)
def test_a_value_has_its_type_and_a_printable_text(value, type, text):
    node = tree(value)
    assert (node.type, node.text) == (type, text)


# -- keys and bytes ----------------------------------------------------------------------------


def test_keys_come_in_pages_there_and_back(store, monkeypatch):
    monkeypatch.setattr(keys_page, "LIMIT", 10)
    for number in range(35):
        store[f"k{number:02}"] = number
    store["other"] = 1
    request = KeysRequest(prefix="k")
    page = KeysPage.of(store, request)
    there, back = walked(lambda each: KeysPage.of(store, KeysRequest.of(each)), page)
    assert [row.key for page in there for row in page.rows] == [f"k{n:02}" for n in range(35)]
    assert [page.rows for page in back] == [page.rows for page in there]
    assert there[0].first is None
    assert there[1].first == {"prefix": "k"}


def test_prefixes_are_found_without_their_keys(store):
    Collection(store, User).add(user(1))
    store.namespace("cache/")["k"] = 1
    for number in range(300):
        store[f"config/{number % 3}/{number}"] = number
    page = KeysPage.of(store, KeysRequest())
    assert [(each.prefix, each.owner) for each in page.prefixes] == [
        ("User/", "collection"),
        ("cache/", "namespace"),
        ("config/", ""),
    ]
    deeper = KeysPage.of(store, KeysRequest(prefix="config/"))
    assert [each.prefix for each in deeper.prefixes] == ["config/0/", "config/1/", "config/2/"]
    inside = KeysPage.of(store, KeysRequest(prefix="User/"))
    assert (inside.owner, inside.prefixes, len(inside.rows)) == ("User", (), 1)


def test_a_prefix_that_is_no_key_is_told(store):
    assert "no escape" in KeysPage.of(store, KeysRequest(prefix="\\q")).problem


def test_an_entry_shows_its_bytes_and_its_value(store):
    store[b"\xff\x00<b>"] = {"a": (1, date(2020, 1, 31))}
    (row,) = KeysPage.of(store, KeysRequest()).rows
    entry = EntryPage.of(store, row.key)
    assert entry.key == "\\xff\\x00<b>"
    assert entry.key_dump[0].hexadecimal == "ff 00 3c 62 3e"
    assert entry.stored.size == row.value.size > 10
    tuple_node = entry.root.parts[0]
    assert [part.type for part in tuple_node.parts] == ["int", "date"]
    assert EntryPage.of(store, "nothing") is None
    assert EntryPage.of(store, "\\q") is None
    assert EntryPage.of(store, "") is None


def test_an_entry_of_a_collection_leads_to_its_record(store):
    Collection(store, Visit).add(Visit("Bonn", 7))
    (row,) = KeysPage.of(store, KeysRequest(prefix="Visit/")).rows
    entry = EntryPage.of(store, row.key)
    assert (entry.collection, entry.parts) == ("Visit", ("Bonn", "7"))


@pytest.mark.needs("packed values")
def test_the_format_of_a_value_says_how_it_is_packed(open_store):
    store = open_store(
        serialize="json", options={"checksums": True, "compress": "zstd", "encrypt": b"k" * 32}
    )
    store["a"] = "x" * 1_000
    stored = EntryPage.of(store, "a").stored
    assert stored.is_compressed
    assert stored.is_encrypted
    assert stored.has_checksum
    assert stored.format == "json with checksums, compressed by zstd, encrypted"
    assert stored.content_size is None
    assert stored.problem == ""


def test_a_compressed_value_tells_the_size_that_it_had(tmp_path):
    with LmdbStore(str(tmp_path / "db"), serialize="json", compress="zstd") as store:
        store["a"] = "x" * 1_000
        stored = EntryPage.of(store, "a").stored
    assert stored.content_size == 1_002
    assert stored.size < 100


def test_a_value_that_does_not_match_its_checksum_is_told(tmp_path):
    with LmdbStore(str(tmp_path / "db"), serialize="json", checksums=True) as store:
        store["a"] = "x"
        raw = store.database.get(b"a")
        store.database.write(lambda txn: txn.put(Space.DATA, b"a", raw[:-1] + b"?"))
        entry = EntryPage.of(store, "a")
    assert "checksum" in entry.stored.problem
    assert entry.root is None
    assert entry.problem


def test_a_pickle_is_not_read_unless_the_store_trusts_pickles(tmp_path, bomb):
    from .hostile import Bomb

    path = str(tmp_path / "db")
    with stone(path, LmdbStore, serialize="pickle") as store:
        store["bomb"] = Bomb(bomb)
    with LmdbStore(path, readonly=True, trust_pickle=False) as store:
        entry = EntryPage.of(store, "bomb")
        KeysPage.of(store, KeysRequest())
    assert "pickle" in entry.problem
    assert entry.stored.format == "pickle"
    assert not bomb.exists()


# -- the store ---------------------------------------------------------------------------------


def measured(store):
    """The measurements of a store, once its sizes are there."""
    measurements, end = Measurements(store, Event()), monotonic() + 20
    while measurements.sizes().found is None and monotonic() < end:
        sleep(0.01)
    return measurements


def test_the_first_page_has_counts_at_once_and_sizes_later(store):
    Collection(store, User).add_many(map(user, range(20)))
    store.namespace("cache/")["k"] = "v" * 100
    store["config/a"] = 1
    before = StorePage.of(store, Measurements(store, Event()))
    assert [(row.name, row.records, row.size) for row in before.collections] == [("User", 20, None)]
    assert [(row.name, row.entries) for row in before.namespaces] == [("cache/", 1)]
    assert before.prefixes == (PrefixRow("config/"),)
    after = StorePage.of(store, measured(store))
    (users,) = after.collections
    assert users.size > 400
    assert [(each.info.name, each.entries) for each in users.indexes] == [("age", 20)]
    assert after.namespaces[0].size > 100
    (config,) = after.prefixes
    assert (config.prefix, config.entries) == ("config/", 1)
    assert config.size > 8
    assert after.largest == users.size
    assert sum(each.values for each in after.formats) == 22


def test_the_first_page_waits_for_no_measure(tmp_path, monkeypatch):
    started, go_on = Event(), Event()

    def slow(_):
        started.set()
        go_on.wait(20)
        raise StoneError("too late")

    monkeypatch.setattr("stones.browser.measurements.inspect", slow)
    store = MemoryStore(serialize="json")
    Collection(store, User).add(user(1))
    measurements = Measurements(store, Event())
    page = StorePage.of(store, measurements)
    assert started.wait(20)
    assert page.sizes.is_running
    assert StorePage.of(store, measurements).collections[0].records == 1
    go_on.set()


def test_a_large_store_is_measured_only_if_somebody_asks(monkeypatch):
    monkeypatch.setattr("stones.browser.measurements.LARGE", 3)
    store = MemoryStore({str(n): n for n in range(4)}, serialize="json")
    measurements = Measurements(store, Event())
    page = StorePage.of(store, measurements)
    assert page.sizes.is_large
    assert not page.sizes.is_running
    assert StorePage.of(store, measurements, measure=True).sizes.is_running


def test_growth_is_plotted_from_what_was_seen(tmp_path):
    with LmdbStore(str(tmp_path / "db"), serialize="json") as store:
        measurements = Measurements(store, Event())
        assert StorePage.of(store, measurements).growth == ()
        store.update({f"k{n}": "x" * 1_000 for n in range(1_000)})
        plots = StorePage.of(store, measurements).growth
    assert [plot.name for plot in plots] == ["Entries", "Size", "In use"]
    assert plots[0].summary.startswith("Entries: 0 at ")
    assert plots[0].last == "1,000"


def test_damage_of_a_collection_leaves_the_others(store):
    Collection(store, User).add(user(1))
    Collection(store, Note).add(Note("x"))
    store.database.write(lambda txn: txn.put(Space.META, b"collection/Note", b'{"record": 7}'))
    page = StorePage.of(store, Measurements(store, Event()))
    assert [(row.name, bool(row.problem)) for row in page.collections] == [
        ("Note", True),
        ("User", False),
    ]
