"""A small store that has a bit of everything, for the tests of its pages in a real browser."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from attrs import define, field

from stones import Collection, LmdbStore, index, key, stone

COUNTRIES = ("AT", "DE", "FR", "IT", "NO")
COUNT = 130
"""How many cities there are: three pages of 50."""


@define
class Position:
    lat: float
    lon: float


@define
class City:
    name: str = key()
    country: str = index()
    people: int = index()
    founded: date | None = None
    position: Position = field(factory=lambda: Position(0.0, 0.0))
    twins: tuple[str, ...] = ()
    tags: set[str] = field(factory=set)


@define
class Run:
    tool: str = key()
    number: int = key()
    started: datetime = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)
    note: str = ""


def city(number: int) -> City:
    """One of the cities, in the order of their names."""
    return City(
        f"City {number:03}",
        COUNTRIES[number % len(COUNTRIES)],
        1000 * (number * 37 % COUNT) + 5000,
        date(1000 + number, 3, 16) if number % 3 else None,
        Position(45 + number / 16, 5 + number / 32),
        (f"City {(number + 1) % COUNT:03}",) * (number % 3),
        {"port"} if number % 4 == 0 else set(),
    )


HOSTILE = "<script>document.title='owned'</script><img src=x onerror=alert(1)>\"'&amp;"
"""A text that would do something if it were put into a page as it is."""


def browsed_store(path: Path) -> Path:
    """Make the store at a path that is free."""
    with stone(path, LmdbStore, serialize="msgpack") as store:
        cities: Collection[str, City] = Collection(store, City)
        cities.add_many(map(city, range(COUNT)))
        runs: Collection[tuple[str, int], Run] = Collection(store, Run)
        runs.add_many(Run(tool, number) for tool in ("lint", "test", HOSTILE) for number in (1, 2))
        store["greeting"] = ("any", b"value", {"of": 3.14}, None)
        store[b"raw\xff/1"] = HOSTILE
        store.namespace("sessions/").update({f"s{number}": number for number in range(20)})
    return path


def cities_of(store: Any) -> "Collection[str, City]":
    """The cities of an open store."""
    return Collection(store, City)
