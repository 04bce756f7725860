"""A transaction of a namespace keeps the contract that every engine keeps."""

from collections.abc import Callable

import pytest

from stones.engine import Engine, Transaction
from stones.engines.memory import MemoryEngine
from stones.stores.namespaces.transaction import NamespaceClaim, NamespaceTransaction
from stones.testing import EngineTests


class NamespaceEngine(MemoryEngine):
    """An engine whose transactions are those of one namespace."""

    get = Engine.get

    def begin(self, *, write: bool = False, timeout: float | None = None) -> Transaction:
        txn = super().begin(write=write, timeout=timeout)
        return NamespaceTransaction(txn, NamespaceClaim("part", None))


class TestNamespaceTransaction(EngineTests):
    @pytest.fixture
    def open_engine(self) -> Callable[[], Engine]:
        return NamespaceEngine
