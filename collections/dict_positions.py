"""Completes the dicts of classes inside a field, by their positions in its value.

`stones.collections.records.parts.Part.positions` tells the positions, and the description of the
collection keeps them: no class is needed here.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, Final

Complete = Callable[[Any], Any]
"""Gives a value with the kept defaults: itself, if it lacks nothing."""

CONTAINERS: Final = frozenset({dict, list, tuple})
"""The types of values that may have such dicts, or be one."""


def completed_at(positions: Iterable[str], complete: Complete) -> Complete:
    """What completes the dicts at these positions of a value. `complete` does it for one of them.

    >>> named = lambda place: {'city': 'Rome', **place}
    >>> completed_at(['{}'], named)({'home': {}, 'work': {'city': 'Oslo'}})
    {'home': {'city': 'Rome'}, 'work': {'city': 'Oslo'}}
    >>> completed_at(['[1]', '{}[]'], named)((1, {}))
    (1, {'city': 'Rome'})
    """
    inside = defaultdict[str, list[str]](list)
    for position in positions:
        end = position.find("]" if position.startswith("[") else "}") + 1
        inside[position[:end]].append(position[end:])
    steps = {step: completed_at(rest, complete) for step, rest in inside.items() if step}
    of_values, of_items = steps.pop("{}", None), steps.pop("[]", None)
    of_dict = of_values and _each_value(of_values)
    if "" in inside:
        # The value may be a dict of the class, or a dict of such dicts. Then nobody can tell.
        of_dict = None if of_values else complete
    of_item = {int(step[1:-1]): each for step, each in steps.items()}

    def completed(value: Any) -> Any:
        if type(value) is dict:
            return value if of_dict is None else of_dict(value)
        if type(value) not in CONTAINERS or bool(of_item) == bool(of_items):
            return value
        items = [
            item if (each := of_item.get(number, of_items)) is None else each(item)
            for number, item in enumerate(value)
        ]
        same = all(old is new for old, new in zip(value, items, strict=True))
        return value if same else type(value)(items)

    return completed


def _each_value(complete: Complete) -> Complete:
    def completed(value: Any) -> Any:
        changed = {
            key: after for key, inside in value.items() if (after := complete(inside)) is not inside
        }
        return {**value, **changed} if changed else value

    return completed
