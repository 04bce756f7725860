"""How fast stones is, as ratios measured in one run: `make bench`.

The floor is the least that any program could do: raw py-lmdb (`begin()`, plain bytes) and the same
serializer, in a bare loop. Collections are compared with SQLite too. The sides take turns, and the
median of the ratios is printed, so that a machine that is noisy or slow does not matter. Both sides
have to give the same answer. Nothing else is asserted: a goal that is missed is marked.

    python tests/benchmarks/run.py [--markdown] [NAME ...]

Runs only the benchmarks whose name has a NAME in it, if there is one. `--markdown` prints a table.
ROUNDS and RECORDS of the environment change how often each is measured, and how many records there
are. A run of all benchmarks, with all records, draws the pictures of the documentation.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from browser_pages import browser_pages
from collection_ground import CollectionGround
from exports import exports
from ground import Ground
from imports import imports
from indexed_reads import indexed_reads
from indexed_writes import indexed_writes
from measuring import RECORDS, Benchmark, ratio
from packed_values import packed_values
from plain_values import plain_values
from plot import draw
from ratio_plot import write_ratios
from scans import against_jsonpath_ng, scans
from sqlite import missing_packages
from start_up import process, start_up
from stores import reads, writes

from migrations import migrations

IMPORTS = "import lmdb, attrs (whole processes)"


def benchmarks(path: Path) -> Iterator[Benchmark]:
    ground = Ground(path)
    yield from reads(ground, path)
    yield from writes(ground)
    yield from plain_values(path)
    yield from packed_values(path)
    users = CollectionGround(path)
    yield from indexed_reads(users)
    yield from indexed_writes(users)
    yield from imports(users)
    yield from exports(path, users)
    yield from scans(users)
    yield from against_jsonpath_ng(users)
    yield from migrations(path)
    yield from browser_pages(path)
    yield from start_up(path)
    yield Benchmark("import stones", importing, 1.5, IMPORTS)


def importing() -> float:
    ours, floor = process("-c", "import stones"), process("-c", "import lmdb, attrs")
    return ratio(ours, floor, rounds=15, clock=perf_counter)


def main(arguments: list[str]) -> None:
    as_markdown = "--markdown" in arguments
    wanted = [argument for argument in arguments if argument != "--markdown"]
    for package in missing_packages():
        print(f"left out: {package} is not installed")
    if as_markdown:
        print("| what | ratio | goal | to |\n|------|-------|------|----|")
    found = []
    with tempfile.TemporaryDirectory(dir=".") as path:
        for benchmark in benchmarks(Path(path)):
            if not wanted or any(part in benchmark.name for part in wanted):
                measured = benchmark.measured()
                print(measured.row() if as_markdown else measured.line(), flush=True)
                found.append(measured)
    if not wanted and RECORDS >= 100_000:
        write_ratios(found)
        draw()


if __name__ == "__main__":
    main(sys.argv[1:])
