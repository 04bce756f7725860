"""What may stand at the top of the repository, and that text is kept in it, in small files.

Only the documentation has pictures, as PNG.

In an unpacked sdist there is no git that knows which files are tracked: there every file counts
that `.gitignore` does not name.
"""

import os
import subprocess
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDERS = {".ci", "stones", "collections", "migrations", "tests", "docs"}
FILES = {
    ".gitignore",
    ".pre-commit-config.yaml",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "pyproject.toml",
}
OF_AN_SDIST = {"PKG-INFO"}
LARGEST = 300_000
PICTURES = "docs/pictures/*.png"
LARGEST_PICTURE = 150_000
PNG = b"\x89PNG\r\n\x1a\n"


def tracked() -> list[str]:
    """The paths of all files that belong to the repository."""
    if not ROOT.joinpath(".git").exists():
        return sorted(not_ignored())
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True)
    # A file that was removed is listed until the removal is staged.
    return [x for x in listed.stdout.decode().split("\0") if ROOT.joinpath(x).is_file()]


def not_ignored() -> Iterator[str]:
    """The paths of all files here, but for those that git would ignore."""
    ignored = [line.strip("/") for line in ROOT.joinpath(".gitignore").read_text().split()]
    for folder, folders, files in os.walk(ROOT):
        here = Path(folder).relative_to(ROOT)
        paths = {name: str(here / name) for name in [*folders, *files]}
        kept = {
            name
            for name, path in paths.items()
            if not any(fnmatch(path, each) or fnmatch(name, each) for each in ignored)
        }
        folders[:] = kept.intersection(folders)
        yield from (paths[name] for name in kept.intersection(files))


def is_text(path: Path) -> bool:
    data = path.read_bytes()
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in data


def is_picture(path: Path) -> bool:
    data = path.read_bytes()
    return data.startswith(PNG) and len(data) <= LARGEST_PICTURE


def test_at_the_top_stands_what_a_newcomer_looks_for_and_nothing_else():
    tops = {path.split("/")[0] for path in tracked()}
    assert tops - OF_AN_SDIST - FOLDERS - FILES == set()
    assert FILES - tops == set()


def test_no_file_is_large():
    assert [path for path in tracked() if ROOT.joinpath(path).stat().st_size > LARGEST] == []


def test_every_file_is_text_and_so_neither_a_wheel_nor_an_archive_nor_a_database():
    texts = [path for path in tracked() if not fnmatch(path, PICTURES)]
    assert [path for path in texts if not is_text(ROOT / path)] == []


def test_the_pictures_of_the_documentation_are_small():
    pictures = [path for path in tracked() if fnmatch(path, PICTURES)]
    assert [path for path in pictures if not is_picture(ROOT / path)] == []
