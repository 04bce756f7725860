"""The statements that make the changes of a transaction, and that check what it expects."""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence

from stones.engine import Space
from stones.engines.buffered.backing import Changes

from .parameters import bigint, bigint_array, bytes_array, uuid_array
from .statements import Statements
from .wire import Message, Statement

MESSAGE_BYTES = 4 << 20
"""The most bytes of several values in one statement. Other servers than PostgreSQL want few."""

Expected = Mapping[tuple[Space, bytes], bytes | None]


def checks(statements: Statements, expected: Expected) -> Iterator[Message]:
    """The statements that fail unless each key has the value that is expected."""
    spaces: dict[Space, list[tuple[bytes, bytes | None]]] = {}
    for (space, key), value in expected.items():
        spaces.setdefault(space, []).append((key, value))
    for space, entries in spaces.items():
        if len(entries) == 1:  # as with a put, and two are as with a new record
            yield statements.check_one[space], entries[0]
        elif len(entries) == 2:
            yield statements.check_two[space], (*entries[0], *entries[1])
        else:
            keys, values = zip(*entries, strict=True)
            yield statements.check[space], (bytes_array(keys), bytes_array(values))


def writes(
    statements: Statements, changes: Changes, new: Collection[tuple[Space, bytes]] = ()
) -> Iterator[Message]:
    """The statements that make the changes.

    Those of `new` fail if the key is there. Keys go in their order, so two writers seldom wait for
    each other, and the server meets neighbours together.
    """
    for space, changed in enumerate(changes.writes):
        if not changed:
            continue
        gone: list[bytes] = []
        put: list[tuple[bytes, bytes]] = []
        fresh: list[tuple[bytes, bytes]] = []
        for key, value in changed:
            if value is None:
                gone.append(key)
            elif new and (space, key) in new:  # a Space is a number
                fresh.append((key, value))
            else:
                put.append((key, value))
        if gone:
            yield statements.delete[space], (bytes_array(gone),)
        yield from _puts(statements.put[space], statements.put_many[space], put)
        yield from _puts(statements.put_new[space], statements.put_many_new[space], fresh)
    if changes.dropped:
        yield statements.drop_sums, (bytes_array(sorted(changes.dropped)),)
    added = {key: number for key, number in changes.added.items() if number}
    if added:
        yield adds(statements, added)


def adds(statements: Statements, added: Mapping[bytes, int]) -> Message:
    """The statement that adds to sums, by a row for each. So nobody waits for a row."""
    ids = os.urandom(16 * len(added))
    if len(added) == 1:  # which is usual, and fastest so
        [(key, number)] = added.items()
        return statements.add, (key, ids, bigint(number))
    return statements.add_many, (
        bytes_array(list(added)),
        uuid_array([ids[at : at + 16] for at in range(0, len(ids), 16)]),
        bigint_array(added.values()),
    )


def _puts(
    one: Statement, many: Statement, entries: Sequence[tuple[bytes, bytes]]
) -> Iterator[Message]:
    if len(entries) == 1:
        yield one, entries[0]
        return
    keys: list[bytes] = []
    values: list[bytes] = []
    size = 0
    for key, value in entries:
        if len(value) > MESSAGE_BYTES:
            yield one, (key, value)
            continue
        size += len(key) + len(value)
        if size > MESSAGE_BYTES:
            yield many, (bytes_array(keys), bytes_array(values))
            keys, values, size = [], [], len(key) + len(value)
        keys.append(key)
        values.append(value)
    if keys:
        yield many, (bytes_array(keys), bytes_array(values))
