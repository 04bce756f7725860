"""Writes the file of the next step: from what differs from a class, or a template to complete."""

import re
from os import PathLike
from pathlib import Path

from stones.collections.differences import Difference
from stones.collections.step_code import step_code
from stones.errors import MigrationError


def write_step_file(
    folder: str | PathLike[str],
    collection: str,
    number: int,
    difference: Difference,
    *,
    record: str | None = None,
    name: str | None = None,
) -> Path:
    """Write the file of a step, which nobody has written yet. Returns its path.

    `record` names the class of the records, and `name` is for the name of the file. Raises
    MigrationError if the file cannot be written.
    """
    words = re.sub(r"\W+", "_", f"{collection}_{name or _name_of(difference)}").strip("_").lower()
    path = Path(folder) / f"{number:04}_{words[:60]}.py"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "x", encoding="utf-8") as file:
            file.write(_text(collection, number, difference, record))
    except OSError as error:
        raise MigrationError(f"{path} cannot be written: {error.strerror or error}") from error
    return path


def _name_of(difference: Difference) -> str:
    parts = [f"rename {gone.path}" for gone in difference.gone if gone.new_path]
    parts += [f"convert {changed.name}" for changed in difference.changed]
    parts += [f"drop {gone.path}" for gone in difference.gone if not gone.new_path]
    parts += [f"add {added.path}" for added in difference.added]
    return parts[0] if parts else "change"


def _text(collection: str, number: int, difference: Difference, record: str | None) -> str:
    code = step_code(difference, number)
    imports = sorted({*code.imports, "from stones import Migration"}, key=_import_order)
    names = [f"collection = {collection!r}"]
    if record is not None:
        names.append(f"record = {record!r}")
    about = f"Step {number} of the collection {_docstring(collection)}."
    task = "Read it, complete it, and try it: stones migrations run PATH --dry-run"
    parts = [
        f'"""{about}\n\n{task}\n"""',
        "\n".join(imports),
        "\n".join(names),
        *(f"\n{function}\n" for function in code.functions),
        f"migration = {code.migration}",
    ]
    return "\n\n".join(parts) + "\n"


def _import_order(line: str) -> tuple[bool, str]:
    return "stones" in line, line


def _docstring(text: str) -> str:
    return text.replace("\\", "/").replace('"', "'")
