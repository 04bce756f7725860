"""The pages of `stones serve` at a million records, beside the library call that a page makes.

The time is that of the clock, from the request to the end of the answer, over a connection that
stays open. The library call is made in this process, on the same store.
"""

import http.client
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cached_property, partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from measuring import RECORDS, ROUNDS, Benchmark, seconds
from users import INDEXES, User, users

from stones import Collection, LmdbStore, stone

COUNT = 10 * RECORDS
"""A million, unless RECORDS says otherwise."""
GOAL = 50
"""Milliseconds: a page that takes less seems to be there at once."""
FILTER = '@.address.city == "City 7" && @.score > 5000'


FILTER = '@.address.city == "City 7" && @.score > 5000'
MIDDLE = f"c{COUNT // 2:07}"
SHOWN = 51
"""A page has 50 records, and looks whether there are more."""


def first_page(users: "Users") -> int:
    return len([*users.find().limit(SHOWN).items()])


def sorted_page(users: "Users") -> int:
    return len([*users.find().order_by("-score").limit(SHOWN).items()])


def filtered_page(users: "Users") -> int:
    return len([*users.find(FILTER).limit(SHOWN).items()])


def one_record(users: "Users") -> User:
    return users[MIDDLE]


Users = Collection[str, User]
Call = Callable[[Users], Any]
PAGES: list[tuple[str, str, Call]] = [
    ("50 records", "/collections/User", first_page),
    ("50 records by an index", "/collections/User?sort=-score", sorted_page),
    ("50 records of a filter", f"/collections/User?filter={quote(FILTER)}", filtered_page),
    ("50 records as JSON", "/api/collections/User?limit=50", first_page),
    ("a record", f"/collections/User/record?key={MIDDLE}", one_record),
    ("the collections", "/", len),
    ("the keys", "/keys", first_page),
]
"""Each with its URL, and the call of the library that gives what it shows."""


def browser_pages(path: Path) -> Iterator[Benchmark]:
    served = Served(path)
    try:
        for name, url, call in PAGES:
            yield Benchmark(f"page: {name}", partial(page_time, served, url), GOAL, "ms")
            yield Benchmark(f"page: {name}, the call", partial(call_time, served, call), 0, "ms")
    finally:
        served.end()


def page_time(served: "Served", url: str) -> float:
    return median(lambda: served.get(url))


def call_time(served: "Served", call: Call) -> float:
    return median(lambda: call(served.collection))


def median(run: Callable[[], Any]) -> float:
    """The median of a run in milliseconds, once the first run has filled all caches."""
    run()
    return 1000 * statistics.median(seconds(run) for _ in range(max(3, 3 * ROUNDS)))


class Served:
    """A store with many records, and `stones serve` on it. Made when it is first needed."""

    def __init__(self, path: Path) -> None:
        self._path = path / "served"
        self._stack = ExitStack()

    @cached_property
    def collection(self) -> "Collection[str, User]":
        store = stone(self._path, LmdbStore, serialize="msgpack", durability="none")
        self._stack.enter_context(store)
        collection: Collection[str, User] = Collection(store, User, indexes=INDEXES)
        collection.add_many(users(COUNT))
        collection.build_indexes()
        return collection

    @cached_property
    def _connection(self) -> http.client.HTTPConnection:
        assert self.collection is not None  # the store is there
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        command = [sys.executable, "-m", "stones", "serve", str(self._path), "--port", str(port)]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        self._stack.callback(server.wait)
        self._stack.callback(server.terminate)
        connection = http.client.HTTPConnection("127.0.0.1", port)
        self._stack.callback(connection.close)
        while True:
            try:
                connection.connect()
            except ConnectionRefusedError:
                if server.poll() is not None:
                    raise RuntimeError("stones serve has ended: run it by hand") from None
                time.sleep(0.05)
            else:
                return connection

    def get(self, url: str) -> int:
        """Ask for a page. How many bytes it has."""
        self._connection.request("GET", url)
        answer = self._connection.getresponse()
        text = answer.read()
        assert answer.status == 200, text.decode()
        return len(text)

    def end(self) -> None:
        """Stop the server and close the store."""
        self._stack.close()
