"""The layers, held to their rule: imports point down only, and nowhere in a circle.

What lies directly in `stones/` is public, what lies in a folder is inside. A module imports a
neighbour of its own folder relatively, all else absolutely and by its full name, never through the
public face. An import that waits for a call, or is for type checkers only, counts like any other.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "stones"
RANKS = [  # lowest first
    {"stones.errors", "stones.supports", "stones.pages"},
    {"stones.engine"},
    {"stones.testing", "stones.formats", "stones.engines"},
    {"stones.stores"},
    {"stones.collections"},
    {"stones.migrations"},
    {"stones.repair"},
    {"stones.browser"},
    {"stones.command_line"},
    {"stones", "stones.__main__", "stones.info"},
]


def files(folder: Path, package: str) -> Iterator[tuple[str, Path]]:
    """Every module below a folder with its name; a package has the name of its folder."""
    for path in sorted(folder.iterdir()):
        if path.name == "__init__.py":
            yield package, path
        elif path.suffix == ".py":
            yield f"{package}.{path.stem}", path
        elif path.is_dir() and path.name != "__pycache__":
            yield from files(path, f"{package}.{path.name}")


MODULES = dict(files(PACKAGE, "stones"))


def room_of(module: str) -> str:
    """The folder, or the public module, directly in `stones/` that a module belongs to."""
    return ".".join(module.split(".")[:2])


def rank_of(module: str) -> int:
    return next(rank for rank, rooms in enumerate(RANKS) if room_of(module) in rooms)


def folder_of(module: str) -> str:
    is_package = MODULES.get(module, Path()).name == "__init__.py"
    return module if is_package else module.rpartition(".")[0]


def imports(module: str, source: str) -> Iterator[tuple[str, ast.Import | ast.ImportFrom]]:
    """The modules of stones that a module imports, wherever it does so."""
    folder = folder_of(module).split(".")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = folder[: len(folder) + 1 - node.level] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            inside = [f"{origin}.{name.name}" for name in node.names]
            names = [name if name in MODULES else origin for name in inside]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "stones":
                yield name, node


def violations(module: str, source: str) -> list[str]:
    """The imports of a module that break the rule, each with its line."""
    found = []
    for target, node in imports(module, source):
        relative = isinstance(node, ast.ImportFrom) and node.level > 0
        neighbours = folder_of(module) == folder_of(target)
        reason = None
        if target == "stones":
            reason = "imports through the public face"
        elif target not in MODULES:
            reason = f"there is no module {target}"
        elif rank_of(target) > rank_of(module) or (
            rank_of(target) == rank_of(module) and room_of(target) != room_of(module)
        ):
            reason = f"{room_of(module)} is not above {room_of(target)}"
        elif neighbours and not relative:
            reason = "a neighbour in the same folder is imported absolutely"
        elif relative and not neighbours:
            reason = "another folder is imported relatively"
        if reason:
            found.append(f"{module}:{node.lineno}: {ast.unparse(node)}: {reason}")
    return found


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """A path through the graph that ends where it begins, or nothing."""
    done: set[str] = set()

    def walk(path: list[str]) -> list[str]:
        for target in sorted(graph.get(path[-1], ())):
            if target in path:
                return [*path[path.index(target) :], target]
            if target not in done and (found := walk([*path, target])):
                return found
        done.add(path[-1])
        return []

    return next((found for start in sorted(graph) if (found := walk([start]))), [])


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_its_own_layer_and_those_below(module):
    assert violations(module, MODULES[module].read_text()) == []


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_small_enough_to_be_read_at_once(module):
    assert len(MODULES[module].read_text().splitlines()) <= 400


PACKAGES = [name for name, path in MODULES.items() if path.name == "__init__.py"][1:]


@pytest.mark.parametrize("folder", PACKAGES)
def test_a_folder_has_a_map_of_every_module_in_it(folder):
    face = ast.get_docstring(ast.parse(MODULES[folder].read_text())) or ""
    inside = {module.split(".")[-1] for module in MODULES if folder_of(module) == folder}
    inside |= {
        module.split(".")[-1]
        for module, path in MODULES.items()
        if path.name == "__init__.py" and module.rpartition(".")[0] == folder
    }
    assert {name for name in inside if name not in face} - {folder.split(".")[-1]} == set()


def test_no_import_leads_back_to_where_it_began():
    graph = {
        module: {target for target, _ in imports(module, path.read_text())} - {module}
        for module, path in MODULES.items()
    }
    assert circle(graph) == []


def test_a_circle_is_found():
    assert circle({"a": {"b"}, "b": {"c", "d"}, "d": {"a"}}) == ["a", "b", "d", "a"]
    assert circle({"a": {"b", "c"}, "b": {"c"}}) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("stones.stores.store", "from stones.stores.reader import Reader"),
        ("stones.stores.store", "import stones.stores.reader"),
        ("stones.stores.store", "from stones.collections.keys import encode"),
        ("stones.stores.store", "from stones import StoneError"),
        ("stones.stores.store", "import stones"),
        ("stones.stores.store", "from ..errors import StoneError"),
        ("stones.stores.store", "from .. import migrations"),
        ("stones.stores.store", "from stones.serializers import serializer"),
        ("stones.stores.store", "def f():\n    import stones.migrations.reencoding.reencode"),
        ("stones.stores.store", "if TYPE_CHECKING:\n    from stones.repair.check import check"),
        ("stones.formats.codec", "from stones.engines.memory import MemoryEngine"),
        ("stones.engines.memory", "from stones.formats.codec import Codec"),
        ("stones.engine", "from stones.engines.memory import MemoryEngine"),
        ("stones.errors", "from .engine import Space"),
        ("stones.collections.keys", "from stones.migrations.reencoding.reencode import migrate"),
        ("stones.collections.keys", "from .records.annotations import unwrap"),
        ("stones.collections.records.record_type", "from ..keys import key_codec"),
        ("stones.migrations.reencoding.reencode", "from stones.repair.check import check"),
        ("stones.repair.info", "from stones.command_line.main import main"),
    ],
)
def test_a_wrong_import_is_found(module, source):
    assert len(violations(module, source)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("stones.stores.store", "from .reader import Reader"),
        ("stones.stores.store", "from . import transactions"),
        ("stones.stores.store", "from stones.engine import Engine"),
        ("stones.stores.store", "import stones.engine"),
        ("stones.stores.store", "from stones import errors"),
        ("stones.stores.store", "import collections\nfrom collections.abc import Iterator"),
        ("stones.stores.store", "from stones.engines.memory import MemoryEngine"),
        ("stones.engine", "from .errors import StoneError"),
        ("stones.collections.keys", "from stones.collections.records.annotations import unwrap"),
        ("stones.collections.records.record_type", "from stones.collections.keys import key_codec"),
        ("stones.repair.info", "from stones.collections.keys import key_codec"),
        ("stones.command_line.main", "def f():\n    from stones.repair.info import inspect"),
        ("stones.__main__", "from stones.command_line.main import main"),
    ],
)
def test_a_right_import_passes(module, source):
    assert violations(module, source) == []


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("_")


def private_names(source: str) -> set[str]:
    """The names with an underscore that a module defines: functions, classes, attributes."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.FunctionDef(name) | ast.AsyncFunctionDef(name) | ast.ClassDef(name):
                found.add(name)
            case ast.Name(name, ast.Store()) | ast.Attribute(ast.Name("self"), name, ast.Store()):
                found.add(name)
    return {name for name in found if is_private(name)}


STANDARD_LIBRARY = {"_exit", "_is_owned"}
"""Names of `os` and of `threading.RLock` that have no public twin."""


def private_uses(source: str, own: set[str]) -> list[str]:
    """The names with an underscore that a module takes from what is not defined in `own`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(ast.Name("self" | "cls"), _):
                continue
            case ast.Attribute(_, name) if is_private(name) and name not in own | STANDARD_LIBRARY:
                found.append(f"{node.lineno}: {ast.unparse(node)}")
            case ast.ImportFrom(names=names):
                found += [f"{node.lineno}: {x.name}" for x in names if is_private(x.name)]
    return found


@pytest.mark.parametrize("module", MODULES)
def test_a_module_uses_no_private_name_of_another_folder(module):
    folder = folder_of(module)
    own = {
        name
        for neighbour, path in MODULES.items()
        if folder_of(neighbour) == folder
        for name in private_names(path.read_text())
    }
    assert private_uses(MODULES[module].read_text(), own) == []


@pytest.mark.parametrize(
    ("source", "uses"),
    [
        ("store._engine", 1),
        ("self._store._engine", 1),
        ("from .views import _limited", 1),
        ("made()._engine.begin()", 1),
        ("self._engine; cls._engine; self.__dict__; x._value_; _", 0),
        ("other._own; self.twin._own", 0),
    ],
)
def test_the_use_of_a_private_name_is_found(source, uses):
    assert len(private_uses(source, {"_own"})) == uses


@pytest.mark.parametrize("layer", ["collections", "migrations"])
def test_an_upper_layer_is_a_namespace_and_hides_nothing_of_the_standard_library(layer):
    assert not (PACKAGE / layer / "__init__.py").exists()


@pytest.mark.skipif(not (ROOT / "collections").exists(), reason="an sdist has folders, not links")
@pytest.mark.parametrize("layer", ["collections", "migrations"])
def test_an_upper_layer_is_linked_into_the_package_by_a_relative_link(layer):
    assert (PACKAGE / layer).readlink() == Path("..", layer)


@pytest.mark.parametrize("arguments", [["-c", "import collections.abc"], ["-m", "venv", "--help"]])
def test_python_runs_in_the_root_of_the_repository(arguments):
    """There `collections/` comes before the standard library on `sys.path`."""
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
