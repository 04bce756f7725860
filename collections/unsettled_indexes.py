"""Which indexes can answer queries while records of a collection have had different steps.

An index sees the stored dicts as they are, so that every program can keep it. A query sees upgraded
dicts. An index answers only where the two see the same values: no step may change a name of its
paths, and records of all shapes must have the fields.
"""

from collections.abc import Iterable

from stones.collections.indexes.definition import IndexDefinition
from stones.collections.language.jsonpath import parse_filter

from .description import Description, Shape
from .program_steps import ProgramSteps
from .view_differences import names_in


def why_unsettled(
    index: IndexDefinition, description: Description, program: ProgramSteps
) -> str | None:
    """Why an index cannot answer queries while records lack steps, in words. None if it can.

    Whether it is built, and whether the class sees the same values, is not asked here.
    """
    steps = description.steps
    is_pending = steps.is_pending(program.last)
    if not is_pending and steps.to is None:
        return None
    end = f"migrations= brings to step {program.last}: call migrate()"
    if not is_pending:
        end = f"a newer program brings to step {steps.newest}"
    names = _names(index)
    touched = program.touched(steps) if is_pending else frozenset()
    if names is None or touched is None:
        return f"it may have other values in records that {end}"
    changed = names & touched
    if changed:
        return f"a step changes {min(changed)!r} in records that {end}"
    shapes = [description.shapes, *description.later.values()]
    lacking = [name for name in sorted(names) if not all(_has(x, name) for x in shapes)]
    return f"some records lack {lacking[0]!r}, of those that {end}" if lacking else None


def _names(index: IndexDefinition) -> frozenset[str] | None:
    """The names in the paths and in the condition of an index. None if they may be any."""
    names = frozenset(name for path in index.paths for name in path.split("."))
    if index.where is None:
        return names
    more = names_in(parse_filter(index.where).bound({}).expressions)
    return None if more is None else names | more


def _has(shapes: Iterable[Shape], name: str) -> bool:
    """Whether each dict of a class with a field of this name has it in its stored bytes."""
    having = [shape for shape in shapes if name in shape.fields or name in shape.absent]
    return bool(having) and not any(
        name in shape.absent or name in shape.defaults or name in shape.mixed for shape in having
    )
