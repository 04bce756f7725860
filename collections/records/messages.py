"""How error messages show an annotation.

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
