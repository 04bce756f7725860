"""Both engines pass the compliance suite that engines of others are held to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stones.engine import Engine
from stones.engines.memory import MemoryEngine
from stones.stores.lmdb import LmdbEngine
from stones.testing import EngineTests


class TestMemoryEngine(EngineTests):
    @pytest.fixture
    def engine(self) -> Iterator[Engine]:
        engine = MemoryEngine()
        yield engine
        engine.close()


class TestLmdbEngine(EngineTests):
    @pytest.fixture
    def engine(self, tmp_path: Path) -> Iterator[Engine]:
        engine = LmdbEngine.open(str(tmp_path / "db"))
        yield engine
        engine.close()
