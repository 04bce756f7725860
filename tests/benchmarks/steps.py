"""The steps of a collection against a bare loop in one transaction: scan, decode, change, put.

`python tests/benchmarks/steps.py [RECORDS]` prints the seconds of both, and their ratio.
"""

import shutil
import sys
import tempfile
import time
from pathlib import Path

from attrs import define

from stones import Collection, LmdbStore, Migration, key
from stones.engine import Space


@define
class Old:
    name: str = key()
    mail: str
    age: int
    score: float
    tags: list[str]
    text: str


@define
class New:
    name: str = key()
    email: str
    age: int
    score: float
    tags: list[str]
    text: str


def fill(path, records):
    with LmdbStore(path, serialize="msgpack", durability="none") as store:
        Collection(store, Old, "User").add_many(
            Old(f"user{n:08}", f"user{n}@example.org", n % 90, n / 2, ["a", "bcd"], "x" * 200)
            for n in range(records)
        )


def bare_loop(path):
    with LmdbStore(path) as store, store.database.writing() as txn:
        codec, reading = store.database.codec, store.database.engine.begin()

        def changed():
            for stored, raw in reading.scan(Space.DATA, b"User/", b"User0"):
                record = codec.loads(raw[1:])
                record["email"] = record.pop("mail")
                yield stored, codec.encode(stored, record)

        txn.put_many(Space.DATA, changed())
        reading.abort()


def steps(path):
    with LmdbStore(path) as store:
        migrations = [Migration(1, rename={"mail": "email"})]
        Collection(store, New, "User", migrations=migrations).migrate()


def measured(function, path):
    """The seconds and the seconds of the processor that a function takes."""
    wall, processor = time.perf_counter(), time.process_time()
    function(path)
    return time.perf_counter() - wall, time.process_time() - processor


def main(records):
    with tempfile.TemporaryDirectory(prefix="stones-steps-") as folder:
        path, other = Path(folder, "one"), Path(folder, "other")
        fill(path, records)
        shutil.copytree(path, other)
        bare, ours = measured(bare_loop, path), measured(steps, other)
    print(f"{records:,} records: bare loop {bare[0]:.2f} s, steps {ours[0]:.2f} s")
    print(f"{ours[1] / bare[1]:.2f} of the processor time, {ours[0] / bare[0]:.2f} of the time")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
