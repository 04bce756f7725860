"""How collections compare with other ways to keep records in a file: `make bench-peers`.

Prints a table in Markdown. The row of stones has microseconds of processor time. The rows of the
others have how many times that they take. All answer the same questions in turns. The figures are
medians.

    python tests/benchmarks/compare_peers.py [NAME ...]       stones and the peers with such a name
"""

import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from random import Random

from measuring import RECORDS, ROUNDS, check_same, seconds
from peers.peer import Peer
from users import User, users
from verbs import EQUALITY, FILTER, GET, PAGE, Verb, installed_peers, opened

VERBS = [GET, EQUALITY, PAGE, FILTER]
COLUMNS = [
    "get",
    f"indexed equality, {RECORDS // 100:,} records",
    "first 10 in order of an index",
    "unindexed filter, 4 %",
    "add_many, a record",
]

Row = list[float]


def main(wanted: Sequence[str]) -> None:
    peers = [
        peer
        for number, peer in enumerate(installed_peers())
        if not wanted or number == 0 or any(part in peer.__module__ for part in wanted)
    ]
    listed = list(users())
    rows = measured(peers, listed)
    print(table(rows))


def measured(peers: Sequence[type[Peer]], listed: Sequence[User]) -> dict[str, Row]:
    """The microseconds of each peer, by its name."""
    with ExitStack() as stack:
        times: dict[str, list[Row]] = {}
        adding = [adding_times(peer, listed) for peer in peers]
        opened_peers = [stack.enter_context(opened(peer)) for peer in peers]
        for peer in opened_peers:
            peer.add_many(listed)
        for verb in VERBS:
            check_answers(verb, opened_peers, len(listed))
        for seed in range(ROUNDS):
            for peer in opened_peers:
                row = [verb.microseconds(peer, len(listed), seed) for verb in VERBS]
                times.setdefault(peer.name, []).append(row)
                print(peer.name, *map(round, row), file=sys.stderr)
    columns = {name: zip(*rounds, strict=True) for name, rounds in times.items()}
    return {
        name: [*map(statistics.median, column), added]
        for (name, column), added in zip(columns.items(), adding, strict=True)
    }


def check_answers(verb: Verb, peers: Sequence[Peer], size: int) -> None:
    check_same(*(partial(verb.run, peer, size, Random(1)) for peer in peers))


def adding_times(peer: type[Peer], listed: Sequence[User]) -> float:
    """Microseconds a record, each time into a new file."""
    times = []
    for _ in range(min(ROUNDS, 3)):
        with opened(peer) as made:
            times.append(seconds(partial(made.add_many, listed), time.process_time))
    return statistics.median(times) / len(listed) * 1e6


def table(rows: dict[str, Row]) -> str:
    ours, *_ = rows.values()
    lines = [["", *COLUMNS], ["---"] * (len(COLUMNS) + 1)]
    for name, row in rows.items():
        if row is ours:
            lines.append([name, *(f"{figure(time)} µs" for time in row)])
        else:
            relative = [time / base for time, base in zip(row, ours, strict=True)]
            lines.append([name, *(f"{figure(value)} x" for value in relative)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def figure(value: float) -> str:
    """With two digits that count."""
    return f"{value:.2g}" if value < 10 else f"{float(f'{value:.2g}'):,.0f}"


if __name__ == "__main__":
    main(sys.argv[1:])
