"""Steps in files: a folder of a user's program, such as `migrations/`, with one file a step.

    migrations/0001_users_rename_mail.py
    migrations/0002_users_add_id.py

A file is Python of the user's program, and is run. It sets these names:

    collection = 'User'                         the collection that the step is for
    migration = Migration(1, ...)               the step, with the number of the file
    record = 'app.models:User'                  optional: the class of the records after the step

Each collection has numbers of its own. Other files of the folder are left alone.
"""

import re
import sys
from collections.abc import Sequence
from hashlib import blake2b
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from os import PathLike
from pathlib import Path
from types import ModuleType
from typing import Any

from attrs import frozen

from stones.errors import MigrationError
from stones.formats.messages import show, show_error, show_value

from .migration import Migration


@frozen
class StepFile:
    """A file of a step, and what it sets."""

    path: Path
    collection: str
    migration: Migration
    record: str | type | None = None
    """The class of the records after the step, or `module:Class`."""


def load_migrations(folder: str | PathLike[str], collection: str) -> list[Migration]:
    """The steps of a collection in a folder of files, for `Collection(..., migrations=)`.

    A file such as `0002_users_drop_legacy.py` sets `collection = 'User'` and `migration =
    Migration(2, drop=['legacy'])`. All files of the folder are run: load what you trust. A
    collection without files has no steps.

    Raises MigrationError, with the file, for a file that cannot be run or that lacks a name, for a
    number that is not the number of the file, for two files with the same number, and for a gap.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> text = '''
    ... from stones import Migration
    ... collection = 'User'
    ... migration = Migration(1, rename={'mail': 'email'})
    ... '''
    >>> with TemporaryDirectory() as folder:
    ...     written = Path(folder, '0001_users_rename_mail.py').write_text(text)
    ...     [step.name for step in load_migrations(folder, 'User')]
    ['rename mail to email']
    """
    if not isinstance(collection, str):
        raise MigrationError(
            f"load_migrations() takes the name of a collection, not {show_value(collection)}"
        )
    files = read_step_files(folder)
    return [file.migration for file in files if file.collection == collection]


def read_step_files(folder: str | PathLike[str]) -> Sequence[StepFile]:
    """The files of steps in a folder, by their numbers. Raises as `load_migrations`."""
    place = Path(folder)
    try:
        paths = [path for path in place.iterdir() if _FILE.fullmatch(path.name)]
    except OSError as error:
        is_missing = isinstance(error, FileNotFoundError)
        advice = "; `stones migrations new` makes it, with the first step" if is_missing else ""
        raise MigrationError(
            f"the folder of steps {show(str(folder))} cannot be read: {error.strerror or error}"
            f"{advice}"
        ) from error
    files = sorted(map(_read, paths), key=lambda file: (file.migration.number, file.path.name))
    last: dict[str, StepFile] = {}
    for file in files:
        before = last.get(file.collection)
        number = file.migration.number
        if before is not None and number == before.migration.number:
            raise MigrationError(
                f"{before.path.name} and {file.path.name} are both step {number} of "
                f"{file.collection!r}: give one of them the next number"
            )
        if before is not None and number > before.migration.number + 1:
            raise MigrationError(
                f"the steps of {file.collection!r} have a gap: {file.path.name} comes after "
                f"{before.path.name}, and step {before.migration.number + 1} is missing"
            )
        last[file.collection] = file
    return files


def class_of_name(name: str) -> type:
    """The class for `module:Class`. Raises MigrationError."""
    module, colon, path = name.partition(":")
    if not (module and colon and path):
        raise MigrationError(f"{show(name)} names no class: write 'app.models:User'")
    try:
        found: Any = import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except Exception as error:  # the module of a user may raise anything
        raise MigrationError(
            f"the class {show(name)} cannot be imported: {_line(error)}"
        ) from error
    if not isinstance(found, type):
        raise MigrationError(f"{show(name)} is {show_value(found)}, and no class")
    return found


_FILE = re.compile(r"(\d+)_\w+\.py")


def _read(path: Path) -> StepFile:
    module = _run(path)
    names = vars(module)
    for name, kind, example in (
        ("collection", str, "collection = 'User'"),
        ("migration", Migration, "migration = Migration(1, ...)"),
    ):
        if name not in names:
            raise MigrationError(f"{path}: it does not set {name!r}: write {example}")
        if not isinstance(names[name], kind):
            raise MigrationError(f"{path}: {name!r} is {show_value(names[name])}: write {example}")
    record = names.get("record")
    if not (record is None or isinstance(record, str | type)):
        raise MigrationError(
            f"{path}: 'record' is a class or 'app.models:User', not {show(record)}"
        )
    migration: Migration = names["migration"]
    found = _FILE.fullmatch(path.name)
    if found is not None and migration.number != int(found[1]):
        raise MigrationError(
            f"{path}: it has Migration({migration.number}, ...), and the number of the file is "
            f"{int(found[1])}: make them the same"
        )
    return StepFile(path, names["collection"], migration, record)


def _run(path: Path) -> ModuleType:
    """The module of a file, which is run anew."""
    place = blake2b(str(path.resolve()).encode("utf-8", "surrogateescape"), digest_size=4)
    name = f"stones_step_{place.hexdigest()}_{path.stem}"
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise MigrationError(f"{path}: it cannot be run as Python")
    module = module_from_spec(spec)
    sys.modules[name] = module  # attrs and dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the file of a user may raise anything
        sys.modules.pop(name, None)
        raise MigrationError(f"{path}: it cannot be run: {_line(error)}") from error
    return module


def _line(error: Exception) -> str:
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {error.msg}"
    return show_error(error)
