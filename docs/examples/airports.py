"""A tour of stones on real data: the 28,000 airports of the PyPI package `airportsdata`.

Run it with `make demo`, or with any directory for the database:

    python docs/examples/airports.py [DIRECTORY]
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

from stones import Collection, DuplicateKeyError, LmdbStore, key, migrate, stone
from stones.info import inspect


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
    step("A dict on disk")
    stor = stone(path, LmdbStore, serialize="pickle")
    stor["greeting"] = ("any", b"value", {"of": 3.14}, None)
    say(f"stor['greeting']  ->  {stor['greeting']!r}")
    say(f"list(stor)        ->  {list(stor)}")

    step("A typed collection: records of an attrs class, in the same store")
    rows = airportsdata.load("ICAO")
    airports = Collection(stor, Airport)
    with progress_bar("adding airports", len(rows)) as show, timed("one transaction"):
        airports.add_many(map(from_row, rows.values()), progress=lambda done: show(done, len(rows)))
    say(f"len(airports)     ->  {len(airports):,}")
    say(f"airports['KJFK']  ->  {airports['KJFK']}")

    step("JSONPath filters over the collection")
    with timed():
        high = airports.find("$[?(@.elevation > 12000)]").count()
    say(f"above 12,000 feet: {high}")
    with timed():
        found = list(airports.find("$[?(@.country == {code} && @.iata != null)]", code="IS"))
    say(
        "in Iceland, with an IATA code: "
        + ", ".join(airport.city for airport in found[:6])
        + ", ..."
    )
    with timed():
        names = list(
            airports.find("$[?(@.position.lat > 78 || @.position.lat < -85)]").values("name")
        )
    say("nearest to the poles: " + "; ".join(names))
    with timed():
        zones = set(airports.search("$[?(@.country == 'BR')].timezone"))
    say(f"Brazil has airports in {len(zones)} time zones")
    first = airports.find(city="Reykjavik").first()
    say(f"airports.find(city='Reykjavik').first()  ->  {first and first.name}")

    step("Changes: all or nothing")
    airports.update("KJFK", name="Idlewild")
    say(f"after update():   {airports['KJFK'].name}")
    try:
        with stor.transaction():
            del airports["KJFK"]
            stor["greeting"] = "gone?"
            airports.add(airports["EGLL"])  # there already
    except DuplicateKeyError as error:
        say(f"rolled back by:   {error}")
    say(f"'KJFK' is there:  {'KJFK' in airports}, the greeting too: {stor['greeting'][0]!r}")

    step("The records are plain dicts for whoever reads the store without the class")
    say(f"stor['Airport/BIRK']  ->  {stor['Airport/BIRK']}")
    say(f"keys that begin with 'Airport/BI': {len(stor.range(prefix='Airport/BI'))}")

    step("From pickle to msgpack, while others could go on reading and writing")
    before, size = airports["BIRK"], inspect(path).size
    with progress_bar("re-encoding", 2 * len(stor)) as show, timed():
        migrate(stor, to="msgpack", progress=show)
    say(f"values: {size / 1e6:.1f} MB pickled, {inspect(path).size / 1e6:.1f} MB as msgpack")
    say(f"equal before and after: {airports['BIRK'] == before}")
    stor.close()

    step("And it is all there the next time")
    with stone(path, LmdbStore) as stor:
        say(repr(stor))
        say(repr(Collection(stor, Airport)))


def step(title: str) -> None:
    print(f"\n{title}\n{'-' * len(title)}")


def say(text: str) -> None:
    print(f"  {text}")


@contextmanager
def timed(what: str = "") -> Iterator[None]:
    start = time.perf_counter()
    yield
    print(f"  [{(time.perf_counter() - start) * 1000:,.0f} ms{' for ' + what if what else ''}]")


@contextmanager
def progress_bar(label: str, length: int) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, one line elsewhere; gives a function to call with (done, of all)."""
    with click.progressbar(length=length, label=f"  {label}", update_min_steps=500) as bar:

        def show(done: int, _total: int = length) -> None:
            bar.update(done - bar.pos)

        yield show


if __name__ == "__main__":
    if len(sys.argv) > 1:
        tour(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as directory:
            tour(Path(directory) / "airports")
