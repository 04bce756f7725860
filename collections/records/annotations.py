"""The types of the fields of an attrs class, as annotations say them.

An annotation may be a string, a type variable of a generic class, or a wrapper around a type. Here
names are resolved, type variables are filled in, and wrappers are taken off. `converters` and
`stones.collections.keys` decide what the result means.
"""

import inspect
import typing
from collections.abc import Collection, Mapping, Sequence
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
    """The fields of an attrs class, each with its type. `arguments` fill in a generic class.

    Raises CollectionError for an annotation with a name that cannot be resolved.
    """
    _resolve(cls)
    variables = _variables(cls, arguments)
    return [
        (
            field,
            _substitute(field.type, variables[_owner(cls, field)])
            if _has_variables(field.type)
            else field.type,
        )
        for field in attrs.fields(cls)
    ]


def resolved_hints(cls: type) -> dict[str, Any]:
    """The annotations of any class and of the classes that it inherits from, by name.

    Raises CollectionError for an annotation with a name that cannot be resolved.
    """
    try:
        return typing.get_type_hints(cls, include_extras=True)
    except NameError:
        try:
            return typing.get_type_hints(cls, localns={cls.__name__: cls}, include_extras=True)
        except NameError as error:
            raise CollectionError(
                f"an annotation of {cls.__qualname__} cannot be resolved, {error}: define the "
                "class at the top level of a module"
            ) from error


def filled_in(cls: type, name: str, annotation: Any, arguments: Sequence[Any]) -> Any:
    """The annotation of the field `name` of any class. `arguments` fill in a generic class."""
    if not _has_variables(annotation):
        return annotation
    owner = next((base for base in cls.__mro__ if name in _own_names(base)), cls)
    return _substitute(annotation, _variables(cls, arguments).get(owner, {}))


def _has_variables(annotation: Any) -> bool:
    return isinstance(annotation, TypeVar) or bool(getattr(annotation, "__parameters__", ()))


def _own_names(cls: type) -> Collection[str]:
    """The names that a class itself annotates."""
    try:
        return inspect.get_annotations(cls)
    except NameError:  # in Python 3.14 the annotations are evaluated here
        return ()


def _resolve(cls: type) -> None:
    try:
        attrs.resolve_types(cls)
    except NameError:
        # The names of a class inside a function are unknown, except the name of the class itself.
        try:
            attrs.resolve_types(cls, localns={cls.__name__: cls})
        except NameError as error:
            raise CollectionError(
                f"an annotation of {cls.__qualname__} cannot be resolved, {error}: define the "
                f"class at the top level of a module, or first call "
                f"attrs.resolve_types({cls.__name__}, localns=locals())"
            ) from error


def _variables(cls: type, arguments: Sequence[Any]) -> dict[type, Mapping[Any, Any]]:
    """What the type variables stand for: of a class, and of each class that it inherits from."""
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
    return next(owners, cls)  # `cls` for a field that a field_transformer added


def _substitute(annotation: Any, variables: Mapping[Any, Any]) -> Any:
    """An annotation with its known type variables filled in."""
    if isinstance(annotation, TypeVar):
        return variables.get(annotation, annotation)
    free = getattr(annotation, "__parameters__", ())
    if not free or isinstance(annotation, type):
        return annotation
    return annotation[tuple(variables.get(variable, variable) for variable in free)]


def _unknown_variable(variable: TypeVar) -> Any:
    has_default = getattr(variable, "has_default", None)  # Python 3.13 and later
    if has_default is not None and has_default():
        return getattr(variable, "__default__", Any)
    if variable.__constraints__:
        return typing.Union[variable.__constraints__]  # noqa: UP007 - a tuple takes no |
    return Any if variable.__bound__ is None else variable.__bound__
