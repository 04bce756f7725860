"""The compliance suite of engines: what every engine must do, ours or yours.

Subclass `EngineTests` in a test module of pytest, and give it a fixture `open_engine`. That is a
function without arguments that opens the engine. Each call within a test opens the same place,
which is empty at first::

    from stones.testing import EngineTests

    class TestMyEngine(EngineTests):
        @pytest.fixture
        def open_engine(self, tmp_path):
            return lambda: MyEngine(tmp_path / "data")

The suite looks at `engine.supports`. If the engine does not support something, the test of it
checks that the engine refuses it, or does what the contract says instead. No test is skipped.

An engine that passes gets the whole dict face, transactions and collections from stones.

engine_tests     EngineTests: threads, processes, closing, opening again
transactions     commits, rollbacks, snapshots, savepoints
changes          transact, expect: changes that may run again
sums             add, sum, sums, drop_sum
keys_and_values  order, bounds, sizes
many_entries     pages, get_many, put_many, delete_many, delete_range
elsewhere        runs a function in another thread or process
"""

from .elsewhere import in_process, in_thread
from .engine_tests import EngineTests
from .keys_and_values import KEYS, entries, fill

__all__ = ["KEYS", "EngineTests", "entries", "fill", "in_process", "in_thread"]
