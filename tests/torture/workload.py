"""What the writers write, and what must be in the store after one of them was torn away.

The keys are divided into lanes, one a thread. In a lane one operation follows the other, and each
is drawn from a seed and from what the lane holds; so whoever knows the seed and how many operations
were acknowledged knows what the lane must hold: the state after those, or after one more, which was
under way. Nothing else: half an operation is in neither of the two.
"""

import os
import shutil
import signal
import traceback
from collections.abc import Iterator, Sequence
from copy import copy
from random import Random
from typing import Any

from attrs import define, evolve, field, frozen

from stones import Collection, Index, LmdbStore, index, key, stone
from stones.collections.stored_indexes import StoredIndexes

TOTAL = b"total"
"""Counts the counted transactions of all lanes; each lane keeps its own count too."""


class Violation(Exception):  # noqa: N818  # an error of the store, none of ours
    """The store does not hold what it must."""


class Undo(Exception):  # noqa: N818  # not an error either
    """Ends a transaction that is to be rolled back."""


@frozen
class Item:
    name: str = key()
    number: int = index()
    text: str = index(unique=True)
    tags: tuple[str, ...] = index(each=True, default=())


INDEXES = [("number", "name"), Index("number", where="@.number > 500")]
REBUILT = "name"
"""The index that is dropped and built again while others write."""


def items_in(store: LmdbStore[bytes, Any]) -> Collection[str, Item]:
    """The collection, with its indexes."""
    return Collection(store, Item, indexes=INDEXES)


@define
class State:
    """What a lane holds: entries of the store, and records of the collection."""

    entries: dict[bytes, Any] = field(factory=dict)
    items: dict[str, Item] = field(factory=dict)

    def __copy__(self) -> "State":
        return State(dict(self.entries), dict(self.items))


# -- operations --------------------------------------------------------------------------------


@frozen
class Put:
    key: bytes
    value: Any


@frozen
class Update:
    entries: dict[bytes, Any]


@frozen
class Delete:
    key: bytes


@frozen
class Add:
    item: Item


@frozen
class AddMany:
    items: list[Item]


@frozen
class Change:
    name: str
    number: int
    text: str


@frozen
class Remove:
    name: str


@frozen
class Count:
    """One more in the total and in the lane's own count: a read and a write of both."""

    lane: int


@frozen
class Block:
    """Operations in a transaction, or in a savepoint where it is inside of another block."""

    steps: "list[Operation]"
    kept: bool


Operation = Put | Update | Delete | Add | AddMany | Change | Remove | Count | Block


def prefix(lane: int) -> bytes:
    return b"lane%d/" % lane


def own_count(lane: int) -> bytes:
    return prefix(lane) + b"count"


def pair(lane: int) -> tuple[bytes, bytes]:
    """Two keys that are always equal."""
    return prefix(lane) + b"left", prefix(lane) + b"right"


def operations(seed: str, lane: int, state: State) -> Iterator[Operation]:
    """Operations without end; `state` becomes what is expected once the next one is asked for."""
    rng = Random(f"{seed}/{lane}")
    while True:
        operation = _operation(rng, lane, state)
        yield operation
        expect(operation, state)


def states(seed: str, lane: int, start: State, count: int) -> list[State]:
    """What the lane holds after 0, 1, ... `count` operations."""
    state = copy(start)
    following = operations(seed, lane, state)
    found = []
    for _ in range(count + 1):
        next(following)
        found.append(copy(state))
    return found


def _operation(rng: Random, lane: int, state: State) -> Operation:
    return _block(rng, lane, copy(state)) if rng.random() < 0.3 else _single(rng, lane, state)


def _block(rng: Random, lane: int, state: State, depth: int = 0) -> Block:
    both = _value(rng)
    steps: list[Operation] = [Put(each, both) for each in pair(lane)]
    if depth == 0:
        steps.insert(rng.randrange(3), Count(lane))
    for step in steps:
        expect(step, state)
    for _ in range(rng.randrange(1, 5)):
        if depth < 2 and rng.random() < 0.25:
            step = _block(rng, lane, copy(state), depth + 1)
        else:
            step = _single(rng, lane, state)
        steps.append(step)
        expect(step, state)
    return Block(steps, kept=rng.random() < 0.75)


def _single(rng: Random, lane: int, state: State) -> Operation:
    entry = prefix(lane) + b"%02d" % rng.randrange(30)
    name = f"{lane}-{rng.randrange(30):02}"
    kind = rng.random()
    if kind < 0.4:
        return Put(entry, _value(rng))
    if kind < 0.5:
        return Update({entry: _value(rng), entry + b"+": _value(rng)})
    if kind < 0.6:
        return Delete(entry)
    if kind < 0.7 and name in state.items:
        return Remove(name)
    if name in state.items:
        return Change(name, rng.randrange(1000), _text(rng))
    if kind < 0.9:
        return Add(_item(rng, name))
    names = sorted({f"{lane}-{rng.randrange(30):02}" for _ in range(5)} - state.items.keys())
    return AddMany([_item(rng, name) for name in names])


def _item(rng: Random, name: str) -> Item:
    return Item(name, rng.randrange(1000), _text(rng), ("a", "b")[: rng.randrange(3)])


def _value(rng: Random) -> Any:
    return rng.choice([rng.randrange(1 << 40), _text(rng), (_text(rng), None, {"n": 1.5})])


def _text(rng: Random) -> str:
    # Up to what fills several pages of its own.
    size = rng.choice([1, 1, 1, 8, 8, 8, 8, 60, 60, 400, 1200])
    return f"{rng.getrandbits(32):08x}" * size


def expect(operation: Operation, state: State) -> None:
    """Do to a lane's state what `perform` does to the store."""
    match operation:
        case Put(entry, value):
            state.entries[entry] = value
        case Update(entries):
            state.entries.update(entries)
        case Delete(entry):
            state.entries.pop(entry, None)
        case Add(item):
            state.items[item.name] = item
        case AddMany(items):
            state.items.update({item.name: item for item in items})
        case Change(name, number, text):
            state.items[name] = evolve(state.items[name], number=number, text=text)
        case Remove(name):
            del state.items[name]
        case Count(lane):
            state.entries[own_count(lane)] = state.entries.get(own_count(lane), 0) + 1
        case Block(steps, kept):
            for step in steps if kept else ():
                expect(step, state)


def perform(
    operation: Operation, store: LmdbStore[bytes, Any], items: Collection[str, Item]
) -> None:
    match operation:
        case Put(entry, value):
            store[entry] = value
        case Update(entries):
            store.update(entries)
        case Delete(entry):
            store.delete(entry)
        case Add(item):
            items.add(item)
        case AddMany(many):
            items.add_many(many)
        case Change(name, number, text):
            items.update(name, number=number, text=text)
        case Remove(name):
            del items[name]
        case Count(lane):
            for entry in (TOTAL, own_count(lane)):
                store[entry] = store.get(entry, 0) + 1
        case Block(steps, kept):
            try:
                with store.transaction():
                    for step in steps:
                        perform(step, store, items)
                    if not kept:
                        raise Undo
            except Undo:
                pass


# -- checks ------------------------------------------------------------------------------------


def read(store: LmdbStore[bytes, Any], items: Collection[str, Item], lane: int) -> State:
    """What a lane holds."""
    return State(
        dict(store.range(prefix=prefix(lane)).items()),
        dict(items.range(prefix=f"{lane}-").items()),
    )


def check(path: str, lanes: Sequence[Sequence[State]]) -> list[int]:
    """Open the store and compare all of it: in which of its possible states each lane is.

    Raises Violation where it is in none. Where a lane is in several equal ones, it is the last.
    """
    with stone(path, LmdbStore) as store:
        items = items_in(store)
        found = [read(store, items, lane) for lane in range(len(lanes))]
        _same("len(items)", len(items), len(list(items.values())))
        _same("len(store)", len(store), len(dict(store.items())))
        counts = sum(state.entries.get(own_count(lane), 0) for lane, state in enumerate(found))
        _same("the total of all lanes", store.get(TOTAL, 0), counts)
        of_lanes = sum(len(state.entries) + len(state.items) for state in found)
        _same("len(store), by lanes", len(store) - (TOTAL in store), of_lanes)
        for lane, state in enumerate(found):
            left, right = (state.entries.get(each) for each in pair(lane))
            _same(f"the pair of lane {lane}", left, right)
        _check_indexes(store, items)
        chosen = [_which(lane, found[lane], lanes[lane]) for lane in range(len(lanes))]
        # It can be written to, and a copy, for which LMDB walks through all pages, be made.
        store["probe"] = "x" * 5000
        del store["probe"]
        shutil.rmtree(path + ".copy", ignore_errors=True)
        store.backup(path + ".copy")
    with stone(path + ".copy", LmdbStore, options={"readonly": True}) as twin:
        _same("len(copy)", len(twin), of_lanes + (TOTAL in twin))
    shutil.rmtree(path + ".copy")
    return chosen


def check_apart(path: str, lanes: Sequence[Sequence[State]]) -> list[int]:
    """`check` in a process of its own, which may crash: that is a Violation too."""
    receiving, sending = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            report = " ".join(map(str, check(path, lanes)))
        except BaseException:  # noqa: BLE001  # whatever it is, the parent tells of it
            report = "!" + traceback.format_exc()
        os.write(sending, report.encode()[-60_000:])
        os._exit(0)
    os.close(sending)
    with open(receiving, encoding="utf-8", errors="replace") as pipe:
        report = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        raise Violation(f"the check died of {signal.Signals(os.WTERMSIG(status)).name}")
    if status or report.startswith("!"):
        raise Violation(report[1:])
    return [int(each) for each in report.split()]


def _check_indexes(store: LmdbStore[bytes, Any], items: Collection[str, Item]) -> None:
    """Compare every entry of an index with every record."""
    with store.database.reading() as txn:
        for problem in StoredIndexes(store.database, items.name).problems(txn):
            raise Violation(f"an index differs from the records: {problem}")
    for found in items.indexes:
        if found.state == "failed":
            raise Violation(f"the index {found.name!r} has failed: {found.problem}")


def _same(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise Violation(f"{what}: {found!r:.80} where {expected!r:.80} was expected")


def _which(lane: int, found: State, possible: Sequence[State]) -> int:
    for number, state in reversed(list(enumerate(possible))):
        if found == state:
            return number
    expected = possible[-1]
    differing = [
        f"{name!r}: {mine.get(name)!r:.60}, expected {theirs.get(name)!r:.60}"
        for mine, theirs in ((found.entries, expected.entries), (found.items, expected.items))
        for name in sorted({*mine, *theirs})
        if mine.get(name) != theirs.get(name)
    ]
    raise Violation(
        f"lane {lane} is in none of {len(possible)} possible states, differs from the last in\n  "
        + "\n  ".join(differing[:8])
    )
