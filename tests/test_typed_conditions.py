"""Conditions written as functions of a record: what is recorded, refused, and seen by checkers."""

import json
import operator
import re
import sys
from datetime import date
from decimal import Decimal
from enum import Enum
from functools import reduce
from typing import Any

import pytest
from attrs import define, field, frozen
from hypothesis import event, given
from hypothesis import strategies as st

from stones import Collection, MemoryStore, QueryError, RecordError, each, key, known
from stones.collections.language.typed_conditions import recorded_filter, recorded_path

from .test_interface import checked, without_modules


class Color(Enum):
    RED = "red"
    BLUE = "blue"


@frozen
class Address:
    city: str
    zip: str = ""


@define
class User:
    name: str = key()
    age: int = 0
    active: bool = True
    color: Color = Color.RED
    home: Address = field(factory=lambda: Address("Rome"))
    work: Address | None = None
    nick: str | None = None
    tags: set[str] = field(factory=set)
    homes: list[Address] = field(factory=list)
    prices: dict[str, int] = field(factory=dict)
    years: dict[int, int] = field(factory=dict)
    born: date | None = None
    score: Decimal = Decimal(0)
    where: str = ""
    renamed: int = field(default=1, alias="class_")
    anything: Any = None
    _secret: str = "s"


USERS = [
    User("ada", 36, True, Color.RED, Address("London"), Address("Rome"), None, {"navy", "maths"}),
    User("bob", 17, False, Color.BLUE, nick="bob", homes=[Address("Bonn"), Address("Rome")]),
    User("cyd", 52, prices={"a b": 3, "x": 5}, born=date(1990, 1, 1), where="here"),
    User(
        "eve", 18, False, tags={"navy"}, score=Decimal("9.90"), anything=True, class_=2, secret="x"
    ),
]


@pytest.fixture
def users(open_store):
    return users_in(open_store(serialize="msgpack"))


def users_in(store):
    users: Collection[str, User] = Collection(store, User)
    users.add_many(USERS)
    return users


CODES = ["ada", "eve"]
CONDITIONS = [
    (lambda u: u.age > 30, "@.age > {age}", ["ada", "cyd"]),
    (lambda u: u.age >= 36, "@.age >= {age}", ["ada", "cyd"]),
    (lambda u: u.age < 18, "@.age < {age}", ["bob"]),
    (lambda u: u.age <= 18, "@.age <= {age}", ["bob", "eve"]),
    (lambda u: u.age == 18, "@.age == {age}", ["eve"]),
    (lambda u: u.age != 18, "@.age != {age}", ["ada", "bob", "cyd"]),
    (lambda u: 30 < u.age, "@.age > {age}", ["ada", "cyd"]),  # noqa: SIM300  # the reverse
    (
        lambda u: (u.age > 17) & (u.age < 40) & (u.color == Color.RED),
        "@.age > {age} && @.age < {age_2} && @.color == {color}",
        ["ada", "eve"],
    ),
    (
        lambda u: (u.age > 40) | (u.age < 18) | (u.name == "eve"),
        "@.age > {age} || @.age < {age_2} || @.name == {name}",
        ["bob", "cyd", "eve"],
    ),
    (
        lambda u: ((u.age > 40) | (u.age < 18)) & u.active,
        "(@.age > {age} || @.age < {age_2}) && @.active == true",
        ["cyd"],
    ),
    (
        lambda u: (u.age > 40) | (u.age < 18) & u.active,
        "@.age > {age} || @.age < {age_2} && @.active == true",
        ["cyd"],
    ),
    (lambda u: ~((u.age > 30) | u.active), "!(@.age > {age} || @.active == true)", ["bob", "eve"]),
    (lambda u: u.active, "@.active == true", ["ada", "cyd"]),
    (lambda u: ~u.active, "!(@.active == true)", ["bob", "eve"]),
    (lambda u: u.active == False, "@.active == {active}", ["bob", "eve"]),  # noqa: E712  # recorded
    (lambda u: u.anything, "@.anything == true", ["eve"]),
    (lambda u: u.nick == None, "@.nick == {nick}", ["ada", "cyd", "eve"]),  # noqa: E711  # recorded
    (lambda u: u.nick != None, "@.nick != {nick}", ["bob"]),  # noqa: E711  # recorded
    (lambda u: u.home.city == "London", "@.home.city == {city}", ["ada"]),
    (lambda u: u.home == Address("London"), "@.home == {home}", ["ada"]),
    (lambda u: Address("London") == u.home, "@.home == {home}", ["ada"]),
    (lambda u: known(u.work).city == "Rome", "@.work.city == {city}", ["ada"]),
    (lambda u: known(u.born) > date(1980, 1, 1), "@.born > {born}", ["cyd"]),
    (lambda u: u.score < Decimal("9.91"), "@.score < {score}", ["ada", "bob", "cyd", "eve"]),
    (lambda u: each(u.tags) == "navy", "@.tags[*] == {tags}", ["ada", "eve"]),
    (lambda u: u.tags == {"navy"}, "@.tags == {tags}", ["eve"]),
    (lambda u: each(u.homes).city == "Bonn", "@.homes[*].city == {city}", ["bob"]),
    (lambda u: u.homes[0].city == "Bonn", "@.homes[0].city == {city}", ["bob"]),
    (lambda u: u.homes[-1].city == "Rome", "@.homes[-1].city == {city}", ["bob"]),
    (lambda u: u.prices["x"] == 5, "@.prices.x == {x}", ["cyd"]),
    (lambda u: u.prices["a b"] == 3, "@.prices['a b'] == {value}", ["cyd"]),
    (lambda u: each(u.prices) > 4, "@.prices[*] > {prices}", ["cyd"]),
    (lambda u: u.nick == u.name, "@.nick == @.name", ["bob"]),
    (lambda u: each(u.homes).city == u.home.city, "@.homes[*].city == @.home.city", ["bob"]),
    (lambda u: u.home.city == each(u.homes).city, "@.homes[*].city == @.home.city", ["bob"]),
    (lambda u: u.age < each(u.prices), "@.prices[*] > @.age", []),
    (lambda u: u.name == each(CODES), "@.name in {name}", ["ada", "eve"]),
    (lambda u: each(CODES) == u.name, "@.name in {name}", ["ada", "eve"]),
    (lambda u: ~(u.name == each(set(CODES))), "!(@.name in {name})", ["bob", "cyd"]),
    (lambda u: each(u.tags) == each(iter(["maths"])), "@.tags[*] in {tags}", ["ada"]),
    (lambda u: u.color == each([Color.BLUE]), "@.color in {color}", ["bob"]),
    (lambda u: u.name == each({"eve": "ada"}), "@.name in {name}", ["ada"]),
    (lambda u: u.name == each({"eve": "ada"}.keys()), "@.name in {name}", ["eve"]),
    (lambda u: u.name.startswith("b"), "@.name =~ {name}", ["bob"]),
    (lambda u: u.name.startswith("."), "@.name =~ {name}", []),
    (lambda u: u.name.endswith("e"), "@.name =~ {name}", ["eve"]),
    (lambda u: each(u.tags).startswith("ma"), "@.tags[*] =~ {tags}", ["ada"]),
    (lambda u: u.where == "here", "@['where'] == {where}", ["cyd"]),
    (lambda u: u._secret == "x", "@._secret == {_secret}", ["eve"]),
    (lambda u: u.renamed == 2, "@.renamed == {renamed}", ["eve"]),
    (lambda u: u == USERS[1], "@ == {record}", ["bob"]),
]


@pytest.mark.parametrize(("function", "text", "expected"), CONDITIONS)
def test_a_function_is_a_filter(users, function, text, expected):
    assert recorded_filter(function).text == text
    assert list(users.find(function).keys()) == expected


def test_a_function_is_called_once_when_find_is_called(users):
    calls = []

    def condition(user: User) -> bool:
        calls.append(user)
        return user.age > 30

    query = users.find(condition)
    assert len(calls) == 1
    assert query.count() == query.count() == 2
    assert len(calls) == 1


def test_values_are_taken_when_find_is_called(users):
    limit = 30
    query = users.find(lambda u: u.age > limit)
    limit = 100
    assert query.count() == 2


def test_queries_and_ranges_take_functions_too(users):
    assert list(users.find("@.age > 17").find(lambda u: u.active).keys()) == ["ada", "cyd"]
    assert list(users.range(ge="b").find(lambda u: u.age > 17).keys()) == ["cyd", "eve"]
    assert list(users.find(lambda u: u.active).find("@.age > 40").keys()) == ["cyd"]


def test_a_method_looks_for_the_text_as_it_is(users):
    users.put(User("a.b$ (c", nick="x\n"))
    assert list(users.find(lambda u: u.name.startswith("a.b$ (")).keys()) == ["a.b$ (c"]
    assert list(users.find(lambda u: u.name.endswith("$ (c")).keys()) == ["a.b$ (c"]
    assert list(users.find(lambda u: known(u.nick).endswith("x")).keys()) == []


def test_a_path_is_a_function_and_gives_what_the_record_has(users):
    found = users.find(lambda u: u.age < 40)
    assert list(found.values(lambda u: u.name)) == ["ada", "bob", "eve"]
    assert list(found.values(lambda u: u.home.city)) == ["London", "Rome", "Rome"]
    assert list(found.values(lambda u: known(u.work).city)) == ["Rome"]
    assert list(found.values(lambda u: u.work)) == [Address("Rome"), None, None]
    assert list(found.values(lambda u: u.color)) == [Color.RED, Color.BLUE, Color.RED]
    assert list(found.values("color")) == ["red", "blue", "red"]
    assert sorted(found.values(lambda u: each(u.tags))) == ["maths", "navy", "navy"]
    assert next(found.values(lambda u: u.tags)) == {"navy", "maths"}
    assert list(found.values(lambda u: each(u.homes))) == [Address("Bonn"), Address("Rome")]
    assert list(found.values(lambda u: u.renamed)) == [1, 1, 2]
    assert list(found.values(lambda u: u._secret)) == ["s", "s", "x"]
    assert list(found.values(lambda u: u)) == [USERS[0], USERS[1], USERS[3]]
    assert found.to_list(lambda u: u.color, "age")[1] == (Color.BLUE, 17)
    assert found.to_list(lambda u: each(u.homes), lambda u: u.work)[1] == (USERS[1].homes, None)
    assert found.to_list(lambda u: u.color) == [Color.RED, Color.BLUE, Color.RED]


def test_the_names_are_those_of_attributes_inside_of_records_too():
    @define
    class Inner:
        _b: int = field(alias="a")
        a: int = field(alias="b")

    @define
    class Other:
        _b: int = field(alias="c")

    @define
    class Outer:
        id: int = key()
        inner: Inner
        several: list[Inner | None] = field(factory=list)
        either: Inner | Other | None = None

    outers: Collection[int, Outer] = Collection(MemoryStore(), Outer)
    outers.add_many([Outer(1, Inner(a=1, b=2), [Inner(a=3, b=4)]), Outer(2, Inner(a=2, b=1))])
    for function, expected in [
        (lambda u: u.inner._b == 1, [1]),
        (lambda u: u.inner.a == 1, [2]),
        (lambda u: each(u.several)._b == 3, [1]),
        (lambda u: each(u.several).a == u.inner._b, []),
        (lambda u: u.inner.a > u.inner._b, [1]),
    ]:
        assert list(outers.find(function).keys()) == expected
    assert list(outers.find().values(lambda u: u.inner.a)) == [2, 1]
    with pytest.raises(QueryError, match=r"_b is stored under several names, \['a', 'c'\]"):
        outers.find(lambda u: known(u.either)._b == 3)


def test_a_stored_value_that_no_record_could_have_is_an_error_for_the_types():
    @define
    class Old:
        id: int = key()
        color: str

    @define
    class New:
        id: int = key()
        color: Color = Color.RED

    store = MemoryStore()
    Collection(store, Old, name="x").add_many([Old(1, "red"), Old(2, "green")])
    found = Collection(store, New, name="x").find()
    assert list(found.values("color")) == ["red", "green"]
    with pytest.raises(RecordError, match=r"^x\[2\]: @\.color: .*green"):
        list(found.values(lambda u: u.color))


# -- the same as Python ----------------------------------------------------------------------------

RECORDS = [User(f"{age}{tag}", age, tag == "a", tags={tag}) for age in range(4) for tag in "ab"]
comparisons = st.builds(
    lambda compare, number: lambda u: compare(u.age, number),
    st.sampled_from([operator.lt, operator.le, operator.eq, operator.ne, operator.gt, operator.ge]),
    st.integers(-1, 4),
)
tests = st.one_of(
    comparisons,
    comparisons,
    st.sampled_from([lambda u: u.active == True, lambda u: u.tags == {"a"}]),  # noqa: E712
    st.sampled_from("123").map(lambda start: lambda u: u.name.startswith(start)),
)


def joined(inner):
    binary = st.sampled_from([operator.and_, operator.or_])
    return st.one_of(
        st.builds(lambda op, left, right: lambda u: op(left(u), right(u)), binary, inner, inner),
        inner.map(lambda part: lambda u: operator.eq(part(u), False) if real(u) else ~part(u)),
    )


def real(user):
    return isinstance(user, User)


@given(st.recursive(tests, joined, max_leaves=8))
def test_a_condition_finds_the_records_for_which_python_finds_it_true(function):
    users: Collection[str, User] = Collection(MemoryStore(), User)
    users.add_many(RECORDS)
    expected = [user.name for user in RECORDS if function(user)]
    event(f"{bool(expected)} for some, {len(expected) < len(RECORDS)} for others")
    assert list(users.find(function).keys()) == expected


def test_thousands_of_conditions_can_be_joined(opened):
    ages = range(0, 2000, 2)
    with opened() as store:
        users = users_in(store)
        query = users.find(lambda u: reduce(operator.or_, [u.age == age for age in ages]))
        assert list(query.keys()) == ["ada", "cyd", "eve"]


# -- what is refused -------------------------------------------------------------------------------

BOOL = "and, or, not, in, if and a chain of comparisons cannot be recorded: write & for and"
REFUSED = [
    (lambda u: (u.age > 3) and (u.age < 9), BOOL),
    (lambda u: (u.age > 3) or u.active, BOOL),
    (lambda u: u.active and (u.age > 3), BOOL),
    (lambda u: not u.active, BOOL),
    (lambda u: not (u.age > 3), BOOL),
    (lambda u: 3 < u.age < 9, BOOL),
    (lambda u: u.age > 3 if u.active else u.age < 2, BOOL),
    (lambda u: u.name in ["ada", "bob"], r"u.country == each(codes) for in"),
    (lambda u: u.name in ("ada", "bob"), r"u.country == each(codes) for in"),
    (lambda u: u.name in {"ada", "bob"}, r"u.country == each(codes) for in"),
    (lambda u: u.name in {"ada": 1}, r"u.country == each(codes) for in"),
    (lambda u: u.age in range(3), r"u.country == each(codes) for in"),
    (lambda u: "navy" in u.tags, "each(u.tags) == 'navy' for 'navy' in u.tags"),
    (lambda u: "av" in u.name, "call find() with the JSONPath '@.name contains {part}'"),
    (lambda u: u.name in "abc", "requires string as left operand"),
    (lambda u: u.name in list[str](), "the function returns bool False"),
    (lambda u: u.nick is None, "write u.nick == None for None"),
    (lambda u: u.nick is not None, "write u.nick == None for None"),
    (lambda u: (u.age > 3) & (u.nick is None), "a part of the condition is False: a test that"),
    (lambda u: (u.nick is None) | (u.age > 3), "a part of the condition is False: a test that"),
    (lambda u: u.age > 3 & u.active, "put parentheses around each comparison"),
    (lambda u: u.age == 3 | u.active, "put parentheses around each comparison"),
    (lambda u: (u.age > 3) == (u.age < 9), "put parentheses around each comparison"),
    (lambda u: (u.age > 3) == True, "put parentheses around each comparison"),  # noqa: E712
    (lambda u: any(tag == "navy" for tag in u.tags), "a loop cannot be recorded: write each("),
    (lambda u: sorted(u.tags) == [], "a loop cannot be recorded"),
    (lambda u: list(reversed(u.homes)) == [], "a loop cannot be recorded"),
    (lambda u: len(u.tags) > 1, "len() cannot be recorded"),
    (lambda u: u.age + 1 > 3, "arithmetic cannot be recorded"),
    (lambda u: 1 + u.age > 3, "arithmetic cannot be recorded"),
    (lambda u: -u.age > 3, "arithmetic cannot be recorded"),
    (lambda u: u.age % 2 == 1, "arithmetic cannot be recorded"),
    (lambda u: int(u.age) == 3, "arithmetic cannot be recorded"),
    (lambda u: u.active ^ u.active, "arithmetic cannot be recorded"),
    (lambda u: u.name.upper() == "ADA", "u.name.upper() cannot be recorded: write u.name.starts"),
    (lambda u: u(3), "a call of u() cannot be recorded"),
    (lambda u: u.homes[0](3), "cannot be recorded"),
    (lambda u: u.name.startswith(u.nick), "u.name.startswith() takes one str"),
    (lambda u: u.name.startswith("a", 1), "u.name.startswith() takes one str"),
    (lambda u: u.name.startswith(("a", "b")), "u.name.startswith() takes one str"),
    (lambda u: re.match("a", u.name), "the function does what cannot be recorded: expected string"),
    (lambda u: f"{u.name}" == "ada", "the function returns bool False"),
    (lambda u: u.homes[0:1] == [], "u.homes[...] takes an int or a str, not slice"),
    (lambda u: u.homes[True] == [], "u.homes[...] takes an int or a str, not bool True"),
    (lambda u: setattr(u, "age", 3), "a condition changes no record"),
    (lambda u: each(u.tags) == each(u.homes), "each() stands on one side of a comparison only"),
    (lambda u: u.name != each(CODES), "each() of values takes ==, not !="),
    (lambda u: u.age < each([1, 2]), "each() of values takes ==, not <"),
    (lambda u: each(CODES) == "ada", "put parentheses around each comparison"),
    (lambda u: each(CODES), "which is no condition"),
    (lambda u: u.name == each("ada"), "each() takes a list of values, not one value, str 'ada'"),
    (lambda u: u.name == each(5), "each() takes a list of values, not int 5"),
    (lambda u: each(u.age > 3), "each() takes a field with several values"),
    (lambda u: known(u.age > 3) == 3, "known() takes a field of the record"),
    (lambda u: known(None) == 3, "known() takes a field of the record"),
    (lambda u: None, "the function returns None, which is no condition"),
    (lambda u: True, "the function returns bool True, which is no condition"),
    (lambda u: "@.age > 3", "the function returns str '@.age > 3', which is no condition"),
    (lambda u: 10**5000, "which is no condition"),
    (lambda u: u.age, "'@.age == true': @.age is no bool, and so no condition"),
    (lambda u: (u.age > 3) & u.name, "@.name is no bool, and so no condition"),
    (lambda u: u.agee > 3, "User has no field 'agee': did you mean 'age'?"),
    (lambda u: u.home.citty == "x", "Address has no field 'citty': did you mean 'city'?"),
    (lambda u: u.agee, "User has no field 'agee': did you mean 'age'?"),
    (lambda u: known(u.born).year == 1990, "'@.born.year == {year}': date | None has no such part"),
    (lambda u: u.color.value == "red", "Color has no such part"),
    (lambda u: u.age.real == 36, "int has no such part"),
    (lambda u: u.name[0] == "a", "'@.name[0] == {name}': str has no such part"),
    (lambda u: each(u.name) == "a", "str has no such part"),
    (lambda u: u.homes[0].city[0] == "B", "str has no such part"),
    (lambda u: u.years[1990] == 3, "dict[int, int] has no such part: a path leads to fields, to"),
]


@pytest.mark.parametrize(("function", "reason"), REFUSED)
def test_what_cannot_be_recorded_is_refused_at_once(users, function, reason):
    with pytest.raises(QueryError, match=re.escape(reason)):
        users.find(function)


def test_an_error_of_the_function_reaches_the_caller(users):
    with pytest.raises(ZeroDivisionError):
        users.find(lambda u: u.age > 1 / 0)


def test_a_function_takes_no_values(users):
    with pytest.raises(QueryError, match="put them into the function"):
        users.find(lambda u: u.age > 3, age=3)


@pytest.mark.parametrize("wrong", [User, int, 5, True, None.__class__])
def test_a_class_is_no_function(users, wrong):
    with pytest.raises(QueryError, match="a JSONPath is a str, not"):
        users.find(wrong)
    with pytest.raises(QueryError, match="a JSONPath is a str, not"):
        users.find().values(wrong)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda u: u.age > 3, "the function returns a condition, not a field of the record"),
        (lambda u: 3, "the function returns int 3, not a field of the record"),
        (lambda u: u.agee, "User has no field 'agee'"),
        (lambda u: u.age + 1, "arithmetic cannot be recorded"),
        (lambda u: known(u.born).year, "'@.born.year': date | None has no such part"),
        (lambda u: u.years[1990], "dict[int, int] has no such part"),
    ],
)
def test_a_function_that_returns_no_field_is_no_path(users, function, reason):
    with pytest.raises(QueryError, match=re.escape(reason)):
        users.find().values(function)


def test_what_is_recorded_shows_itself():
    seen: list[object] = []
    recorded_filter(lambda u: seen.append(u.home.city) or u.age > 3)
    recorded_path(lambda u: seen.append(u.age > 3) or seen.append(each([1])) or u)
    assert list(map(repr, seen)) == [
        "<u.home.city, recorded>",
        "<a recorded condition>",
        "<each() of values>",
    ]


def test_recorded_fields_have_no_special_methods_of_their_own():
    def function(user: Any) -> Any:
        with pytest.raises(AttributeError):
            _ = user.__length_hint__
        return user.age > 3

    assert recorded_filter(function).text == "@.age > {age}"


# -- types -----------------------------------------------------------------------------------------

TYPED = """
from enum import Enum
from attrs import define, field
from stones import Collection, MemoryStore, each, key, known

class Color(Enum):
    RED = "red"

@define
class Address:
    city: str

@define
class User:
    name: str = key()
    age: int = 0
    active: bool = True
    color: Color = Color.RED
    home: Address = field(factory=lambda: Address("Rome"))
    work: Address | None = None
    tags: set[str] = field(factory=set)
    prices: dict[str, int] = field(factory=dict)

users: Collection[str, User] = Collection(MemoryStore(), User)
found = users.find(lambda u: (u.age > 30) & (u.home.city == "Rome") & (each(u.tags) == "navy"))
found = users.find(lambda u: u.active & ~(u.age > 30) | (u.color == Color.RED))
found = users.find(lambda u: known(u.work).city == "Rome")
found = users.find(lambda u: (u.name == each(["a", "b"])) | (each(u.prices) > 3))
found = users.find(lambda u: u.name.startswith("a"))
found = users.range(ge="b").find(lambda u: u.age > 3).find(lambda u: u.age < 9)
reveal_type(users.find(lambda u: u.age > 3).first())
reveal_type(users.find().values(lambda u: u.home.city))
reveal_type(users.find().values(lambda u: u.color))
reveal_type(users.find().values(lambda u: each(u.tags)))
reveal_type(users.find().values(lambda u: known(u.work).city))
reveal_type(users.find().values("home.city"))
reveal_type(users.find().values("name", lambda u: u.age))
reveal_type(users.find().to_list(lambda u: u.age))
users.find(lambda u: u.agee > 30)
users.find(lambda u: u.age > "30")
users.find(lambda u: u.work.city == "Rome")
users.find(lambda u: u.home.citty == "Rome")
users.find(lambda u: u.name)
users.find(User.age > 30)
users.find().values(lambda u: u.agee)
users.find(lambda u: u.age == "30")
"""
REVEALED = [
    "User | None",
    "Iterator[str]",
    "Iterator[Color]",
    "Iterator[str]",
    "Iterator[str]",
    "Iterator[Any]",
    "Iterator[tuple[Any, ...]]",
    "list[int]",
]
WRONG = {*range(39, 46)}
WRONG_EQUALITY = {46}  # found in the strict modes of both


def test_mypy_finds_wrong_fields_and_types_in_conditions(tmp_path, monkeypatch):
    (tmp_path / "typed.py").write_text(TYPED)
    monkeypatch.chdir(tmp_path)
    lines = checked("mypy", "--strict", "--no-pretty").splitlines()
    revealed = [line.split('"')[1] for line in lines if "Revealed type" in line]
    assert [without_modules(text) for text in revealed] == REVEALED
    wrong = {int(line.split(":")[1]) for line in lines if " error: " in line}
    assert wrong == WRONG | WRONG_EQUALITY, lines


def test_pyright_finds_the_same_in_conditions(tmp_path, monkeypatch):
    (tmp_path / "typed.py").write_text(TYPED)
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "standard"}')
    monkeypatch.chdir(tmp_path)
    found = json.loads(checked("basedpyright", "--outputjson", "--pythonpath", sys.executable))
    told = found["generalDiagnostics"]
    revealed = [
        item["message"].split(' is "')[1].rstrip('"')
        for item in told
        if item["severity"] == "information"
    ]
    assert [without_modules(text) for text in revealed] == REVEALED
    wrong = {item["range"]["start"]["line"] + 1 for item in told if item["severity"] == "error"}
    assert wrong == WRONG, told
