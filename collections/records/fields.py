"""A field of an attrs class, a dataclass or a NamedTuple, with the conversion of its values."""

from collections.abc import Callable
from typing import Any

from attrs import evolve, frozen

from .conversion import Conversion, Convert, MisfitError


@frozen
class Field:
    """A field of an attrs class."""

    name: str
    """Its name in the constructor and in the stored dict."""
    attribute: str
    """Its name as an attribute."""
    conversion: Conversion
    is_argument: bool
    """Whether the constructor takes it. A field with `init=False` is not an argument."""
    has_default: bool
    converter: Convert | None = None
    """The converter of attrs, if it needs no record: the constructor calls it with the value."""
    make_default: Callable[[], Any] | None = None
    """Makes the default, before the converter. None if it depends on the record."""
    has_factory: bool = False
    """Whether `make_default` is a function of the user, which may give another value each time."""

    def conversion_of_given(self) -> Conversion:
        """The conversion of a value as the constructor takes it, before the converter."""
        converter, dump = self.converter, self.conversion.dump
        if converter is None:
            return self.conversion

        def dump_given(value: Any) -> Any:
            try:
                converted = converter(value)
            except Exception as error:  # a converter may raise anything
                raise MisfitError(f"{type(error).__name__}: {error}") from error
            return dump(converted)

        return evolve(self.conversion, dump=dump_given, exact_types=(), copied=None, of_class=None)
