"""How long short commands take, as whole processes, against `import stones`."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from time import perf_counter

import attrs
from measuring import Benchmark, ratio

from stones import Collection, LmdbStore, key

UNIT = "import stones (whole processes)"


@attrs.define
class User:
    id: int = key()
    name: str


def start_up(path: Path) -> Iterator[Benchmark]:
    place = str(path / "start-up")
    with LmdbStore(place, serialize="msgpack") as store:
        Collection(store, User).add_many(User(number, "x") for number in range(1000))
        store["key"] = 1
    for name, *arguments in (
        ("stones get, a value", "get", place, "key"),
        ("stones get, a record", "get", place, "User", "1"),
        ("stones find --limit 5", "find", place, "User", "--limit", "5"),
    ):
        yield Benchmark(name, partial(against_import, *arguments), 1.5, UNIT)


def against_import(*arguments: str) -> float:
    ours, floor = process("-m", "stones", *arguments), process("-c", "import stones")
    return ratio(ours, floor, rounds=15, clock=perf_counter)


def process(*arguments: str) -> Callable[[], object]:
    """A process of Python that runs to its end."""
    # With its bytecode kept, as it is wherever a package is installed.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    command = [sys.executable, *arguments]
    return partial(subprocess.check_call, command, env=environment, stdout=subprocess.DEVNULL)
