"""Tear a store down, again and again, and check each time that it holds what it must.

`run.py kills` kills the processes that write. `run.py copies` kills copies of a store, `--rounds`
of them, and runs each again. `run.py cuts` cuts the power, by replaying what had reached the disk;
`run.py making` does so while the store is made. In `run.py races` threads and processes write,
list, rename and drop one new collection. `run.py formats` kills each kind of migration to
another format, so often as `--rounds` says; `run.py steps` kills runs of the steps of a collection.
Ends with 1 and `VIOLATION` where a write that was acknowledged is not there, or one is there in
part. `--sabotage` breaks the writers, which must be noticed.
"""

import argparse
import secrets
import sys

from copies import Copies
from format_kills import FormatKills
from kills import Kills
from powercuts import PowerCuts
from races import Races
from steps import StepKills
from workload import Violation

WHAT = ["kills", "copies", "cuts", "making", "formats", "steps", "races"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=WHAT)
    parser.add_argument("--rounds", type=int, default=15, help="kills, or recordings to cut")
    parser.add_argument("--operations", type=int, default=60, help="in a lane of a recording")
    parser.add_argument("--cuts", type=int, default=200, help="in a recording")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument("--durability", choices=["full", "lazy", "none"], default="full")
    parser.add_argument(
        "--sabotage",
        choices=["early", "split", "nosync", "index"],
        help="acknowledge before writing, tear transactions apart, never sync, or lose entries",
    )
    asked = parser.parse_args()
    if asked.durability == "none" and asked.what not in ("kills", "copies"):
        parser.error("a store with durability='none' is not expected to survive a power cut")
    print(f"{asked.what}: --seed {asked.seed}", flush=True)
    try:
        if asked.what == "kills":
            done = Kills(asked.seed, asked.sabotage, asked.durability).run(asked.rounds)
            print(f"{asked.rounds} rounds, {done} operations acknowledged, none lost")
        elif asked.what == "formats":
            found = FormatKills(asked.seed).run(asked.rounds)
            print(f"{asked.rounds} kills of each kind, {found} in the middle of a migration")
        elif asked.what == "copies":
            copies = Copies(asked.seed)
            copies.run(asked.rounds)
            print(f"{asked.rounds} kills, and {copies.finished} copies equal to their source")
        elif asked.what == "races":
            done = Races(asked.seed).run(asked.rounds)
            print(f"{asked.rounds} rounds, {done} records acknowledged, none lost")
        elif asked.what == "steps":
            early = StepKills(asked.seed).run(asked.rounds)
            print(f"{asked.rounds} kills of each kind of step, {early} of them before its end")
        else:
            making = asked.what == "making"
            cuts = PowerCuts(asked.seed, asked.sabotage, asked.durability, making=making)
            for number in range(asked.rounds):
                cuts.run(number, asked.operations, asked.cuts)
            print(f"{cuts.checked} power cuts, and a whole store after each")
    except Violation as violation:
        print(f"VIOLATION (--seed {asked.seed}): {violation}", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
