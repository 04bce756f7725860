"""Page after page: each record that stays is on one page, whatever is written in between."""

import string
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from stones import Collection, LmdbStore, MemoryStore, QueryError, key
from stones.collections.queries.cursors import encode_cursor


@define
class User:
    name: str = key()
    age: int | None = None


@define
class Loose:
    id: int = key()
    fields: dict[str, Any] = field(factory=dict)


AGES = {"ada": 36, "bob": None, "cyd": 36, "dan": None, "eve": 52, "fay": 36}


@pytest.fixture
def users(store):
    collection: Collection[str, User] = Collection(store, User)
    collection.add_many(User(name, age) for name, age in AGES.items())
    return collection


def names(query) -> list[str]:
    return [user.name for user in query]


def pages(query):
    """All pages, each in one list."""
    while found := names(query):
        yield found
        query = query.after(query.cursor())


@pytest.mark.parametrize("order", [[], ["age"], ["-age"], ["-age", "-name"], ["name"]])
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 9])
def test_the_pages_have_every_record_once_and_in_order(users, order, backwards, size):
    query = users.find().order_by(*order) if order else users.find()
    query = query.reversed() if backwards else query
    found = list(pages(query.limit(size)))
    assert [name for page in found for name in page] == names(query)
    assert {len(page) for page in found[:-1]} <= {size}


def test_a_deleted_record_is_a_fine_place(users):
    page = users.find().order_by("age").limit(3)
    assert names(page) == ["bob", "dan", "ada"]
    users.delete("ada")
    assert names(page.after(page.cursor())) == ["cyd", "fay", "eve"]


def test_the_place_is_the_one_where_the_reading_ended(users):
    page = users.find().order_by("age").limit(3)
    assert names(page) == ["bob", "dan", "ada"]
    users.delete("bob")  # a page that is read now would end with cyd
    assert names(page.after(page.cursor())) == ["cyd", "fay", "eve"]


@pytest.mark.parametrize(
    "read",
    [
        list,
        lambda page: list(page.keys()),
        lambda page: list(page.items()),
        lambda page: list(page.values("name")),
        lambda page: page.to_list("name", "age"),
    ],
)
def test_each_way_to_read_a_page_tells_where_it_ends(users, read):
    page = users.find().order_by("-age").limit(2)
    read(page)
    users.delete("eve")
    assert names(page.after(page.cursor())) == ["cyd", "fay"]


def test_a_page_that_was_not_read_to_its_end_is_read_for_its_place(users):
    page = users.find().order_by("-age").limit(2)
    next(iter(page))
    assert page.first().name == "eve"
    users.delete("eve")
    assert names(page.after(page.cursor())) == ["fay", "bob"]


def test_a_query_without_a_limit_has_a_place_too(users):
    everything = users.find().order_by("name")
    assert names(everything.after(everything.cursor())) == []
    place = everything.cursor()
    users.add(User("gil"))
    assert names(everything.after(place)) == ["gil"]


def test_the_place_of_an_empty_page_is_where_it_began(users):
    nobody = users.find("@.name == 'x'").limit(2)
    assert nobody.cursor() is None
    end = users.find().limit(9)
    last = end.after(end.cursor())
    assert names(last) == []
    assert last.cursor() == end.cursor()
    users.add(User("gil"))
    assert names(last.after(last.cursor())) == ["gil"]


def test_no_place_is_the_beginning(users):
    page = users.find().limit(2)
    assert names(page.after(page.cursor()).after(None)) == ["ada", "bob"]


def test_an_offset_before_the_place_counts_no_more(users):
    page = users.find().offset(1).limit(2)
    assert names(page) == ["bob", "cyd"]
    following = page.after(page.cursor())
    assert names(following) == ["dan", "eve"]
    assert names(following.offset(1)) == ["eve", "fay"]


def test_a_place_goes_with_other_filters_and_aggregates(users):
    page = users.find().order_by("age").limit(2)
    rest = users.find("@.age > 0").order_by("age").after(page.cursor())
    assert names(rest) == ["ada", "cyd", "fay", "eve"]
    assert (rest.count(), rest.exists(), rest.sum("age")) == (4, True, 160)
    assert rest.last().name == "eve"
    assert names(reversed(rest)) == ["eve", "fay", "cyd", "ada"]


def test_a_place_in_the_order_of_the_keys_is_found_without_reading_what_is_before(users):
    page = users.find().limit(3)
    rest = users.find().after(page.cursor())
    assert rest.count() == 3
    assert names(users.range(ge="b").find().after(page.cursor())) == ["dan", "eve", "fay"]
    assert names(users.range(ge="e").find().after(page.cursor())) == ["eve", "fay"]
    backwards = users.find().reversed().limit(2)
    assert names(users.range(lt="c", reverse=True).find().after(backwards.cursor())) == [
        "bob",
        "ada",
    ]
    assert names(users.range(ge="f").find().reversed().after(backwards.cursor())) == []


def test_a_cursor_is_text_for_a_url(users):
    cursor = users.find().order_by("-age").limit(2).cursor()
    assert cursor is not None
    assert set(cursor) <= set(string.ascii_letters + string.digits + "-_")


@pytest.mark.parametrize(
    ("narrow", "message"),
    [
        (lambda query: query.order_by("-age"), r"of order_by\('age'\), not of order_by\('-age'\)"),
        (lambda query: query.order_by("age", "name"), "not of order_by"),
        (lambda query: query.order_by("age").reversed(), r"not of order_by\('age'\)\.reversed\(\)"),
        (lambda query: query, "not of the order of the keys"),
        (lambda query: query.reversed(), "not of the reversed order of the keys"),
    ],
)
def test_a_cursor_of_another_order_is_refused(users, narrow, message):
    cursor = users.find().order_by("age").limit(1).cursor()
    with pytest.raises(QueryError, match=message):
        narrow(users.find()).after(cursor)


def test_the_spelling_of_a_path_makes_no_other_order(users):
    cursor = users.find().order_by("$['age']").limit(3).cursor()
    assert names(users.find().order_by("age").after(cursor)) == ["cyd", "fay", "eve"]


def test_a_cursor_of_another_collection_is_refused(users, store):
    others = Collection(store, User, "others")
    with pytest.raises(QueryError, match="of the collection 'User', not of 'others'"):
        others.find().after(users.find().limit(1).cursor())


def test_an_order_comes_before_its_place(users):
    query = users.find().order_by("age")
    query = query.after(query.limit(1).cursor())
    with pytest.raises(QueryError, match="before after"):
        query.reversed()
    with pytest.raises(QueryError, match="before after"):
        query.order_by("name")


@pytest.mark.parametrize("wrong", ["", "x", "AQ", "é", "a" * 400, "A B", "====", "\ud800", "\0"])
def test_a_text_that_is_no_cursor_is_refused(users, wrong):
    with pytest.raises(QueryError, match="no cursor"):
        users.find().after(wrong)


@pytest.mark.parametrize("wrong", [3, b"x", ["x"], User("ada")])
def test_a_cursor_is_a_text(users, wrong):
    with pytest.raises(QueryError, match="cursor"):
        users.find().after(wrong)


def test_every_damage_of_a_cursor_is_noticed(users):
    query = users.find().order_by("age")
    cursor = query.limit(3).cursor()
    for place in range(len(cursor)):
        for other in (cursor[:place], cursor[:place] + cursor[place + 1 :]):
            with pytest.raises(QueryError):
                query.after(other)
        for letter in "Ab0_":
            changed = cursor[:place] + letter + cursor[place + 1 :]
            if changed != cursor:
                with pytest.raises(QueryError):
                    query.after(changed)
    with pytest.raises(QueryError):
        query.after(cursor + "A")


@pytest.mark.parametrize("place", [b"", b"x" * 10_000, b"\xff" * 600, b"\0" * 600])
def test_a_forged_place_finds_records_or_none(users, place):
    for query, order in (
        (users.find(), "the order of the keys"),
        (users.find().reversed(), "the reversed order of the keys"),
        (users.find().order_by("age"), "order_by('age')"),
    ):
        behind = query.after(encode_cursor("User", order, place))
        assert names(behind) in ([], names(query))


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x93\xa1a\xa1b\x01", b"\x91" * 99_999, b"\x80"])
def test_a_forged_body_is_no_cursor(users, body):
    raw = b"\1" + blake2b(body, digest_size=8).digest() + body
    with pytest.raises(QueryError, match="no cursor"):
        users.find().after(urlsafe_b64encode(raw).rstrip(b"=").decode())


def test_a_cursor_of_a_later_version_is_refused(users):
    raw = urlsafe_b64decode(users.find().limit(3).cursor() + "==")
    later = urlsafe_b64encode(b"\2" + raw[1:]).rstrip(b"=").decode()
    with pytest.raises(QueryError, match="later version"):
        users.find().after(later)


def test_the_longest_keys_have_places(users):
    users.clear()
    longest = 511 - len("User/")
    users.add_many(User("k" * size) for size in (longest - 1, longest))
    page = users.find().limit(1)
    assert [len(name) for found in pages(page) for name in found] == [longest - 1, longest]
    backwards = users.find().reversed().limit(1)
    assert [len(name) for found in pages(backwards) for name in found] == [longest, longest - 1]


@given(text=st.text(max_size=40))
def test_no_text_breaks_a_query(text):
    users: Collection[str, User] = Collection(MemoryStore(), User)
    with pytest.raises(QueryError):
        users.find().after(text)


# -- pages while others write ----------------------------------------------------------------------

few = st.none() | st.just("missing") | st.integers(0, 1) | st.sampled_from(["", "a"])
ORDERS = [[], ["fields.a"], ["-fields.a"], ["-fields.a", "fields.b"], ["fields.a", "-id"]]


class EveryRecordThatStaysIsSeenOnce(RuleBasedStateMachine):
    """Records come and go between the pages. Those that stay are on one page each, in order.

    A record that goes and comes again is another record.
    """

    @initialize(
        order=st.sampled_from(ORDERS),
        backwards=st.booleans(),
        size=st.integers(1, 4),
        values=st.lists(st.tuples(few, few), max_size=12),
    )
    def begin(self, order, backwards, size, values):
        self.store = self.open()
        self.records: Collection[int, Loose] = Collection(self.store, Loose)
        for number, pair in enumerate(values):
            self.put(number * 10, *pair)
        query = self.records.find().order_by(*order) if order else self.records.find()
        self.query = query.reversed() if backwards else query
        self.page = self.query.limit(size)
        self.stayed = set(self.records)
        self.seen: list[int] = []

    def open(self) -> Any:
        return MemoryStore(serialize="msgpack")

    def put(self, number: int, a: Any, b: Any) -> None:
        named = {"a": a, "b": b}
        fields = {name: value for name, value in named.items() if value != "missing"}
        self.records.put(Loose(number, fields))

    @rule(how=st.sampled_from(["records", "keys", "values"]), write=st.sampled_from([None, 7, 50]))
    def read_a_page(self, how, write):
        page = self.page
        match how:
            case "records":
                found = [record.id for record in page]
            case "keys":
                found = list(page.keys())
            case _:
                found = page.to_list("id")
        if write is not None:  # between the page and the question where it ended
            self.another_record_comes(write, 0, None)
        self.seen += found
        self.page = page.after(page.cursor())

    @rule(number=st.integers(0, 120), a=few, b=few)
    def another_record_comes(self, number, a, b):
        if number not in self.records:
            self.put(number, a, b)

    @rule(choice=st.randoms())
    def a_record_goes(self, choice):
        if self.records:
            gone = choice.choice(list(self.records))
            self.records.delete(gone)
            self.stayed.discard(gone)

    def teardown(self):
        if hasattr(self, "records"):
            while found := list(self.page.keys()):
                self.seen += found
                self.page = self.page.after(self.page.cursor())
            seen = [number for number in self.seen if number in self.stayed]
            assert seen == [record.id for record in self.query if record.id in self.stayed]
            self.store.close()


class TheSameOnDisk(EveryRecordThatStaysIsSeenOnce):
    def open(self) -> Any:
        self.folder = TemporaryDirectory()
        return LmdbStore(self.folder.name, serialize="msgpack", durability="none")

    def teardown(self):
        super().teardown()
        if hasattr(self, "folder"):
            self.folder.cleanup()


TestEveryRecordThatStaysIsSeenOnce = EveryRecordThatStaysIsSeenOnce.TestCase
TestTheSameOnDisk = TheSameOnDisk.TestCase
TestTheSameOnDisk.settings = settings(max_examples=25)
