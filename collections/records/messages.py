"""How error messages show a value and an annotation.

`stones.collections.keys` and the modules of this folder use it, and it imports no module of either.
"""

from typing import Any, get_args

from stones.formats.serializers import ShortRepr


def show_value(value: object) -> str:
    """A value with its type, in less than about 100 characters.

    >>> show_value(5), show_value('x'), show_value(None)
    ('int 5', "str 'x'", 'None')
    """
    if value is None:
        return "None"
    text = _SHORT.repr(value)
    name = type(value).__name__
    return text if text.startswith(name) else f"{name} {text}"


def show_annotation(annotation: Any) -> str:
    """An annotation as its author writes it.

    >>> show_annotation(int), show_annotation(dict[str, list[int]])
    ('int', 'dict[str, list[int]]')
    """
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__name__
    return repr(annotation).replace("typing.", "")


_SHORT = ShortRepr()
_SHORT.long_int = "of very many digits"
_SHORT.maxstring, _SHORT.maxother = 60, 80
