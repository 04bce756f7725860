"""Adding to a container and taking from it: what `deep_add` and `deep_remove` do to a value."""

from typing import Any

from stones.errors import ValueTypeError

_KINDS = (list, tuple, set, frozenset)


def added(kind: type, container: Any, value: Any) -> Any:
    """A container of type `kind` with what is in `container`, and `value` too."""
    _check(kind, container)
    return _made(kind, [*container, value])


def removed(kind: type, container: Any, value: Any) -> Any | None:
    """A container of type `kind` without the first `value`; None if `value` is not in it."""
    _check(kind, container)
    items = list(container)
    if value not in items:
        return None
    items.remove(value)
    return _made(kind, items)


def _check(kind: type, container: Any) -> None:
    if not issubclass(kind, _KINDS):
        raise ValueTypeError(
            f"deep_add() and deep_remove() work on list, tuple, set or frozenset, not on "
            f"{kind.__name__}: open the store with value_type=list, for instance"
        )
    if not isinstance(container, _KINDS):
        raise ValueTypeError(
            "deep_add() and deep_remove() work on a list, tuple, set or frozenset: the value "
            f"is of type {type(container).__name__}"
        )


def _made(kind: type, items: list[Any]) -> Any:
    try:
        return kind(items)
    except TypeError as error:  # a value that cannot be in a set
        raise ValueTypeError(f"the values cannot be in a {kind.__name__}: {error}") from error
