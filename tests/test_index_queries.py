"""Queries give the same list in the same order through any index, through none, and by jsonpath-ng.

The records have every awkward value: numbers that are equal in several types, NaN, -0.0, None and
nothing, long texts whose entries are cut, and values without an order.
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from attrs import define, field, frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonpath_ng.ext import parse

from stones import Collection, Index, LmdbStore, MemoryStore, index, key
from stones.collections.indexes.encoding import MISSING, encode
from stones.errors import QueryError

LONG = "x" * 300
TEXTS = ["", "a", "ab", "abc", "b", "é", "a\0", LONG, LONG + "a", LONG + "b", "zz"]
NUMBERS = [0, -0.0, 1, 1.0, Decimal(1), 2, 0.1, Decimal("0.1"), -3, 2**53, 2**53 + 1, 2.0**53]
NUMBERS += [Decimal("2.5"), 2.5, float("nan"), float("inf"), -(10**30)]
OTHERS = [None, True, False, [1], {"a": 1}, datetime(2024, 1, 1, tzinfo=UTC), b"a"]
ANYTHING = [*TEXTS, *NUMBERS, *OTHERS]


@define
class Place:
    city: str | None = None
    zip: Any = 0


@define
class Thing:
    id: int = key()
    any: Any = index(default=None)
    age: int | None = index(default=None)
    nick: str | None = index(unique=True, default=None)
    tags: list[Any] = index(each=True, factory=list)
    colors: frozenset[str] = index(each=True, factory=frozenset)
    place: Place = field(factory=Place)
    active: bool = True


INDEXES = [
    "place.city",
    ("age", "any"),
    ("place.city", "age"),
    ("active", "nick"),
    Index("any", where="@.active == true"),
    Index("active", "tags", each=True),
]
NAMES = ["any", "age", "nick", "tags", "colors", "place.city", "age,any", "place.city,age"]
NAMES += ["active,nick", "any[@.active == true]", "active,tags"]
PATHS = ["@.any", "@.age", "@.nick", "@.tags[*]", "@.colors[*]", "@.place.city", "@.active", "@.id"]
ARRAYS = ["@.tags", "@.colors", "@.any", "@.nick"]
ORDERS = ["any", "age", "nick", "place.city", "active", "id", "place.zip"]

things = st.builds(
    Thing,
    id=st.integers(-(2**70), 2**70) | st.integers(-5, 200),
    any=st.sampled_from(ANYTHING),
    age=st.none() | st.integers(0, 4),
    tags=st.lists(st.sampled_from([*ANYTHING[:20], None, True]), max_size=3),
    colors=st.frozensets(st.sampled_from(TEXTS), max_size=3),
    place=st.builds(Place, city=st.sampled_from([None, *TEXTS]), zip=st.sampled_from(ANYTHING)),
    active=st.booleans(),
)
LITERALS = ["0", "1", "1.0", "0.1", "2.5", "-3", "2", "9007199254740992", "9007199254740993"]
LITERALS += ['"a"', '"ab"', '""', f'"{LONG}"', f'"{LONG}a"', "9007199254740993.0"]
LITERALS += ["true", "false", "null"]
literals = st.sampled_from(LITERALS)
comparisons = st.builds(
    "{} {} {}".format,
    st.sampled_from(PATHS),
    st.sampled_from(["==", "==", "==", "!=", "<", "<=", ">", ">="]),
    literals,
)
patterns = st.builds(
    '{} =~ "{}"'.format,
    st.sampled_from(PATHS),
    st.sampled_from(["^a", "^ab?", "^x{300}", "a", "^a|b", "^x.*a"]),
)
memberships = st.builds(
    "{} in [{}]".format,
    st.sampled_from(PATHS),
    st.lists(literals, min_size=1, max_size=3).map(", ".join),
) | st.builds("{} contains {}".format, st.sampled_from(ARRAYS), literals)
exists = st.sampled_from([*PATHS, *(f"!{path}" for path in PATHS)])
json_leaves = comparisons | comparisons | comparisons | patterns | exists
leaves = json_leaves | memberships


def conditions_of(simple):
    return st.recursive(
        simple,
        lambda inner: st.builds(
            lambda parts, op: f"({f' {op} '.join(parts)})",
            st.lists(inner, min_size=2, max_size=3),
            st.sampled_from(["&&", "&&", "||"]),
        ),
        max_leaves=5,
    )


@frozen
class Question:
    """A query in all its parts."""

    condition: str | None
    order: tuple[str, ...] = ()
    is_reversed: bool = False
    offset: int = 0
    limit: int | None = None

    def ask(self, collection):
        query = collection.find(self.condition)
        if self.order:
            query = query.order_by(*self.order)
        if self.is_reversed:
            query = query.reversed()
        if self.offset:
            query = query.offset(self.offset)
        return query if self.limit is None else query.limit(self.limit)


signed = st.builds("{}{}".format, st.sampled_from(["", "-"]), st.sampled_from(ORDERS))
orders = st.lists(signed, max_size=2, unique_by=lambda name: name.strip("-")).map(tuple)


def questions_of(conditions):
    return st.builds(
        Question,
        st.none() | conditions,
        orders | st.just(()),
        st.booleans(),
        st.sampled_from([0, 0, 1, 3]),
        st.none() | st.sampled_from([1, 2, 5, 100]),
    )


questions = questions_of(conditions_of(leaves))
json_questions = questions_of(conditions_of(json_leaves))  # jsonpath-ng knows no `in`


def by_hand(records, question):
    """The answer of jsonpath-ng and of Python."""
    found = sorted(records, key=lambda thing: thing[0])
    if question.condition is not None:
        # jsonpath-ng knows neither frozensets nor the values that JSON has not.
        matching = [each[0] for each in found if matches_by_hand(each[1], question.condition)]
        found = [each for each in found if each[0] in matching]
    for name in reversed(question.order):
        path, down = name.removeprefix("-").split("."), name.startswith("-")

        def place(each, path=path):
            value = each[1]
            for step in path:
                value = value.get(step, MISSING)
            return encode(value)

        found.sort(key=place, reverse=down)
        # `sort` keeps equal ones in their order, also if it goes down.
    found = found[::-1] if question.is_reversed else found
    found = found[question.offset :]
    return [each[0] for each in found][: question.limit]


def matches_by_hand(record, condition):
    lists = {**record, "colors": sorted(record["colors"])}
    return bool(parse(f"$[?({condition})]").find([lists]))


@pytest.fixture(params=["memory", "lmdb"], scope="module")
def store(request, tmp_path_factory):
    if request.param == "memory":
        yield MemoryStore(serialize="msgpack")
        return
    path = tmp_path_factory.mktemp("store")
    with LmdbStore(str(path / "things"), serialize="msgpack", durability="none") as opened:
        yield opened


@pytest.fixture(scope="module")
def collection(store):
    return Collection(store, Thing, indexes=INDEXES)


def filled(collection, records):
    collection.clear()
    for thing in records:
        collection.put(thing)
    return collection


def with_nicks(records):
    """Records with nicks, which are unique."""
    nicks = [*TEXTS, None]
    for number, thing in enumerate(records):
        thing.nick = nicks[number] if number < len(nicks) else None
    return records


record_lists = st.lists(things, max_size=14, unique_by=lambda thing: thing.id).map(with_nicks)


def every_way(question, collection):
    """The keys that each way to answer a question gives, by the name of the way."""
    query = question.ask(collection)
    ways = {"planner": query, "none": query.using(None)}
    ways |= {name: query.using(name) for name in NAMES}
    answers = {}
    for name, way in ways.items():
        if can_answer(way):
            answers[name] = [thing.id for thing in way]
            assert list(way.keys()) == answers[name], name
            assert way.count() == len(answers[name]), name
            assert way.exists() == bool(answers[name]), name
    return answers


@settings(max_examples=200)
@given(record_lists, st.lists(questions, min_size=4, max_size=8))
def test_the_answer_is_the_same_by_every_index_and_without_one(collection, records, asked):
    filled(collection, records)
    for question in asked:
        answers = every_way(question, collection)
        for name, answer in answers.items():
            assert answer == answers["none"], name


JSON_TEXTS = [text for text in TEXTS if "\0" not in text]
json_things = st.builds(
    Thing,
    id=st.integers(-5, 200),
    any=st.sampled_from([*JSON_TEXTS, 0, 1, 2.5, 1.0, -3, True, False, None]),
    age=st.none() | st.integers(0, 4),
    tags=st.lists(st.sampled_from([*JSON_TEXTS, 1, 2.5, None, True]), max_size=3),
    colors=st.frozensets(st.sampled_from(JSON_TEXTS), max_size=3),
    place=st.builds(Place, city=st.sampled_from([None, *JSON_TEXTS])),
    active=st.booleans(),
)


@settings(max_examples=100)
@given(
    st.lists(json_things, max_size=10, unique_by=lambda thing: thing.id).map(with_nicks),
    st.lists(json_questions, min_size=1, max_size=4),
)
def test_the_answer_is_that_of_jsonpath_ng(collection, records, asked):
    filled(collection, records)
    stored = [(thing.id, collection.to_dict(thing)) for thing in records]
    for question in asked:
        assert [thing.id for thing in question.ask(collection)] == by_hand(stored, question)


@settings(max_examples=80)
@given(record_lists, st.none() | leaves, orders, st.booleans(), st.sampled_from([1, 2, 5]))
def test_pages_by_cursors_are_the_whole_answer_by_every_index(
    collection, records, condition, order, is_reversed, size
):
    filled(collection, records)
    whole = Question(condition, order, is_reversed).ask(collection)
    expected = [thing.id for thing in whole.using(None)]
    for name in [None, *NAMES]:
        query = whole if name is None else whole.using(name)
        if not can_answer(query):
            continue
        pages, page = [], query.limit(size)
        while found := [thing.id for thing in page]:
            pages += found
            assert page.after(page.cursor()).count() == min(size, len(expected) - len(pages))
            page = page.after(page.cursor())
        assert pages == expected, name


def can_answer(query):
    """Whether the index of a query can be used for it."""
    try:
        list(query)
    except QueryError as error:
        if "cannot be used for this query" in str(error):
            return False
        raise
    return True


def outcome(ask):
    """What a function gives, or the kind of error that it raises."""
    try:
        found = ask()
    except QueryError:
        return "QueryError"
    return repr(found)  # it shows whether a number is an int or a float


@settings(max_examples=80)
@given(
    record_lists,
    st.none() | leaves,
    st.sampled_from(["any", "age", "nick", "place.city", "tags[*]", "active", "place.zip"]),
    st.booleans(),
)
def test_values_and_aggregates_are_the_same_by_indexes_and_without(
    collection, records, condition, path, is_reversed
):
    filled(collection, records)
    query = Question(condition, (), is_reversed).ask(collection)
    plain = query.using(None)
    for way in [query, *(query.using(name) for name in ("any", "place.city,age"))]:
        if not can_answer(way):
            continue
        for ask in (
            lambda query: list(query.values(path)),
            lambda query: list(query.limit(3).values(path, "id")),
            lambda query: list(query.values(path, "age")),
            lambda query: query.distinct(path),
            lambda query: query.min(path),
            lambda query: query.max(path),
            lambda query: query.sum(path),
            lambda query: query.group_by(path).count(),
            lambda query: query.group_by("place.city").sum("age"),
        ):
            expected = outcome(lambda ask=ask: ask(plain))
            found = outcome(lambda ask=ask, way=way: ask(way))
            assert found in (expected, "QueryError" if way is not query else expected)
