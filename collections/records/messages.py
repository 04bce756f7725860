"""How error messages show an annotation, and a value of another class.

`stones.collections.keys` and the modules of this folder use it, and it imports no module of either.
"""

from typing import Any, get_args


def show_annotation(annotation: Any) -> str:
    """An annotation as its author writes it.

    >>> show_annotation(int), show_annotation(dict[str, list[int]])
    ('int', 'dict[str, list[int]]')
    """
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__name__
    return repr(annotation).replace("typing.", "")


def same_name_hint(cls: type, value: object) -> str:
    """What a message adds for an instance of another class with the same name, as in a notebook."""
    kind = type(value)
    if kind is cls or kind.__name__ != cls.__name__ or isinstance(value, cls):
        return ""
    return (
        ", of another class with this name: if the class was defined again, make the collection "
        "again too"
    )
