"""Writers are killed at random instants, round after round; each time the store is checked.

In some rounds two processes write. Then one is killed, and the other must go on, and a third one be
able to join, whatever the dead one held. In some rounds a writer is killed
while it opens the store, or one that is new.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from random import Random

from workload import State, Violation, check_apart, states

import stones

LANES = 6
WRITER = Path(__file__).with_name("writer.py")
PATIENCE = 60
"""Seconds without a sign of life after which a writer counts as hanging."""


class Child:
    """A writer, and what it has said."""

    def __init__(self, path: str, seed: str, lanes: range, *options: str) -> None:
        self.lanes = lanes
        self.done = Counter[int]()  # acknowledged operations, by lane
        self.said = Counter[str]()
        self.wrong: list[str] = []
        self.process = subprocess.Popen(
            [
                *(sys.executable, str(WRITER), path, "--seed", seed, *options),
                *("--lanes", *map(str, lanes), "--all-lanes", str(LANES)),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            word, _, rest = line.strip().partition(" ")
            if word == "did":
                self.done[int(rest)] += 1
            elif word.startswith("wrong"):
                self.wrong.append(line)
            self.said[word] += 1

    def wait(self, word: str, count: int = 1) -> None:
        """Until it has said `word` so often."""
        last, since = -1, time.monotonic()
        while self.said[word] < count:
            if self.process.poll() is not None:
                self._listener.join()
                if self.said[word] < count:
                    raise Violation(f"a writer has ended by itself, {self.process.returncode}")
            if self.said[word] != last:
                last, since = self.said[word], time.monotonic()
            if time.monotonic() - since > PATIENCE:
                raise Violation(f"a writer hangs: it has said {dict(self.said)}, now {word!r}?")
            time.sleep(0.0002)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._listener.join()
        assert self.process.stdout is not None
        self.process.stdout.close()


class Kills:
    """Rounds of kills on one store. Prints what it does, raises Violation."""

    def __init__(self, seed: int, sabotage: str | None, durability: str) -> None:
        self.seed = seed
        self.options = ["--durability", durability]
        if sabotage:
            self.options += ["--sabotage", sabotage]
        self.held = [State() for _ in range(LANES)]
        self.children: list[Child] = []

    def run(self, rounds: int) -> int:
        """How many operations were acknowledged."""
        done = 0
        with tempfile.TemporaryDirectory(prefix="stones-kills-") as folder:
            for number in range(rounds):
                seed = f"{self.seed}/{number}"
                rng = Random(seed)
                kind = rng.choices(["alone", "two", "opening", "new"], [5, 3, 1, 1])[0]
                if number < 4:
                    kind = ["new", "alone", "two", "opening"][number]  # a short run has them all
                path = os.path.join(folder, f"new-{number}" if kind == "new" else "store")
                self.children = []
                before = [State()] * LANES if kind == "new" else self.held
                try:
                    getattr(self, kind)(path, seed, rng)
                finally:
                    for child in self.children:
                        child.kill()
                after, acknowledged = self._check(path, seed, before)
                if kind != "new":
                    self.held = after
                done += acknowledged
                print(f"round {seed}: {kind}, {acknowledged} operations acknowledged", flush=True)
        return done

    def alone(self, path: str, seed: str, rng: Random) -> None:
        options = [each for each in ("--migrate", "--rebuild") if rng.randrange(2)]
        child = self._start(path, seed, range(3), *options)
        child.wait("did", rng.randrange(1, 200))
        time.sleep(rng.uniform(0, 0.01))
        child.kill()

    def two(self, path: str, seed: str, rng: Random) -> None:
        dying = self._start(path, seed, range(2))
        living = self._start(path, seed, range(2, 4), "--migrate")
        dying.wait("did", rng.randrange(1, 100))
        living.wait("ready")
        time.sleep(rng.uniform(0, 0.01))
        dying.kill()
        living.wait("did", living.said["did"] + 20)
        joining = self._start(path, seed, range(4, 6))
        joining.wait("did", 20)
        time.sleep(rng.uniform(0, 0.01))
        for child in rng.sample([living, joining], 2):
            child.kill()

    def opening(self, path: str, seed: str, rng: Random) -> None:
        child = self._start(path, seed, range(3))
        child.wait("opening")
        time.sleep(rng.uniform(0, 0.02))
        child.kill()

    new = opening

    def _start(self, path: str, seed: str, lanes: range, *options: str) -> Child:
        child = Child(path, seed, lanes, *options, *self.options)
        self.children.append(child)
        return child

    def _check(self, path: str, seed: str, before: list[State]) -> tuple[list[State], int]:
        done = Counter[int]()
        for child in self.children:
            done.update(child.done)
            if child.wrong:
                raise Violation("".join(child.wrong[:3]))
        possible = [[state] for state in before]
        for child in self.children:
            for lane in child.lanes:
                possible[lane] = states(seed, lane, before[lane], done[lane] + 1)[done[lane] :]
        chosen = check_apart(path, possible)
        report = stones.check(path, trust_pickle=True)
        if not report.sound:
            raise Violation(f"check finds {report.findings[:3]}")
        return [possible[lane][number] for lane, number in enumerate(chosen)], done.total()
