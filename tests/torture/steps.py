"""Kill runs of steps at random instants, in each kind of step.

After each kill every record must be readable, with all of the steps or none of them. The next run
must end in the same bytes as a run that nobody has disturbed.
"""

import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from workload import Violation

from stones import LmdbStore, check
from tests.step_runs import KINDS, everything, fill, migrated, opened


class StepKills:
    """Kills runs of steps, in a folder of its own. `seed` makes it repeatable but for the times."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def run(self, kills: int) -> int:
        """Kill so many runs of each kind. How many of the kills came before the end of the run."""
        early = 0
        with tempfile.TemporaryDirectory(prefix="stones-steps-") as folder:
            for kind in KINDS:
                early += self._of_kind(Path(folder), kind, kills)
        return early

    def _of_kind(self, folder: Path, kind: str, kills: int) -> int:
        fresh, calm, torn = folder / "fresh", folder / "calm", folder / "torn"
        for path in (fresh, calm):
            shutil.rmtree(path, ignore_errors=True)
        fill(fresh)
        shutil.copytree(fresh, calm)
        began = time.perf_counter()
        migrated(calm, kind)
        whole = time.perf_counter() - began
        early = 0
        for _ in range(kills):
            shutil.rmtree(torn, ignore_errors=True)
            shutil.copytree(fresh, torn)
            early += self._killed(torn, kind, self._random.uniform(0, whole))
            self._check_readable(torn, kind)
            migrated(torn, kind)
            if everything(torn) != everything(calm):
                raise Violation(f"{kind}: the run after a kill ends in other bytes")
        return early

    def _killed(self, path: Path, kind: str, after: float) -> bool:
        """Run the steps in another process, and kill it after so many seconds. Was it early?"""
        child = os.fork()
        if child == 0:
            try:
                migrated(path, kind)
            finally:
                os._exit(0)
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        return os.WIFSIGNALED(status)

    def _check_readable(self, path: Path, kind: str) -> None:
        with LmdbStore(path) as store:
            for _ in opened(store, kind).values():
                pass
            findings = check(store).findings
        if findings:
            raise Violation(f"{kind}: after a kill {findings[0]}")
