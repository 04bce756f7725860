"""What peers are asked, and how long it takes each: for the table and for the growth."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from random import Random

from attrs import frozen
from measuring import count, seconds
from peers.peer import Peer
from users import CITIES

PEERS = [
    "stones_collection",
    "lmdb_by_hand",
    "sqlite_json",
    "peewee_model",
    "sqlalchemy_orm",
    "objectbox_box",
    "zodb_objects",
    "tinydb_table",
    "diskcache_index",
    "sqlitedict_table",
    "shelve_file",
]
OLDEST = 95
"""Four of a hundred are older."""


def installed_peers() -> list[type[Peer]]:
    """The peers whose packages are installed. Prints which are left out."""
    peers = []
    for name in PEERS:
        try:
            peers.append(import_module(f"peers.{name}").Peer)
        except ModuleNotFoundError as error:
            print(f"left out: {name}, because {error.name} is not installed")
    return peers


@contextmanager
def opened(peer: type[Peer]) -> Iterator[Peer]:
    """A peer with a file of its own, which is deleted at the end."""
    with tempfile.TemporaryDirectory(dir=".") as path:
        made = peer(Path(path))
        try:
            yield made
        finally:
            made.close()


@frozen
class Verb:
    """A read. `run` does it a number of times, and returns how many records it got."""

    name: str
    run: Callable[[Peer, int, Random], int]
    calls: int
    uses_index: bool = True

    def microseconds(self, peer: Peer, size: int, seed: int) -> float:
        """Processor time of one call. Who has to loop over all records is called only once."""
        calls = self.calls if peer.has_indexes or not self.uses_index else 1

        def run() -> object:
            random = Random(seed)  # the same questions for all
            return [self.run(peer, size, random) for _ in range(calls)]

        return seconds(run, time.process_time) / calls * 1e6


def get(peer: Peer, size: int, random: Random) -> int:
    peer.get(f"c{random.randrange(size):07}")
    return 1


def in_city(peer: Peer, size: int, random: Random, cities: int = CITIES) -> int:
    return count(peer.in_city(f"City {random.randrange(cities)}"))


def in_small_city(peer: Peer, size: int, random: Random) -> int:
    """Of ten inhabitants, however many cities that takes."""
    return in_city(peer, size, random, cities=size // 10)


def first_page(peer: Peer, size: int, random: Random) -> int:
    return count(peer.lowest_scores(10))


def older_than(peer: Peer, size: int, random: Random) -> int:
    return count(peer.older_than(OLDEST))


GET = Verb("get", get, 1000, uses_index=False)
EQUALITY = Verb("indexed equality", in_city, 5)
SMALL_EQUALITY = Verb("indexed equality", in_small_city, 100)
PAGE = Verb("ordered page", first_page, 20)
FILTER = Verb("unindexed filter", older_than, 1)
