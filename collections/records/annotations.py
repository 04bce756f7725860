"""What the annotations of an attrs class come down to: names resolved, type variables filled in.

`stones.collections.keys` and `stones.collections.records.converters` read the result.
"""

import typing
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, NewType, TypeVar, get_args, get_origin

import attrs
from attrs import Attribute

from stones.errors import CollectionError


def unwrap(annotation: Any) -> Any:
    """The annotation inside all wrappers: see `unwrap_once`."""
    while (inside := unwrap_once(annotation)) is not annotation:
        annotation = inside
    return annotation


def unwrap_once(annotation: Any) -> Any:
    """The annotation inside one wrapper: NewType, Annotated, Final, a type alias, a type variable.

    Returns an annotation that is not a wrapper as it is. An unknown type variable stands for its
    default, its constraints or its bound, and without these for Any.
    """
    if isinstance(annotation, NewType):
        return annotation.__supertype__
    if isinstance(annotation, TypeVar):
        return _unknown_variable(annotation)
    origin = get_origin(annotation) or annotation
    if origin is Annotated or origin is Final:
        return get_args(annotation)[0]
    # Compared by name: Python 3.11 has the class only in typing_extensions.
    if type(origin).__name__ == "TypeAliasType":
        variables = dict(zip(origin.__type_params__, get_args(annotation), strict=False))
        return _substitute(origin.__value__, variables)
    return annotation


def field_types(cls: type, arguments: Sequence[Any]) -> list[tuple["Attribute[Any]", Any]]:
    """The fields of an attrs class, each with its type; `arguments` are those of a generic class.

    Raises CollectionError for a name in an annotation that cannot be found.
    """
    _resolve(cls)
    variables = _variables(cls, arguments)
    return [
        (field, _substitute(field.type, variables[_owner(cls, field)]))
        for field in attrs.fields(cls)
    ]


def _resolve(cls: type) -> None:
    try:
        attrs.resolve_types(cls)
    except NameError:
        # A class inside of a function can at least be found by its own annotations.
        try:
            attrs.resolve_types(cls, localns={cls.__name__: cls})
        except NameError as error:
            raise CollectionError(
                f"an annotation of {cls.__qualname__} cannot be resolved, {error}: define the "
                f"class at the top level of a module, or first call "
                f"attrs.resolve_types({cls.__name__}, localns=locals())"
            ) from error


def _variables(cls: type, arguments: Sequence[Any]) -> dict[type, Mapping[Any, Any]]:
    """For a class and all that it inherits from: what their type variables stand for."""
    mine = dict(zip(getattr(cls, "__parameters__", ()), arguments, strict=False))
    found: dict[type, Mapping[Any, Any]] = {}
    for base in cls.__dict__.get("__orig_bases__", cls.__bases__):
        origin = get_origin(base) or base
        if isinstance(origin, type) and origin is not typing.Generic:
            found |= _variables(origin, [_substitute(x, mine) for x in get_args(base)])
    return {**found, cls: mine}


def _owner(cls: type, field: "Attribute[Any]") -> type:
    """The class that defines a field: `cls`, or one that it inherits from."""
    owners = (
        base
        for base in cls.__mro__
        if "__attrs_attrs__" in base.__dict__
        and any(own.name == field.name and not own.inherited for own in attrs.fields(base))
    )
    return next(owners, cls)  # a field_transformer may have made the field


def _substitute(annotation: Any, variables: Mapping[Any, Any]) -> Any:
    """An annotation with its type variables filled in, as far as they are known."""
    if isinstance(annotation, TypeVar):
        return variables.get(annotation, annotation)
    free = getattr(annotation, "__parameters__", ())
    if not free or isinstance(annotation, type):
        return annotation
    return annotation[tuple(variables.get(variable, variable) for variable in free)]


def _unknown_variable(variable: TypeVar) -> Any:
    has_default = getattr(variable, "has_default", None)  # from Python 3.13 on
    if has_default is not None and has_default():
        return getattr(variable, "__default__", Any)
    if variable.__constraints__:
        return typing.Union[variable.__constraints__]  # noqa: UP007 - they are a tuple
    return Any if variable.__bound__ is None else variable.__bound__
