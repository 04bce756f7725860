"""Both engines pass the compliance suite that engines of others are held to."""

from collections.abc import Callable
from pathlib import Path

import pytest

from stones.engine import Engine
from stones.engines.lmdb.engine import LmdbEngine
from stones.engines.memory import MemoryEngine
from stones.testing import EngineTests


class TestMemoryEngine(EngineTests):
    @pytest.fixture
    def open_engine(self) -> Callable[[], Engine]:
        return MemoryEngine


class TestLmdbEngine(EngineTests):
    @pytest.fixture
    def open_engine(self, tmp_path: Path) -> Callable[[], Engine]:
        return lambda: LmdbEngine.open(str(tmp_path / "db"))
