"""The types that programs have registered with `register_type`, and the types that stones ships.

`stones.formats.tags` writes a value of such a type as the name of the type and a packed value. The
shipped types are modules of `stones.formats.shipped_types`. Each is imported when a value of its
package is written, or when a stored value names it. So `import stones` imports no numpy.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from importlib import import_module
from types import NoneType
from typing import Any, ClassVar, Literal, TypeVar
from uuid import UUID

from attrs import field, frozen

from stones.errors import FormatMismatchError, SerializerError

from .messages import show

T = TypeVar("T")

MAX_NAME = 100
"""A name of a type has at most so many characters."""


@frozen(eq=False)
class RegisteredType:
    """How the values of a class become plainer values, and back."""

    cls: type
    name: str
    """It is stored with each value. It stays the same if the class moves to another module."""
    pack: Callable[[Any], Any]
    unpack: Callable[[Any], Any]
    """Raises anything for a value that `pack` did not make."""
    instances: tuple[type, ...]
    """The types of the values. It is `cls` alone, unless `cls` makes instances of subclasses."""


@frozen
class UnknownValue:
    """A stored value whose type is not registered here. It is written as it was read.

    No user gets it: it is made only inside `unknown_types_kept`.
    """

    name: str
    packed: Any = field(hash=False)

    is_met: ClassVar[bool] = False
    """Whether this process has made one. Most programs know all types of their stores."""

    def __attrs_post_init__(self) -> None:
        UnknownValue.is_met = True


class UnknownTypeError(FormatMismatchError):
    """A stored value is of a type that is not registered here."""

    def __init__(self, name: str) -> None:
        super().__init__(unknown_type_text(name))
        self.name = name


class UnpackError(ValueError):
    """The function that unpacks a type has failed. The text names the type."""


def register_type(
    cls: type[T], name: str, pack: Callable[[T], Any], unpack: Callable[[Any], T]
) -> None:
    """Let json, cbor and msgpack hold the values of a class of your own, and fields of records too.

    `pack` makes a plainer value of an instance: a value that the serializers hold, or a value of
    another registered type. `unpack` makes the instance again. `name` is stored with each value. So
    each program that reads the value registers the class under the same name first. The module of
    the class may change later.

    Only instances of exactly this class are taken, not of a subclass: register a subclass under a
    name of its own. A type that stones ships may be registered too; new values are then written by
    your functions. pickle and noop are not affected. Any thread may call this at any time.

    Raises SerializerError if the name is not printable or has more than 100 characters, if it
    belongs to another class, or if the class has another name. If a class of the same module and
    name takes the place of an earlier one, as in a notebook, the functions are replaced.

    >>> import stones
    >>> class Money:
    ...     def __init__(self, amount, currency):
    ...         self.amount, self.currency = amount, currency
    ...     def __repr__(self):
    ...         return f'{self.amount} {self.currency}'
    >>> stones.register_type(
    ...     Money, 'money', lambda it: [it.amount, it.currency], lambda parts: Money(*parts)
    ... )
    >>> store = stones.MemoryStore(serialize='json')
    >>> store['price'] = {'net': Money(5, 'EUR')}
    >>> store['price']
    {'net': 5 EUR}
    """
    if not isinstance(cls, type):
        raise SerializerError(f"register_type() takes a class, not {show(cls)}")
    if cls in _PLAIN or cls is UnknownValue:
        raise SerializerError(f"{cls.__name__} is stored as it is: it cannot be registered")
    if type(name) is not str or not (0 < len(name) <= MAX_NAME and name.isprintable()):
        raise SerializerError(
            f"{show(name)} cannot be the name of a type: use 1 to {MAX_NAME} printable characters"
        )
    if _shipped_package(name):
        raise SerializerError(f"the name {name!r} belongs to stones: take another name")
    for function in (pack, unpack):
        if not callable(function):
            raise SerializerError(
                f"a type is registered with two functions; {show(function)} is not one"
            )
    with _lock:
        _own.add(RegisteredType(cls, name, pack, unpack, (cls,)))


def registered_type(cls: type) -> RegisteredType | None:
    """The registered type whose instances are of exactly this class, or None."""
    found = _own.by_class.get(cls)
    if found is None and (package := _shipped_package(cls.__module__)):
        found = _shipped(package).by_class.get(cls)
    return found


def named_type(name: str) -> RegisteredType | None:
    """The registered type with this name, or None."""
    found = _own.by_name.get(name)
    if found is None and (package := _shipped_package(name)):
        found = _shipped(package).by_name.get(name)
    return found


def has_registered_subclass(cls: type) -> bool:
    """Whether a registered class is a subclass of this class."""
    package = _shipped_package(cls.__module__)
    known = [*_own.by_class, *(_shipped(package).by_class if package else ())]
    return any(cls in other.__mro__ for other in known)  # a TypedDict has no issubclass()


def unpack_value(stored: Any) -> Any:
    """The value of a pair of a name and a packed value.

    Raises UnknownTypeError if the name is not registered here, unless unknown types are kept.
    Raises ValueError and other errors for anything that stones did not write.
    """
    name, packed = stored
    if type(name) is not str:
        raise ValueError("the name of a type is not a string")
    keep = getattr(_mode, "keep", None)
    if keep == "all":
        return UnknownValue(name, packed)
    registered = named_type(name)
    if registered is None:
        if keep == "unknown":
            return UnknownValue(name, packed)
        raise UnknownTypeError(name)
    try:
        return registered.unpack(packed)
    except MemoryError:
        raise
    except Exception as error:  # a user's function may raise anything
        raise UnpackError(f"unpack of the type {name!r} failed: {error_text(error)}") from error


@contextmanager
def unknown_types_kept(keep: Literal["unknown", "all"] | None = "unknown") -> Iterator[None]:
    """In this block and thread, decoding makes an UnknownValue of a value of an unknown type.

    With `all`, it does so for a value of a known type too. With None, it raises UnknownTypeError.
    """
    before = getattr(_mode, "keep", None)
    _mode.keep = keep
    try:
        yield
    finally:
        _mode.keep = before


def known(value: Any) -> Any:
    """The value itself. Raises UnknownTypeError if it has a part of a type not registered here."""
    # A walk through the parts of a record takes as long as decoding it.
    return _checked(value) if UnknownValue.is_met else value


def _checked(value: Any) -> Any:
    kind = type(value)
    if kind is UnknownValue:
        raise UnknownTypeError(value.name)
    if kind is dict:
        for key, item in value.items():
            _checked(key)
            _checked(item)
    elif kind in (list, tuple, set, frozenset):
        for item in value:
            _checked(item)
    return value


def unknown_type_in(error: BaseException) -> str | None:
    """The name of the unknown type that caused an error of a decoder, or None."""
    cause = cause_in(error)
    return cause.name if isinstance(cause, UnknownTypeError) else None


def cause_in(error: BaseException) -> BaseException:
    """The error of a registered type that caused an error of a decoder, or the error itself.

    cbor2 wraps what goes wrong in the functions of stones in an error of its own.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, UnknownTypeError | UnpackError):
        cause = cause.__cause__
    return error if cause is None else cause


def unknown_type_text(name: str) -> str:
    """What a message says about a type that is not registered here."""
    package = _shipped_package(name)
    advice = (
        f"install {package}, in the version that the value was written with, or a later one"
        if package
        else "import the module that registers it, or call stones.register_type() first"
    )
    return f"the type {show(name)} is not known here: {advice}"


def error_text(error: BaseException) -> str:
    """An error of a user's function, in printable characters."""
    text = str(error)[:200]
    return f"{type(error).__name__}: {text if text.isprintable() else ascii(text)}"


class _Tables:
    """Registered types, by class and by name.

    A change makes new dicts: other threads may read the old ones.
    """

    def __init__(self, types: Iterable[RegisteredType] = ()) -> None:
        self.by_name: Mapping[str, RegisteredType] = {each.name: each for each in types}
        self.by_class: Mapping[type, RegisteredType] = {
            **{cls: each for each in types for cls in each.instances if cls is not each.cls},
            **{each.cls: each for each in types},
        }

    def add(self, new: RegisteredType) -> None:
        """Add a type. Raises SerializerError for a name or a class that is taken."""
        same_name, same_class = self.by_name.get(new.name), self.by_class.get(new.cls)
        if same_name is not None and _full_name(same_name.cls) != _full_name(new.cls):
            raise SerializerError(
                f"the name {new.name!r} belongs to the class {_full_name(same_name.cls)}: take "
                f"another name for {_full_name(new.cls)}"
            )
        if same_class is not None and same_class.name != new.name:
            raise SerializerError(
                f"{_full_name(new.cls)} is registered as {same_class.name!r} already: stored "
                "values have this name, so use it"
            )
        replaced = new.cls if same_name is None else same_name.cls
        others = {cls: known for cls, known in self.by_class.items() if cls is not replaced}
        self.by_class = {**others, new.cls: new}
        self.by_name = {**self.by_name, new.name: new}


_own = _Tables()
_lock = threading.Lock()
_mode = threading.local()

_PLAIN: frozenset[type] = frozenset(
    {
        *(NoneType, bool, int, float, str, bytes, list, tuple, set, frozenset, dict),
        *(datetime, date, time, timedelta, Decimal, UUID),
    }
)

_SHIPPED = {
    "fractions": "fraction",
    "ipaddress": "addresses",
    "numpy": "arrays",
    "pathlib": "paths",
}
"""The packages of the shipped types, and the module that registers the types of each."""

_loaded: dict[str, _Tables] = {}


def _full_name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _shipped_package(name: object) -> str | None:
    """The package of a shipped type, from the name of the type or of the module of its class."""
    package = name.partition(".")[0] if isinstance(name, str) else ""
    return package if package in _SHIPPED else None


def _shipped(package: str) -> _Tables:
    """The shipped types of a package. There are none if it is not installed."""
    if package not in _loaded:
        try:
            module = import_module(f".shipped_types.{_SHIPPED[package]}", __package__)
        except ImportError:
            return _Tables()
        _loaded[package] = _Tables(module.TYPES)
    return _loaded[package]
