"""What works on an open store, such as a view, is neither deep-copied nor pickled without it."""

from typing import Any, NoReturn, Self

from stones.errors import ValueTypeError


class BoundToStore:
    """A view, a query or a collection: it reads from a store, and holds no entries of its own.

    `copy.copy` gives another one on the same store. A deep copy would be on no store, or on a copy
    that nobody knows of, so it is refused. So is pickling.

    >>> import copy
    >>> from stones import MemoryStore
    >>> store = MemoryStore(a=1)
    >>> list(copy.copy(store.keys()))
    [b'a']
    >>> copy.deepcopy(store.keys())
    Traceback (most recent call last):
    stones.errors.ValueTypeError: Keys works on an open store and cannot be deep-copied: take \
list() of it
    """

    __slots__ = ()

    _copied_by = "take list() of it"
    """What the user does instead of a deep copy."""

    def __copy__(self) -> Self:
        twin = object.__new__(type(self))
        state: Any = object.__getstate__(self)  # the __dict__, or that and the slots
        for part in state if isinstance(state, tuple) else (state,):
            for name, value in (part or {}).items():
                setattr(twin, name, value)
        return twin

    def __deepcopy__(self, memo: object) -> NoReturn:
        raise ValueTypeError(
            f"{type(self).__name__} works on an open store and cannot be deep-copied: "
            f"{self._copied_by}"
        )

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise ValueTypeError(
            f"{type(self).__name__} works on an open store and cannot be pickled, or passed to "
            "another process: pass the name or path of the store, and open it there"
        )
