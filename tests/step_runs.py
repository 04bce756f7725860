"""Runs of steps that are killed, in the tests and in the torture: one for each kind of step."""

import json
from decimal import Decimal

from attrs import define

from stones import Collection, LmdbStore, Migration, key
from stones.engine import Space

RECORDS = 2000


@define
class Old:
    name: str = key()
    label: str
    count: int = 0


def renamed():
    @define
    class Row:
        name: str = key()
        title: str
        count: int = 0

    return Row, [Migration(1, rename={"label": "title"})]


def doubled():
    return Old, [Migration(1, convert={"count": lambda count: 2 * count + 1})]


def removed():
    return Old, [Migration(1, change=lambda row: row if int(row["name"]) % 3 else None)]


def grown():
    @define
    class Row:
        name: str = key()
        label: str
        count: int
        text: str

    return Row, [Migration(1, add={"text": "x" * 400})]


def several():
    @define
    class Row:
        name: str = key()
        title: str
        count: Decimal

    def split(row):
        return row | {"title": row["title"].title()}

    steps = [
        Migration(1, rename={"label": "title"}),
        Migration(2, convert={"count": Decimal}),
        Migration(3, change=split),
    ]
    return Row, steps


KINDS = {
    "rename": renamed,
    "double": doubled,
    "remove": removed,
    "grow": grown,
    "several": several,
}
"""By the kind of step: the function that gives the new class, and the steps to it."""

PROGRAM = """
import sys
from tests.step_runs import migrated
print('begin', flush=True)
migrated(sys.argv[1], sys.argv[2])
"""


def fill(path, count=RECORDS):
    """Make a store with records of the old class, and two indexes."""
    with LmdbStore(path, serialize="msgpack", durability="none") as store:
        rows = Collection(store, Old, "Row", indexes=["label", "count"])
        rows.add_many(Old(f"{number:05}", f"title {number}") for number in range(count))


def opened(store, kind):
    """The collection of the new class."""
    cls, steps = KINDS[kind]()
    return Collection(store, cls, "Row", migrations=steps)


def migrated(path, kind):
    """Run the steps."""
    with LmdbStore(path) as store:
        return opened(store, kind).migrate()


def everything(path):
    """All that a store holds, without the times in the ledger and the random part of a number."""
    with LmdbStore(path) as store, store.database.reading() as txn:
        spaces = {space.name: dict(txn.scan(space)) for space in Space}
    meta = spaces["META"]
    meta.pop(b"generation")
    for stored in [each for each in meta if each.startswith(b"ledger/")]:
        entry = json.loads(meta[stored])
        meta[stored] = {part: entry[part] for part in entry if part not in ("at", "seconds")}
    return spaces
