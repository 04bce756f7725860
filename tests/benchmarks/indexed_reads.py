"""Reads of records by key and by index, against py-lmdb with the same indexes kept by hand."""

from collections.abc import Iterator
from functools import partial
from random import Random

from collection_ground import CollectionGround
from measuring import RECORDS, Benchmark, count, ratio
from users import email

UNIT = "x the same by hand, with raw py-lmdb and msgpack"
LOOKUPS = min(5_000, RECORDS)
PAGES = 500
CITIES = range(20)
WIDTH = 100.0
"""A hundredth of the scores."""


def indexed_reads(ground: CollectionGround) -> Iterator[Benchmark]:
    rows = [
        ("Collection[key]", get, 1.3),
        ("indexed equality, 1 %", equality, 1.25),
        ("indexed range, 1 %", score_range, 1.25),
        ("one by unique index", one, 1.5),
        ("first 10 by index", first_page, 1.8),
        ("count of 1,000 by index", count_equal, 0.8),
    ]
    for name, measure, goal in rows:
        yield Benchmark(name, partial(measure, ground), goal, UNIT)


def get(ground: CollectionGround) -> float:
    collection, by_hand = ground.collection, ground.by_hand
    keys = [user.id for user in ground.users]
    Random(1).shuffle(keys)

    def ours() -> None:
        for key in keys:
            collection[key]

    def floor() -> None:
        for key in keys:
            by_hand.get(key)

    return ratio(ours, floor)


def equality(ground: CollectionGround) -> float:
    users, by_hand = ground.indexed_collection, ground.indexed_by_hand
    path = "$[?(@.address.city == {city})]"
    return ratio(
        lambda: sum(count(users.find(path, city=f"City {city}")) for city in CITIES),
        lambda: sum(count(by_hand.in_city(f"City {city}")) for city in CITIES),
    )


def score_range(ground: CollectionGround) -> float:
    users, by_hand = ground.indexed_collection, ground.indexed_by_hand
    path = "$[?(@.score >= {low} && @.score < {high})]"
    starts = [WIDTH * number for number in range(0, 100, 5)]
    return ratio(
        lambda: sum(count(users.find(path, low=low, high=low + WIDTH)) for low in starts),
        lambda: sum(count(by_hand.with_scores(low, low + WIDTH)) for low in starts),
    )


def one(ground: CollectionGround) -> float:
    users, by_hand = ground.indexed_collection, ground.indexed_by_hand
    emails = [email(number) for number in Random(2).sample(range(RECORDS), LOOKUPS)]

    def ours() -> None:
        for each in emails:
            users.find(email=each).one()

    def floor() -> None:
        for each in emails:
            by_hand.get_by_email(each)

    return ratio(ours, floor)


def first_page(ground: CollectionGround) -> float:
    users, by_hand = ground.indexed_collection, ground.indexed_by_hand
    return ratio(
        lambda: [count(users.find().order_by("score").limit(10)) for _ in range(PAGES)],
        lambda: [count(by_hand.lowest_scores(10)) for _ in range(PAGES)],
    )


def count_equal(ground: CollectionGround) -> float:
    users, by_hand = ground.indexed_collection, ground.indexed_by_hand
    path = "$[?(@.address.city == {city})]"
    return ratio(
        lambda: [users.find(path, city=f"City {city}").count() for city in CITIES],
        lambda: [by_hand.count_in_city(f"City {city}") for city in CITIES],
    )
