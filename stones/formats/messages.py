"""How error messages show a value. A message never fails because of the value that it shows."""

from reprlib import Repr


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


class ShortRepr(Repr):
    """Short reprs for messages.

    Python refuses to write out an int of very many digits. Such an int is shown as `long_int`.
    """

    long_int = "<int>"

    def repr_int(self, x: int, level: int) -> str:
        try:
            repr(x)
        except ValueError:  # Repr fails on it too, or in Python 3.14 shows its address
            return self.long_int
        return super().repr_int(x, level)


_SHORT, _SHORT_WITH_TYPE = ShortRepr(), ShortRepr()
_SHORT.maxstring = _SHORT_WITH_TYPE.maxstring = 60
_SHORT.maxother = _SHORT_WITH_TYPE.maxother = 80
_SHORT.long_int, _SHORT_WITH_TYPE.long_int = "<an int of very many digits>", "of very many digits"
