"""What the constructor of a class takes, read from its code.

`inspect.signature` tells the same of any class, and takes longer than all else that opening a
collection does with a class. It is asked only where the code does not tell.
"""

import inspect
from collections.abc import Collection, Sequence
from types import FunctionType
from typing import Any


def check_arguments(cls: type, names: Collection[str]) -> None:
    """Raise TypeError unless the class can be called with these names of arguments."""
    function = _function(cls)
    if function is None or not _takes(function, names):
        inspect.signature(cls).bind(**dict.fromkeys(names))


def positional_parameters(cls: type) -> Sequence[str]:
    """The parameters that may be given by position, in order. Empty if that cannot be told."""
    function = _function(cls)
    return () if function is None else _parameters(function)


def makes_instances_itself(cls: type) -> bool:
    """Whether code of the class's author may run when an instance is made and its fields are set.

    The constructor that attrs has generated does not count.
    """
    set_attribute: Any = cls.__setattr__
    make: Any = cls.__new__
    is_usual = set_attribute is object.__setattr__ or set_attribute.__module__ == "attr._make"
    return type(cls) is not type or make is not object.__new__ or not is_usual


def _takes(function: FunctionType, names: Collection[str]) -> bool:
    """Whether a constructor surely takes these names, and needs no others."""
    code = function.__code__
    takes_anything = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS  # and a function inside may not
    if code.co_posonlyargcount > 1 or code.co_flags & takes_anything:
        return False
    positional = _parameters(function)
    start = 1 + len(positional)
    by_name = code.co_varnames[start : start + code.co_kwonlyargcount]
    with_default = {*positional[len(positional) - len(function.__defaults__ or ()) :]}
    with_default |= {*(function.__kwdefaults__ or ())}
    parameters = {*positional, *by_name}
    return parameters - with_default <= {*names} <= parameters


def _parameters(function: FunctionType) -> Sequence[str]:
    code = function.__code__
    return code.co_varnames[1 : code.co_argcount]


def _function(cls: type) -> FunctionType | None:
    """The `__init__` or the `__new__` that gets all arguments. None if it is not so simple."""
    if type(cls).__call__ is not type.__call__:
        return None
    new, init = (getattr(cls, name) for name in ("__new__", "__init__"))
    if new is not object.__new__ and init is not object.__init__:  # both get the arguments
        return None
    function = init if new is object.__new__ else new
    return function if isinstance(function, FunctionType) else None
