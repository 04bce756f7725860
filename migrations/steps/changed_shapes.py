"""The shapes of records after some steps, where no class tells them."""

from collections.abc import Iterable

from attrs import evolve

from stones.collections.description import Shape
from stones.collections.record_steps import Step

from .migration import Migration


def path_after(path: str, steps: Iterable[Step]) -> str | None:
    """The path of a field after some steps. None if they drop it."""
    for step in steps:
        if not isinstance(step, Migration):
            continue
        for old, new in step.rename.items():
            if path == old or path.startswith(old + "."):
                path = new + path[len(old) :]
                break
        if any(path == gone or path.startswith(gone + ".") for gone in step.drop):
            return None
    return path


def shapes_after(shapes: tuple[Shape, ...], steps: Iterable[Step]) -> tuple[Shape, ...]:
    """The shapes of records after some steps.

    What a function does to a dict is not known. So after one, any record may lack any field.
    """
    steps = [*steps]
    first, *inside = (evolve(shape, defaults={}) for shape in shapes)
    if any(not isinstance(step, Migration) or not _is_plain(step) for step in steps):
        return tuple(evolve(shape, absent=shape.fields) for shape in (first, *inside))
    renamed = {name: path_after(name, steps) for name in first.fields}
    new = {name: None for step in steps if isinstance(step, Migration) for name in step.add}
    fields = dict.fromkeys(name for name in renamed.values() if name is not None) | new
    classes = {renamed.get(name): places for name, places in first.classes.items()}
    positions = {renamed.get(name): found for name, found in first.positions.items()}
    changed = evolve(
        first,
        fields=tuple(fields),
        absent=tuple(name for old in first.absent if (name := renamed.get(old)) is not None),
        mixed=tuple(name for old in first.mixed if (name := renamed.get(old)) is not None),
        classes={name: places for name, places in classes.items() if name is not None},
        positions={name: found for name, found in positions.items() if name is not None},
    )
    return (changed, *inside)


def _is_plain(step: Migration) -> bool:
    """Whether a step changes fields of the record by declaration, and none inside."""
    paths = [*step.rename, *step.rename.values(), *step.add, *step.drop, *step.convert]
    return step.change is None and step.key is None and not any("." in path for path in paths)
