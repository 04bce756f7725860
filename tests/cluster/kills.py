"""One server, killed again and again while several processes commit."""

import time
from random import Random

from tests.servers.postgres import WRITTEN, PostgresServer

from .writers import Writers

CHECKED = 5
"""Every so many rounds all is compared, while the writers go on; and at the end."""
TABLE_ROUNDS = 40
"""After so many rounds a new table is begun, so that comparing stays fast."""


def kills(rounds: int, processes: int, seed: int, sabotage: str | None = None) -> None:
    """Kill all processes of the server in each round. Raises Violation. Prints what it does."""
    rng = Random(seed)
    total = {"made": 0, "undone": 0, "unknown": 0, "there": 0}
    settings = {"max_wal_size": "512MB"}
    if sabotage == "asynchronous":  # the server acknowledges before anything is written
        settings.update(synchronous_commit="off", wal_writer_delay="10s")
    with PostgresServer(speed=WRITTEN, settings=settings) as server:
        for begun in range(0, rounds, TABLE_ROUNDS):
            with Writers(server.url(), f"kills_{begun}", processes, sabotage) as writers:
                server.execute("CHECKPOINT")  # the tables are there, whatever is lost later
                for number in range(begun, min(begun + TABLE_ROUNDS, rounds)):
                    writers.wait_for_each(1)
                    time.sleep(rng.uniform(0, 0.15))
                    server.kill()
                    server.start()
                    if number % CHECKED == CHECKED - 1:
                        writers.check()
                        print(f"round {number + 1}: {sum(writers.made())} acknowledged", flush=True)
                log = writers.end()
                there = writers.check()
                for outcome, count in log.count().items():
                    total[outcome] += count
                total["there"] += there
    print(
        f"{rounds} kills: {total['made']} operations acknowledged, none lost;"
        f" {total['undone']} undone, none there in part;"
        f" {total['unknown']} unknown, of which {total['there']} were made"
    )
