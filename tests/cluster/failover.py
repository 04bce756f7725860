"""Three nodes: a standby is killed, then two primaries one after the other, while others write."""

import time

from tests.servers.cluster import Cluster

from .workload import Violation
from .writers import Writers

OPERATIONS = 10
"""How many operations each writer makes between two events, at least."""


def failover(processes: int) -> None:
    """Raises Violation. Prints what happens, and how long writers had to wait."""
    began = time.monotonic()
    with Cluster() as cluster:
        print(f"three nodes after {time.monotonic() - began:.1f} s", flush=True)
        with Writers(cluster.url(), "failover", processes) as writers:
            writers.wait_for_each(OPERATIONS)
            standby = cluster.standbys[0]
            cluster.kill(standby)
            print(f"killed the standby {standby.name}", flush=True)
            writers.wait_for_each(OPERATIONS)
            for _ in range(2):
                cluster.rebuild()
                writers.wait_for_each(OPERATIONS)
                name = cluster.primary.name
                took = cluster.kill_primary()
                print(
                    f"killed the primary {name}: {cluster.primary.name} after {took:.1f} s",
                    flush=True,
                )
                writers.wait_for_each(OPERATIONS)
                writers.check()
            log = writers.end()
            there = writers.check()
            counts = log.count()
            if not counts["made"]:
                raise Violation("nothing was written")
            print(
                f"{counts['made']} operations acknowledged, none lost;"
                f" {counts['undone']} undone, none there in part;"
                f" {counts['unknown']} unknown, of which {there} were made;"
                f" longest gap of a writer {max(log.gaps):.1f} s"
            )
