"""The KeyError for a key that is not there."""

from contextlib import suppress

from stones.formats.messages import show


class UnprintableKeyError(KeyError):
    """A KeyError with a key that Python cannot write out. Its message shows the key in short."""

    def __str__(self) -> str:
        return show(self.args[0])

    def __repr__(self) -> str:
        return f"KeyError({show(self.args[0])})"


def missing_key(key: object) -> KeyError:
    """A KeyError with the key, whose message never fails.

    It is a plain KeyError, as a dict raises it, if the key has a repr. An int of more than 4,300
    digits has no repr.

    >>> missing_key('k')
    KeyError('k')
    >>> print(missing_key(10**5000))
    <an int of very many digits>
    """
    if type(key) in (str, bytes):
        return KeyError(key)
    with suppress(Exception):  # a __repr__ may raise anything
        repr(key)
        return KeyError(key)
    return UnprintableKeyError(key)
