"""Run PostgreSQL on several nodes, and prove that nothing is lost when they are killed.

`start` runs three nodes on the loopback interface until Ctrl-C or `stop`, and prints their URL.
`failover` kills a standby and two primaries while processes write. `kills` kills a single server
in each round. `mixed` lets blocks, functions and snapshots run at once, without kills. They end
with 1 and `VIOLATION` if an acknowledged operation is not there, or one is there in part, or an
error is not a documented one. `--sabotage` breaks `kills`, which must be noticed.

    python -m tests.cluster.run kills --rounds 200
"""

import argparse
import os
import secrets
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.servers.cluster import Cluster

from .failover import failover
from .kills import kills
from .mixed import mixed
from .workload import Violation

RUNNING = Path(tempfile.gettempdir()) / f"stones-cluster-{os.getuid()}.pid"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["start", "stop", "failover", "kills", "mixed"])
    parser.add_argument("--rounds", type=int, default=5, help="kills of the server")
    parser.add_argument("--seconds", type=float, default=10, help="how long `mixed` runs")
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument(
        "--sabotage",
        choices=["early", "split", "asynchronous"],
        help="acknowledge what was not made, tear transactions apart, or let the server lose some",
    )
    parser.add_argument("--running", type=Path, default=RUNNING, help="where `start` notes its pid")
    asked = parser.parse_args()
    # A runner that is stopped from outside stops its servers and writers first.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        match asked.what:
            case "start":
                start(asked.running)
            case "stop":
                stop(asked.running)
            case "failover":
                failover(asked.processes)
            case "kills":
                print(f"kills: --seed {asked.seed}", flush=True)
                kills(asked.rounds, asked.processes, asked.seed, asked.sabotage)
            case "mixed":
                mixed(asked.processes, asked.seconds)
    except Violation as violation:
        print(f"VIOLATION: {violation}", flush=True)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def start(running: Path) -> None:
    """Run three nodes until somebody ends this process.

    They do not wait for the disk. A power cut may destroy them; kills do not.
    """
    with Cluster() as cluster:
        running.write_text(str(os.getpid()))
        print("Three nodes run: a primary, and two standbys of which one has each commit.")
        for node in cluster.nodes.values():
            role = "primary" if node is cluster.primary else "standby"
            print(f"  {node.name}  {role}  127.0.0.1:{node.port}  {node.data}")
        print(f"\n  {cluster.url()}\n\nCtrl-C or `make cluster-stop` stops them.", flush=True)
        try:
            signal.pause()
        except (KeyboardInterrupt, SystemExit):
            print("\nStopping them.")
        finally:
            running.unlink(missing_ok=True)


def stop(running: Path) -> None:
    """End what `start` runs, and wait until it has ended."""
    try:
        pid = int(running.read_text())
        os.kill(pid, signal.SIGTERM)
    except (FileNotFoundError, ProcessLookupError):
        running.unlink(missing_ok=True)
        print("No cluster runs.")
        return
    while running.exists():
        time.sleep(0.05)
    print("The cluster has stopped.")


if __name__ == "__main__":
    sys.exit(main())
