"""What is installed: each way to install gives every module, and importing stones stays cheap."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted(
    ".".join(Path(folder, name).relative_to(ROOT).with_suffix("").parts)
    for folder, _, names in os.walk(ROOT / "stones", followlinks=True)
    for name in names
    if name.endswith(".py") and not name.startswith("__")
)
NOT_OF_THE_TREE = shutil.ignore_patterns(
    ".git",
    ".venv*",
    ".*_cache",
    ".hypothesis",
    ".coverage*",
    "__pycache__",
    "_build",
    "build",
    "dist",
)
# Heavy, and needed only by some: they load when something is asked of them.
LAZY = {
    "cattrs",
    "cbor2",
    "click",
    "jsonpath_ng",
    "msgpack",
    "ply",
    "asyncio",
    "importlib.metadata",
}


def run(*command, cwd=None):
    """What a command prints; its coverage is nobody's business, as it sees another copy."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def python(*arguments, cwd=None):
    return run(sys.executable, *arguments, cwd=cwd)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the checkout, without what is built there."""
    copy = tmp_path_factory.mktemp("tree") / "stones"
    shutil.copytree(ROOT, copy, symlinks=True, ignore=NOT_OF_THE_TREE)
    return copy


@pytest.fixture(scope="module")
def sdist(tree, tmp_path_factory):
    out = tmp_path_factory.mktemp("sdist")
    python("-m", "build", "--no-isolation", "--sdist", "--outdir", out, tree)
    return next(out.glob("*.tar.gz"))


@pytest.fixture(scope="module")
def unpacked(sdist, tmp_path_factory):
    out = tmp_path_factory.mktemp("unpacked")
    run("tar", "-xzf", sdist, "-C", out)
    return next(out.iterdir())


@pytest.fixture(scope="module", params=["tree", "unpacked"])
def wheel(request, tmp_path_factory):
    """Of the checkout, and of the sdist."""
    source = request.getfixturevalue(request.param)
    out = tmp_path_factory.mktemp("wheel")
    python("-m", "build", "--no-isolation", "--wheel", "--outdir", out, source)
    return next(out.glob("*.whl"))


@pytest.fixture
def fresh(tmp_path):
    """Installs into a fresh environment with the dependencies of this one; gives its Python."""
    folder = tmp_path / "fresh"
    python("-m", "venv", "--without-pip", folder)
    installed = run(folder / "bin/python", "-c", "import site; print(site.getsitepackages()[0])")
    dependencies = Path(pytest.__file__).parent.parent
    Path(installed.strip(), "dependencies.pth").write_text(f"{dependencies}\n")

    def install(*what):
        options = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
        python("-m", "pip", "--python", folder / "bin/python", "install", *options, *what)
        return folder / "bin/python"

    return install


def check_installation(interpreter, location, cwd):
    """Every module imports, from there; the rest of Python is as before."""
    lines = [
        "import collections, importlib, importlib.metadata, pathlib, stones",
        "import collections.abc, stones.testing",
        f"for name in {MODULES!r}: print(importlib.import_module(name).__file__)",
        "package = pathlib.Path(stones.__file__).parent",
        "assert (package / 'py.typed').exists()",
        "from stones.browser.rendering import templates",
        "assert templates.get_template('base.html')",
        "assert not (package / 'collections/__init__.py').exists()",
        "assert collections.OrderedDict",
        "assert stones.__version__ == importlib.metadata.version('stones')",
    ]
    files = run(interpreter, "-c", "\n".join(lines), cwd=cwd).split()
    assert len(files) == len(MODULES)
    assert {file for file in files if not Path(file).is_relative_to(location)} == set()
    assert "migrate" in run(interpreter.parent / "stones", "--help", cwd=cwd)


def test_a_wheel_installs_every_module(wheel, fresh, tmp_path):
    check_installation(fresh(wheel), tmp_path / "fresh", tmp_path)


def test_a_wheel_has_nothing_beside_the_package(wheel):
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"stones"}


def test_the_sdist_installs_every_module(sdist, fresh, tmp_path):
    check_installation(fresh(sdist), tmp_path / "fresh", tmp_path)


def test_the_sdist_can_be_built_and_tested(unpacked):
    wanted = ["pyproject.toml", "Makefile", ".ci/run", "LICENSE", "README.md", "CHANGELOG.md"]
    wanted += ["docs/conf.py", "tests/conftest.py", "tests/test_packaging.py"]
    assert [name for name in wanted if not (unpacked / name).exists()] == []


def test_the_sdist_has_nothing_that_the_repository_has_not(unpacked):
    python("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_repository.py", cwd=unpacked)


def test_a_checkout_installs_every_module(tree, fresh, tmp_path):
    check_installation(fresh(tree), tmp_path / "fresh", tmp_path)


def test_a_checkout_installs_every_module_editable(tree, fresh, tmp_path):
    check_installation(fresh("--editable", tree), tree, tmp_path)


def test_in_a_checkout_the_standard_library_is_what_it_was(tree, fresh):
    """`collections/` is first on `sys.path` there: an `__init__.py` in it would break Python."""
    check_installation(fresh("--editable", tree), tree, cwd=tree)


def test_importing_stones_loads_nothing_that_only_some_need():
    loaded = python("-c", "import stones, sys; print(*sys.modules)").split()
    assert "stones" in loaded
    upper = {
        name for name in loaded if name.startswith(("stones.collections", "stones.migrations"))
    }
    assert (LAZY & set(loaded)) | upper == set()
