"""How error messages show a value. A message never fails because of the value that it shows."""

import math
from contextlib import suppress
from reprlib import Repr
from typing import Any


def show(value: object) -> str:
    """A value in less than about 100 characters.

    >>> show('x' * 200)
    "'xxxxxxxxxxxxxxxxxxxxxxxxxxx...xxxxxxxxxxxxxxxxxxxxxxxxxxxx'"
    >>> print(show(10**5000))
    <an int of very many digits>
    """
    return _SHORT.repr(value)


def show_value(value: object) -> str:
    """A value with its type, in less than about 100 characters.

    >>> show_value(5), show_value('x'), show_value(None)
    ('int 5', "str 'x'", 'None')
    """
    if value is None:
        return "None"
    text = _SHORT_WITH_TYPE.repr(value)
    name = type(value).__name__
    return text if text.startswith(name) else f"{name} {text}"


def show_key(key: object) -> str:
    """The key of a record, in full if it has at most 1,000 characters.

    >>> show_key(('x' * 200, 7)) == repr(('x' * 200, 7))
    True
    >>> print(show_key(10**5000))
    <an int of very many digits>
    """
    with suppress(Exception):  # a __repr__ may raise anything
        text = repr(key)
        if len(text) <= 1000:
            return text
    return show(key)


def show_error(error: BaseException) -> str:
    """An exception of other code: its type and its text, in less than about 300 characters.

    >>> show_error(ValueError('no number'))
    'ValueError: no number'
    >>> show_error(KeyError(10**5000))
    'KeyError: <an int of very many digits>'
    """
    text = ", ".join(map(show, error.args))
    with suppress(Exception):  # a KeyError shows its key, which may have no repr
        text = str(error)
    text = text[:200].encode("utf-8", "backslashreplace").decode()  # it may have lone surrogates
    return f"{type(error).__name__}: {text}"


def show_count(count: int, one: str, more: str | None = None) -> str:
    """A number with its noun. `more` is the plural, if it is not `one` with an s.

    >>> show_count(1, 'record'), show_count(2000, 'entry', 'entries')
    ('1 record', '2,000 entries')
    """
    return f"{count:,} {one if count == 1 else more or one + 's'}"


def show_size(count: float) -> str:
    """A number of bytes in the unit that fits.

    >>> show_size(1), show_size(2_500_000)
    ('1 byte', '2.5 MB')
    """
    if count < 1000:
        return show_count(round(count), "byte")
    units = ["kB", "MB", "GB", "TB"]
    power = min(int(math.log(count, 1000)), len(units))
    return f"{count / 1000**power:,.1f} {units[power - 1]}"


class ShortRepr(Repr):
    """Short reprs for messages.

    Python refuses to write out an int of very many digits. Such an int is shown as `long_int`. The
    fields of a record are shown one by one if its own repr fails.
    """

    long_int = "<int>"

    def repr1(self, x: Any, level: int) -> str:
        with suppress(Exception):  # a __repr__ may raise anything
            return super().repr1(x, level)
        return self.long_int if isinstance(x, int) else self._repr_without_its_own(x, level)

    def repr_int(self, x: int, level: int) -> str:
        try:
            repr(x)
        except ValueError:  # Repr fails on it too, or in Python 3.14 shows its address
            return self.long_int
        return super().repr_int(x, level)

    def repr_instance(self, x: Any, level: int) -> str:
        return self._shortened(repr(x))  # Repr would show the address if this fails

    def _repr_without_its_own(self, x: Any, level: int) -> str:
        name = type(x).__name__
        fields = getattr(type(x), "__attrs_attrs__", ())
        if not fields or level <= 0:
            return f"<{name} without a repr>"
        shown = [f"{f.name}={self.repr1(getattr(x, f.name, None), level - 1)}" for f in fields]
        return self._shortened(f"{name}({', '.join(shown)})")

    def _shortened(self, text: str) -> str:
        if len(text) <= self.maxother:
            return text
        head = (self.maxother - 3) // 2
        return text[:head] + "..." + text[len(text) - (self.maxother - 3 - head) :]


_SHORT, _SHORT_WITH_TYPE = ShortRepr(), ShortRepr()
_SHORT.maxstring = _SHORT_WITH_TYPE.maxstring = 60
_SHORT.maxother = _SHORT_WITH_TYPE.maxother = 80
_SHORT.long_int, _SHORT_WITH_TYPE.long_int = "<an int of very many digits>", "of very many digits"
