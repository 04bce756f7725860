"""How reads grow from 10 thousand to 3 million records, of collections and their peers.

At each size, all peers get the same records and answer the same questions in turns. The medians go
to `docs/explanation/peers.csv`, in microseconds of processor time a question. From these, `plot.py`
draws the picture beside it. A peer that would take too long is left out from some size on. Takes
half an hour, and 10 GB of disk in the directory where it runs: `make bench-growth`.

    python tests/benchmarks/peer_growth.py [RECORDS]     up to fewer records, which are only printed
"""

import csv
import statistics
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import islice

from compare_peers import check_answers
from measuring import ROUNDS
from peers.peer import Peer
from plot import PEER_FIGURES, draw
from users import users
from verbs import FILTER, GET, PAGE, SMALL_EQUALITY, installed_peers, opened

SIZES = [10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000]
CHUNK = 100_000
"""Records that are added in one transaction."""
VERBS = [GET, SMALL_EQUALITY, PAGE, FILTER]

Row = dict[str, str | float]


def rows(peers: Sequence[type[Peer]], size: int) -> Iterator[Row]:
    """The figures of one size."""
    with ExitStack() as stack:
        opened_peers = [stack.enter_context(opened(peer)) for peer in peers if peer.largest >= size]
        # Ten records in a city, at any size: what an index gives stays as much.
        added = users(size, size // 10)
        while chunk := list(islice(added, CHUNK)):
            for peer in opened_peers:
                peer.add_many(chunk)
        for verb in VERBS:
            check_answers(verb, opened_peers, size)
        times: dict[str, list[list[float]]] = {}
        for seed in range(ROUNDS):
            for peer in opened_peers:
                row = [verb.microseconds(peer, size, seed) for verb in VERBS]
                times.setdefault(peer.name, []).append(row)
    for name, rounds in times.items():
        medians = [round(statistics.median(column), 2) for column in zip(*rounds, strict=True)]
        measured = zip((verb.name for verb in VERBS), medians, strict=True)
        yield {"peer": name, "records": size, **dict(measured)}


def main(largest: int = SIZES[-1]) -> None:
    peers, table = installed_peers(), []
    for size in SIZES:
        if size > largest:
            return
        for row in rows(peers, size):
            print("  ".join(f"{name} {value}" for name, value in row.items()), flush=True)
            table.append(row)
    with PEER_FIGURES.open("w", newline="") as file:
        writer = csv.DictWriter(file, table[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
    draw()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
