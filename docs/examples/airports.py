"""A tour of stones on real data: the 28,000 airports of the PyPI package `airportsdata`.

Run it with `make demo`, which leaves the database in `demo-db`; or name another directory:

    python docs/examples/airports.py DIRECTORY
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import airportsdata
import click
from attrs import define, field, validators

from stones import Collection, DuplicateKeyError, LmdbStore, inspect, key, migrate, stone


@define
class Position:
    lat: float
    lon: float


@define
class Airport:
    icao: str = key()
    name: str
    city: str
    country: str = field(validator=validators.max_len(2))
    elevation: float  # feet
    position: Position
    iata: str | None = None
    timezone: str = "UTC"


def from_row(row: "airportsdata.Airport") -> Airport:
    return Airport(
        icao=row["icao"],
        name=row["name"],
        city=row["city"],
        country=row["country"],
        elevation=row["elevation"],
        position=Position(row["lat"], row["lon"]),
        iata=row["iata"] or None,
        timezone=row["tz"],
    )


def tour(path: Path) -> None:
    title("A dict on disk")
    code("store = stone('airports', LmdbStore, serialize='pickle')")
    store = stone(path, LmdbStore, serialize="pickle")
    code("store['greeting'] = ('any', b'value', {'of': 3.14}, None)")
    store["greeting"] = ("any", b"value", {"of": 3.14}, None)
    code("store['greeting']", store["greeting"])
    code("list(store)", list(store))

    title("A typed collection, in the same store")
    rows = airportsdata.load("ICAO")
    airports = Collection(store, Airport)
    code("airports = Collection(store, Airport)")
    code("airports.add_many(...)  # one transaction")
    with timed(), bar("adding", len(rows)) as advance:
        airports.add_many(map(from_row, rows.values()), progress=advance)
    code("len(airports)", len(airports))
    code("airports['KJFK'].name", airports["KJFK"].name)
    code("airports['KJFK'].position", airports["KJFK"].position)

    title("JSONPath over the collection")
    code("airports.find('$[?(@.elevation > 12000)]').count()")
    with timed():
        result(airports.find("$[?(@.elevation > 12000)]").count())
    code("airports.find('$[?(@.country == {code} && @.iata != null)]', code='IS').values('city')")
    with timed():
        cities = list(
            airports.find("$[?(@.country == {code} && @.iata != null)]", code="IS").values("city")
        )
        result(", ".join(cities[:5]) + f" and {len(cities) - 5} more")
    code("airports.find('$[?(@.position.lat > 81 || @.position.lat < -85)]')")
    with timed():
        for airport in airports.find("$[?(@.position.lat > 81 || @.position.lat < -85)]"):
            result(f"{airport.name} ({airport.country})")
    code("airports.search(\"$[?(@.country == 'BR')].timezone\")")
    with timed():
        zones = set(airports.search("$[?(@.country == 'BR')].timezone"))
        result(f"{len(zones)} time zones")
    code("airports.find(city='Akureyri').one().icao", airports.find(city="Akureyri").one().icao)

    title("Indexes: the same answers, sooner")
    query = airports.find("@.country == 'IS' && @.elevation > 1000")
    code("query = airports.find(\"@.country == 'IS' && @.elevation > 1000\")")
    code("print(query.explain(run=True))")
    lines(query.explain(run=True))
    airports = Collection(store, Airport, indexes=["country", "elevation"])
    code("airports = Collection(store, Airport, indexes=['country', 'elevation'])")
    code("airports.build_indexes(progress=...)  # others may go on reading and writing")
    with timed(), bar("building", len(rows)) as advance:
        airports.build_indexes(progress=advance)
    code("print(query.explain(run=True))")
    lines(query.explain(run=True))

    title("Order, pages, groups")
    highest = airports.find().order_by("-elevation").limit(3)
    code("highest = airports.find().order_by('-elevation').limit(3)")
    code("highest.to_list('name', 'elevation')")
    with timed():
        result(highest.to_list("name", "elevation"))
    code("following = highest.after(highest.cursor())  # a cursor is text, for a URL")
    code("following.to_list('name', 'elevation')")
    with timed():
        result(highest.after(highest.cursor()).to_list("name", "elevation"))
    code("airports.find('@.elevation > 12000').group_by('country').count()")
    with timed():
        result(airports.find("@.elevation > 12000").group_by("country").count())

    title("Changes: all or nothing")
    code("airports.update('KJFK', name='Idlewild').name")
    result(airports.update("KJFK", name="Idlewild").name)
    code("with store.transaction():")
    code("    del airports['KJFK'], store['greeting']")
    code("    airports.add(airports['EGLL'])  # which is there already")
    try:
        with store.transaction():
            del airports["KJFK"], store["greeting"]
            airports.add(airports["EGLL"])
    except DuplicateKeyError as error:
        result(f"{type(error).__name__}: {error}".partition(": use")[0])
    code("'KJFK' in airports, 'greeting' in store", ("KJFK" in airports, "greeting" in store))

    title("The records, for whoever reads the store without the class")
    code("store['Airport/BIRK']['position']", store["Airport/BIRK"]["position"])
    code("len(store.range(prefix='Airport/BI'))", len(store.range(prefix="Airport/BI")))

    title("From pickle to msgpack, while others could go on reading and writing")
    before, size = dict(airports), inspect(path).size
    code("migrate(store, to='msgpack')")
    with timed(), bar("re-encoding", 2 * len(store)) as advance:
        migrate(store, to="msgpack", progress=lambda done, _all: advance(done))
    result(f"{size / 1e6:.1f} MB pickled, {inspect(path).size / 1e6:.1f} MB as msgpack")
    code("dict(airports) == before", dict(airports) == before)
    store.close()

    title("And it is all there the next time")
    code("store = stone('airports', LmdbStore)")
    with stone(path, LmdbStore) as store:
        code("airports = Collection(store, Airport)", Collection(store, Airport))


def title(text: str) -> None:
    click.echo(f"\n{text}\n{'-' * len(text)}")


def code(text: str, value: object = None) -> None:
    """Show a line of the program, and what it gives."""
    click.echo(f"  {click.style(text, fg='cyan')}")
    if value is not None:
        result(repr(value))


def result(text: object) -> None:
    click.echo(f"      {text}")


def lines(text: object) -> None:
    """Show what has several lines."""
    for line in str(text).splitlines():
        result(line)


@contextmanager
def timed() -> Iterator[None]:
    start = time.perf_counter()
    yield
    took = f"({(time.perf_counter() - start) * 1000:,.0f} ms)"
    click.echo(f"      {click.style(took, dim=True)}")


@contextmanager
def bar(label: str, length: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal, a word elsewhere; gives a function to tell how many."""
    with click.progressbar(length=length, label=f"      {label}", update_min_steps=500) as shown:
        yield lambda done: shown.update(done - shown.pos)


if __name__ == "__main__":
    if len(sys.argv) == 1:
        with tempfile.TemporaryDirectory() as directory:
            tour(Path(directory) / "airports")
    elif Path(sys.argv[1]).exists():
        sys.exit(f"{sys.argv[1]} is there already: name a directory that is not")
    else:
        tour(Path(sys.argv[1]))
        click.echo(f"\nLook into it in a browser: make browse, or stones serve {sys.argv[1]}")
