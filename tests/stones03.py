"""The real stones 0.3.0, to compare ours with: fetched from PyPI and run in a process of its own.

A test module that imports `provide_stones03` has the fixture `stones03`, which is a `Stones03`.
"""

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

# What 0.3.0 was made for. It needs a cbor2 before 6, which calls its hook in another way, and
# without ujson its json can hold neither bytes nor tuples.
COMPANIONS = ["ujson~=5.8", "cbor2~=5.4", "msgpack~=1.0"]

SERVER = """
import pickle, sys
from stones import LmdbStore
from stones.__version__ import __version__
from stones.serialize import serializers

assert __version__ == "0.3.0"

def attempt(function, argument):
    try:
        return True, function(argument)
    except Exception as error:
        return False, repr(error)

def encode(name, values):
    return [attempt(serializers[name]["encode"], value) for value in values]

def decode(name, raws):
    return [attempt(serializers[name]["decode"], raw) for raw in raws]

def make_database(path, name, entries):
    store = LmdbStore(path, serialize=name)
    store.update(entries)
    store.close()

def read_database(path, name):
    store = LmdbStore(path, serialize=name)
    entries = dict(store.items())
    store.close()
    return entries

while True:
    try:
        task, arguments = pickle.load(sys.stdin.buffer)
    except EOFError:
        break
    ok, result = attempt(lambda arguments: globals()[task](*arguments), arguments)
    sys.stdout.buffer.write(pickle.dumps((ok, result)))
    sys.stdout.buffer.flush()
"""


class Stones03:
    """A process in which `import stones` is 0.3.0. What goes in and out is pickled."""

    def __init__(self, folder: Path) -> None:
        fetch(folder)
        # PYTHONPATH comes before site-packages, where our own stones may be installed.
        paths = os.pathsep.join(map(str, [folder / "stones-0.3.0", folder / "companions"]))
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", SERVER],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": paths},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def encode(self, name: str, values: list[Any]) -> list[tuple[bool, Any]]:
        """(True, bytes) for each value, or (False, the error)."""
        return self._ask("encode", name, values)

    def decode(self, name: str, raws: list[bytes]) -> list[tuple[bool, Any]]:
        """(True, value) for each of the bytes, or (False, the error)."""
        return self._ask("decode", name, raws)

    def make_database(self, path: Path, name: str, entries: Mapping[bytes, Any]) -> None:
        """Write a database with `LmdbStore.update`."""
        self._ask("make_database", str(path), name, dict(entries))

    def read_database(self, path: Path, name: str) -> dict[bytes, Any]:
        """All entries of a database, as 0.3.0 reads them."""
        return self._ask("read_database", str(path), name)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _ask(self, task: str, *arguments: Any) -> Any:
        stdin, stdout = self._process.stdin, self._process.stdout
        stdin.write(pickle.dumps((task, arguments)))
        stdin.flush()
        ok, result = pickle.load(stdout)
        assert ok, result
        return result


def fetch(folder: Path) -> None:
    """Put stones 0.3.0 into `folder`/stones-0.3.0, and what it needs into `folder`/companions."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    source = ["download", "--no-deps", "--no-binary", ":all:", "stones==0.3.0", "-d", folder]
    companions = ["install", "--no-deps", "--prefer-binary", "--target", folder / "companions"]
    for arguments in (source, [*companions, *COMPANIONS]):
        done = subprocess.run([*pip, *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    # Not tarfile: Python 3.11.2 lacks its filter=, and later ones warn where it is left out.
    subprocess.run(["tar", "-xzf", "stones-0.3.0.tar.gz"], cwd=folder, check=True)


@pytest.fixture(scope="session", name="stones03")
def provide_stones03(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stones03]:
    """The real stones 0.3.0."""
    real = Stones03(tmp_path_factory.mktemp("stones03"))
    yield real
    real.close()
