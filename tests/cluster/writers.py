"""Processes that write while servers are killed, and the checks of what they wrote."""

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any, Self

from stones import Store, stone
from tests.processes import fork

from .workload import Log, Violation, check, fill, read_logs, write

PATIENCE = 90
"""Seconds without a sign of life after which a writer counts as hanging."""


class Writers:
    """Writers in processes of their own, on a store that is made here. Leave the block to end them.

    They are forked, so the process that makes them must not have a store open.
    """

    def __init__(self, url: str, table: str, processes: int, sabotage: str | None = None) -> None:
        self.url, self.table = url, table
        self.folder = Path(tempfile.mkdtemp(prefix="stones-writers-"))
        self.logs = [self.folder / f"log-{number}" for number in range(processes)]
        self.stop = self.folder / "stop"
        with self.opened() as store:
            fill(store)
        self.pids = [
            fork(
                lambda number=number, log=log: write(self.opened, number, log, self.stop, sabotage)
            )
            for number, log in enumerate(self.logs)
        ]

    def opened(self) -> Store[Any, Any]:
        return stone(self.url, table=self.table)

    def made(self) -> list[int]:
        """How many operations of each writer were acknowledged."""
        counts = [0] * len(self.logs)
        for (_, writer, _), outcome in self.log().outcomes.items():
            counts[writer] += outcome == "made"
        return counts

    def log(self) -> Log:
        return read_logs(self.logs)

    def wait_for_each(self, more: int) -> None:
        """Until each writer has made so many operations more. Raises Violation if one hangs."""
        wanted = [count + more for count in self.made()]
        deadline = time.monotonic() + PATIENCE
        while any(count < want for count, want in zip(self.made(), wanted, strict=True)):
            if time.monotonic() > deadline:
                raise Violation(f"a writer hangs: {self.made()} operations, {wanted} wanted")
            time.sleep(0.05)

    def check(self) -> int:
        """Compare all that was acknowledged so far with the store, while others go on writing."""
        log = self.log()
        with self.opened() as store:
            return check(store, log)

    def end(self) -> Log:
        """Let them finish what they do, and read their logs."""
        self.stop.touch()
        while self.pids:
            os.waitpid(self.pids.pop(), 0)
        return self.log()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.end()
        shutil.rmtree(self.folder)
