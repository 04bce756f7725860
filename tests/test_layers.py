"""The layers, held to their rule: imports point down only.

`stones` knows nothing of `stones.collections`, which knows nothing of `stones.migrations`. Inside a
layer imports are relative, from a layer to one below absolute, and none goes through the public
face. The face itself (`__init__.py`) and the commands on files reach up, but only when something is
asked of them.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = {  # lowest first
    "stones": ROOT / "stones",
    "stones.collections": ROOT / "stones/collections",
    "stones.migrations": ROOT / "stones/migrations",
}
MAY_REACH_UP = {"stones.__init__", "stones.file_commands"}
MODULES = {
    f"{layer}.{path.stem}": path
    for layer, folder in LAYERS.items()
    for path in sorted(folder.glob("*.py"))
}


def layer_of(module: str) -> str:
    return max((x for x in LAYERS if f"{module}.".startswith(f"{x}.")), key=len)


def imports(
    tree: ast.AST, lazy: bool = False
) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Every import, and whether it waits until a function is called (or a type is checked)."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, lazy
        waits = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or (
            isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        )
        yield from imports(node, lazy or waits)


def targets(node: ast.Import | ast.ImportFrom, layer: str) -> list[str]:
    """What is imported, as absolute names: modules, or names inside of them."""
    if isinstance(node, ast.Import):
        return [name.name for name in node.names]
    above = layer.split(".")[: len(layer.split(".")) + 1 - node.level] if node.level else []
    origin = ".".join([*above, *([node.module] if node.module else [])])
    return [f"{origin}.{name.name}" for name in node.names]


def violations(module: str, source: str) -> list[str]:
    """The imports of a module that break the rule, each with its line."""
    here = layer_of(module)
    height = list(LAYERS).index
    found = []
    for node, lazy in imports(ast.parse(source)):
        for target in targets(node, here):
            if target.split(".")[0] != "stones":
                continue
            there = layer_of(target)
            relative = isinstance(node, ast.ImportFrom) and node.level > 0
            reason = None
            if height(there) > height(here):
                if module not in MAY_REACH_UP:
                    reason = f"{here} reaches up to {there}"
                elif not lazy:
                    reason = f"{there} is loaded before anybody asked for it"
            elif there == here and not relative:
                reason = "a neighbour in the same layer is imported absolutely"
            elif there != here and relative:
                reason = "a lower layer is imported relatively"
            elif there != here and not any(f"{target}.".startswith(f"{x}.") for x in MODULES):
                reason = "a lower layer is imported through the public face"
            if reason:
                found.append(f"{module}:{node.lineno}: {ast.unparse(node)}: {reason}")
    return found


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_its_own_layer_and_those_below(module):
    assert violations(module, MODULES[module].read_text()) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("stones.store", "from stones.engine import Engine"),
        ("stones.store", "import stones.engine"),
        ("stones.store", "from .collections.keys import encode"),
        ("stones.store", "from .collections import keys"),
        ("stones.store", "from . import migrations"),
        ("stones.store", "from stones.collections import keys"),
        ("stones.store", "def f():\n    import stones.migrations.reencode"),
        ("stones.store", "if TYPE_CHECKING:\n    from .collections.keys import Key"),
        ("stones.file_commands", "from .collections.collection import Collection"),
        ("stones.file_commands", "from stones.migrations import reencode"),
        ("stones.__init__", "from .collections.collection import Collection"),
        ("stones.collections.keys", "from ..store import Store"),
        ("stones.collections.keys", "from stones import Store"),
        ("stones.collections.keys", "import stones"),
        ("stones.collections.keys", "from stones.collections.records import Record"),
        ("stones.collections.keys", "from stones.migrations.reencode import reencode"),
        ("stones.collections.keys", "from ..migrations import reencode"),
        ("stones.migrations.copy", "from ..collections.collection import Collection"),
        ("stones.migrations.copy", "from stones.migrations.schema import Step"),
    ],
)
def test_a_wrong_import_is_found(module, source):
    assert len(violations(module, source)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("stones.store", "from .engine import Engine"),
        ("stones.store", "from . import engine"),
        ("stones.store", "import collections\nfrom collections.abc import Iterator"),
        ("stones.file_commands", "def f():\n    from .collections.collection import Collection"),
        ("stones.file_commands", "def f():\n    from stones.migrations.reencode import reencode"),
        (
            "stones.__init__",
            "if TYPE_CHECKING:\n    from .collections.collection import Collection",
        ),
        ("stones.collections.keys", "from stones.errors import InvalidKeyError"),
        ("stones.collections.keys", "from stones import errors"),
        ("stones.collections.keys", "from .records import Record"),
        ("stones.migrations.copy", "from stones.errors import MigrationError"),
    ],
)
def test_a_right_import_passes(module, source):
    assert violations(module, source) == []


@pytest.mark.parametrize("layer", ["collections", "migrations"])
def test_an_upper_layer_is_a_namespace_and_hides_nothing_of_the_standard_library(layer):
    assert not (LAYERS[f"stones.{layer}"] / "__init__.py").exists()


@pytest.mark.skipif(not (ROOT / "collections").exists(), reason="an sdist has folders, not links")
@pytest.mark.parametrize("layer", ["collections", "migrations"])
def test_an_upper_layer_is_linked_into_the_package_by_a_relative_link(layer):
    assert (ROOT / "stones" / layer).readlink() == Path("..", layer)


@pytest.mark.parametrize("arguments", [["-c", "import collections.abc"], ["-m", "venv", "--help"]])
def test_python_runs_in_the_root_of_the_repository(arguments):
    """There `collections/` comes before the standard library on `sys.path`."""
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
