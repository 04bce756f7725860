"""A store passes CPython's own cases for mappings, `test.mapping_tests`, with its keys as bytes.

The cases take str and int as keys, and a store takes bytes; so their source is rewritten before it
runs: every str becomes bytes, and so does an int where it is a key. The cases that cannot apply are
left out, and what a store does instead is tested below; docs/reference/dict.md has the reasons.
"""

import ast
import copy
import pickle
import unittest
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

import pytest

from stones import LmdbStore, MemoryStore, SerializerError, ValueTypeError

DOCUMENT = Path(__file__).parent.parent / "docs/reference/dict.md"


class KeysAsBytes(ast.NodeTransformer):
    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        return as_bytes(node) if isinstance(node.value, str) else node

    def visit_Dict(self, node: ast.Dict) -> ast.AST:
        node.keys = [as_bytes(key) for key in node.keys]
        return self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        if isinstance(node.value, ast.Name):  # not an index into what a call returned
            node.slice = as_bytes(node.slice)
        return self.generic_visit(node)

    def visit_List(self, node: ast.List) -> ast.AST:
        for pair in node.elts:
            if isinstance(pair, ast.Tuple):  # as items() has them
                pair.elts[0] = as_bytes(pair.elts[0])
        return self.generic_visit(node)

    def visit_Yield(self, node: ast.Yield) -> ast.AST:
        node.value = as_bytes(node.value)
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        called = ast.unparse(node.func)
        if called in ("hasattr", "self.assertHasAttr"):
            return node
        if called.endswith(".fromkeys") and node.args:
            keys = node.args[0]
            if isinstance(keys, ast.Constant):  # a str is an iterable of keys, bytes are not
                keys = ast.Tuple([ast.Constant(key) for key in keys.value], ast.Load())
            if isinstance(keys, ast.Tuple):
                keys.elts = [as_bytes(key) for key in keys.elts]
            node.args[0] = keys
        return self.generic_visit(node)


def as_bytes(node):
    if isinstance(node, ast.Constant) and isinstance(node.value, str | int):
        return ast.copy_location(ast.Constant(str(node.value).encode()), node)
    return node


def load_cases() -> dict[str, type[unittest.TestCase]]:
    """The classes of `test.mapping_tests`, rewritten."""
    spec = find_spec("test.mapping_tests")
    if spec is None:
        raise ModuleNotFoundError(
            "this Python comes without its own tests, which stones is held to: on Debian and "
            "Ubuntu `apt-get install libpython3-testsuite`"
        )
    tree = ast.fix_missing_locations(
        KeysAsBytes().visit(ast.parse(spec.loader.get_source(spec.name)))
    )
    namespace = {"__name__": spec.name}
    exec(compile(tree, spec.origin, "exec"), namespace)
    return {name: case for name, case in namespace.items() if name.endswith("Protocol")}


CASES = load_cases()


class StoreCases:
    """What CPython's cases need to know of a store, and those of them that do not fit one."""

    # The keys of these have a hash and an equality of their own. The general cases are left.
    test_getitem = CASES["TestMappingProtocol"].test_getitem
    test_pop = CASES["TestMappingProtocol"].test_pop
    test_eq = None
    # A change to what you get is not in the store, since that is a copy.
    test_setdefault = CASES["BasicTestMappingProtocol"].test_setdefault
    # Writing while iterating is safe.
    test_mutatingiteration = None
    # There may be millions of entries.
    test_repr = None
    test_repr_deep = None


class TestMemoryStoreIsAMapping(StoreCases, CASES["TestHashMappingProtocol"]):
    class type2test(MemoryStore):  # noqa: N801  # as CPython calls it
        def __init__(self, **entries):
            super().__init__(kwargs=entries)

    def _empty_mapping(self):
        return self.enterContext(MemoryStore())


class TestLmdbStoreIsAMapping(StoreCases, CASES["TestHashMappingProtocol"]):
    class type2test(LmdbStore):  # noqa: N801
        folder = None

        def __init__(self, **entries):
            super().__init__(mkdtemp(dir=self.folder), kwargs=entries)

    def setUp(self):
        self.type2test.folder = self.enterContext(TemporaryDirectory())

    def _empty_mapping(self):
        store = self.enterContext(self.type2test())
        self.enterContext(store.transaction())  # thousands of writes, and one wait for the disk
        return store

    # A copy is in memory, wherever the original is.
    test_copy = None


LEFT_OUT = sorted(
    name
    for cases in (StoreCases, TestLmdbStoreIsAMapping)
    for name in vars(cases)
    if name.startswith("test_")
)


@pytest.mark.parametrize("case", LEFT_OUT)
def test_the_document_gives_the_reason_for_each_case_left_out(case):
    assert f"`{case}`" in DOCUMENT.read_text()


# -- instead of the cases left out -------------------------------------------------------------


def test_a_change_to_what_setdefault_returns_is_not_in_the_store(store):
    assert store.setdefault(b"k") is None
    assert store.setdefault(b"k", []) is None
    store.setdefault(b"list", []).append(1)
    assert store[b"list"] == []


def test_what_comes_back_is_a_copy(store):
    value = {"tags": ["a"]}
    store[b"k"] = value
    value["tags"].append("b")
    store[b"k"]["tags"].append("c")
    store.get(b"k")["tags"].append("d")
    assert store[b"k"] == {"tags": ["a"]}


def test_a_copy_is_an_independent_store_in_memory(store):
    store.update(a=1, b=[2])
    for twin in (store.copy(), copy.copy(store), copy.deepcopy(store)):
        assert type(twin) is MemoryStore
        assert twin == store
        twin[b"a"] = 3
        assert store[b"a"] == 1
    with pytest.raises(TypeError):
        store.copy(None)


def test_a_copy_writes_and_reads_like_the_original(open_store):
    store = open_store(serialize="json", key_type=str, value_type=set)
    store["k"] = {1}
    twin = store.copy()
    twin.deep_add("k", 2)
    assert dict(twin) == {"k": {1, 2}}
    assert twin.stats()["serializer"] == "json"


def test_a_copy_has_the_functions_of_the_original(open_store):
    store = open_store(dump_load=(str.encode, bytes.decode))
    store[b"k"] = "text"
    assert dict(store.copy()) == {b"k": "text"}


def test_fromkeys_opens_a_store(tmp_path):
    assert MemoryStore.fromkeys(["a", b"b"]) == {b"a": None, b"b": None}
    assert MemoryStore().fromkeys((b"x", b"y"), 0) == {b"x": 0, b"y": 0}
    assert MemoryStore.fromkeys([]) == {}
    with LmdbStore.fromkeys(iter("ab"), [], tmp_path / "db", serialize="json") as store:
        assert dict(store) == {b"a": [], b"b": []}
        store[b"a"] = [1]
        assert store[b"b"] == []
    with pytest.raises(TypeError):
        MemoryStore.fromkeys(3)


def test_fromkeys_gives_an_instance_of_the_class_that_it_is_called_on():
    class Own(MemoryStore):
        pass

    assert type(Own.fromkeys("a")) is Own
    assert type(Own().fromkeys("a")) is Own


def test_fromkeys_asks_an_overridden_setitem_and_update_does_not():
    class Own(MemoryStore):
        def __setitem__(self, key, value):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Own.fromkeys("a")
    store = Own()
    store.update(a=1)
    assert store == {b"a": 1}


def test_writing_while_iterating_is_safe(store):
    store.update(a=1, b=2)
    seen = []
    for key in store:
        store[key + b"+"] = 0
        store.pop(b"b", None)
        seen.append(key)
    assert seen == [b"a", b"b"]
    assert list(store) == [b"a", b"a+", b"b+"]


def test_repr_shows_what_it_is_and_not_the_entries(store):
    store.update(a=1, b="secret")
    assert repr(store).startswith(f"<{type(store).__name__} '")
    # A count that costs more than a moment is left out.
    counts = store.database.engine.supports.counts
    assert repr(store).endswith(": 2 entries, pickle>" if counts else "': pickle>")
    store.close()
    assert repr(store).endswith(": closed>")


def test_a_store_cannot_be_a_value(store):
    with pytest.raises(SerializerError):
        store[b"k"] = store
    assert len(store) == 0


def test_a_store_cannot_be_pickled(store):
    for thing in (store, store.keys(), store.range()):
        with pytest.raises(ValueTypeError, match="open it there"):
            pickle.dumps(thing)


@pytest.mark.needs("snapshots")
def test_a_snapshot_cannot_be_pickled(store):
    with store.snapshot() as view, pytest.raises(ValueTypeError, match="open it there"):
        pickle.dumps(view)
