"""The compliance suite of engines: what every engine must do, ours or yours.

Subclass `EngineTests` in a test module of pytest, and give it a fixture `open_engine`: a function
that opens the engine, at each call of a test in the same place, which is empty at the first::

    from stones.testing import EngineTests

    class TestMyEngine(EngineTests):
        @pytest.fixture
        def open_engine(self, tmp_path):
            return lambda: MyEngine(tmp_path / "data")

The suite looks at `engine.supports`. A test of something that the engine does not support checks
that the engine refuses it, or that it does what the contract says instead; no test is skipped.

An engine that passes gets the whole dict face, transactions, snapshots and collections from stones.

engine_tests  EngineTests: threads, processes, closing, opening again
transactions  commits, rollbacks, snapshots, savepoints
entries       keys and values, order, bounds, sizes
elsewhere     runs a function in another thread or process
"""

from .elsewhere import in_process, in_thread
from .engine_tests import EngineTests
from .entries import KEYS, entries, fill

__all__ = ["KEYS", "EngineTests", "entries", "fill", "in_process", "in_thread"]
