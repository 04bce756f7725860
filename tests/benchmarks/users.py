"""The records of the benchmarks of collections, and their filters.

A record has about 190 bytes as MessagePack, with an address and three tags inside.
"""

from array import array
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from attrs import define, frozen
from measuring import RECORDS

from stones import key

CITIES = 100
"""Each has a hundredth of the records."""
TAGS = 36


@define
class Address:
    street: str
    city: str
    country: str
    zip: str


@define
class User:
    id: str = key()
    email: str
    name: str
    age: int
    score: float
    active: bool
    address: Address
    tags: list[str]


UNIQUE = "email"
INDEXES = (UNIQUE, "score", "address.city")
"""What is indexed where a benchmark has indexes."""


def users(count: int = RECORDS, cities: int = CITIES) -> Iterator[User]:
    """The same at each call, in the order of their keys. All cities have as many of them."""
    random = Random(count)
    cities_of_users = array("L", (number % cities for number in range(count)))
    random.shuffle(cities_of_users)
    for number in range(count):
        yield User(
            f"c{number:07}",
            email(number),
            f"Name {random.randrange(10**6)}",
            random.randrange(100),
            random.randrange(10**8) / 10**4,
            random.random() < 0.5,
            Address(
                f"{random.randrange(1000)} Long Street",
                f"City {cities_of_users[number]}",
                random.choice(("DE", "FR", "IT", "PL")),
                f"{random.randrange(10**5):05}",
            ),
            [f"tag {random.randrange(TAGS)}" for _ in range(3)],
        )


def email(number: int) -> str:
    return f"{number:07}@example.org"


def dump(user: User) -> dict[str, Any]:
    """The dict of a record, by hand."""
    address = user.address
    return {
        "id": user.id,
        "email": user.email,
        "name": user.name,
        "age": user.age,
        "score": user.score,
        "active": user.active,
        "address": {
            "street": address.street,
            "city": address.city,
            "country": address.country,
            "zip": address.zip,
        },
        "tags": user.tags,
    }


def row(user: User) -> dict[str, Any]:
    """The fields of a record without a dict inside, as the columns of a table."""
    fields = dump(user)
    address = fields.pop("address")
    return fields | address


def load(fields: dict[str, Any]) -> User:
    """The record of a dict, by hand: no program can do less."""
    address = fields["address"]
    return User(
        fields["id"],
        fields["email"],
        fields["name"],
        fields["age"],
        fields["score"],
        fields["active"],
        Address(address["street"], address["city"], address["country"], address["zip"]),
        fields["tags"],
    )


@frozen
class Filter:
    """The same filter in three languages."""

    name: str
    path: str
    test: Callable[[dict[str, Any]], bool]
    where: str
    """SQL over the column `value`."""
    goals: tuple[float, float] = (0, 0)
    """Against the floor: counted, and as dicts."""
    goal_of_dicts: float = 1
    """Against SQLite."""


SELECTIVE = 0.22, 0.30

FILTERS = [
    Filter(
        "a string, 1 %",
        '$[?(@.address.city == "City 7")]',
        lambda user: user["address"]["city"] == "City 7",
        "json_extract(value, '$.address.city') = 'City 7'",
        SELECTIVE,
    ),
    Filter(
        "a number, 1 %",
        "$[?(@.score < 100)]",
        lambda user: user["score"] < 100,
        "json_extract(value, '$.score') < 100",
        SELECTIVE,
    ),
    Filter(
        "a number that matches nothing",
        "$[?(@.age > 1000)]",
        lambda user: user["age"] > 1000,
        "json_extract(value, '$.age') > 1000",
        SELECTIVE,
    ),
    Filter(
        "a string and a number, 0.7 %",
        '$[?(@.age > 30 && @.address.city == "City 7")]',
        lambda user: user["age"] > 30 and user["address"]["city"] == "City 7",
        "json_extract(value, '$.age') > 30 and json_extract(value, '$.address.city') = 'City 7'",
        SELECTIVE,
    ),
    Filter(
        "a union, 2 %",
        '$[?(@.age == 99 || @.address.city == "City 7")]',
        lambda user: user["age"] == 99 or user["address"]["city"] == "City 7",
        "json_extract(value, '$.age') = 99 or json_extract(value, '$.address.city') = 'City 7'",
    ),
    Filter(
        "a number, 4 %",
        "$[?(@.age > 95)]",
        lambda user: user["age"] > 95,
        "json_extract(value, '$.age') > 95",
    ),
    Filter(
        "tags[*], 8 %",
        '$[?(@.tags[*] == "tag 7")]',
        lambda user: "tag 7" in user["tags"],
        "exists (select 1 from json_each(users.value, '$.tags') where json_each.value = 'tag 7')",
    ),
    Filter(
        "a number, 69 %",
        "$[?(@.age > 30)]",
        lambda user: user["age"] > 30,
        "json_extract(value, '$.age') > 30",
        (0.35, 0),
        goal_of_dicts=0,
    ),
    Filter(
        "a string, 99 %",
        '$[?(@.address.city != "City 7")]',
        lambda user: user["address"]["city"] != "City 7",
        "json_extract(value, '$.address.city') != 'City 7'",
        goal_of_dicts=0,
    ),
]
