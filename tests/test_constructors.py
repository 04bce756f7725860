"""What a constructor takes, read from its code, compared with what `inspect.signature` says."""

import inspect
from functools import wraps
from itertools import combinations
from typing import NamedTuple

import pytest

from stones.collections.records.constructors import check_arguments, positional_parameters

NAMES = [names for size in range(5) for names in combinations("abcd", size)]


class Plain:
    def __init__(self, a, b, c=1):
        self.fields = a, b, c


class ByName:
    def __init__(self, a, *, b, c=1):
        self.fields = a, b, c


class ByPosition:
    def __init__(self, a, b, /, c=1):
        self.fields = a, b, c


class Anything:
    def __init__(self, *args, **fields):
        self.fields = args, fields


class Several:
    def __init__(self, a, b=1, *others, c, **fields):
        self.fields = a, b, others, c, fields


class Made:
    def __new__(cls, a, b=1):
        made = super().__new__(cls)
        made.fields = a, b
        return made


class MadeTwice(Made):
    def __init__(self, b, a=0):
        self.fields = b, a


class Pair(NamedTuple):
    a: int
    b: int = 1


class Nothing:
    pass


class Meta(type):
    def __call__(cls, a=1):
        return super().__call__(a, 2)


class OfMeta(metaclass=Meta):
    def __init__(self, a, b):
        self.fields = a, b


class Decorated:
    @wraps(Plain.__init__)
    def __init__(self, *args, **fields):
        Plain.__init__(self, *args, **fields)


CLASSES = (
    Plain,
    ByName,
    ByPosition,
    Anything,
    Several,
    Made,
    MadeTwice,
    Pair,
    Nothing,
    OfMeta,
    Decorated,
    ValueError,
)


@pytest.mark.parametrize("names", NAMES, ids="".join)
@pytest.mark.parametrize("cls", CLASSES)
def test_a_class_takes_the_arguments_that_its_signature_takes(cls, names):
    assert takes(check_arguments, cls, names) == takes(check_by_signature, cls, names)


@pytest.mark.parametrize("cls", [Plain, ByName, ByPosition, Made, Pair])
def test_arguments_by_position_mean_the_same_as_by_name(cls):
    assert positional_parameters(cls) == tuple(
        name
        for name, parameter in inspect.signature(cls).parameters.items()
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY
    )


@pytest.mark.parametrize("cls", [Anything, MadeTwice, Nothing, OfMeta, Decorated, ValueError])
def test_arguments_are_given_by_name_where_the_code_does_not_tell_their_order(cls):
    assert not positional_parameters(cls)


def check_by_signature(cls, names):
    inspect.signature(cls).bind(**dict.fromkeys(names))


def takes(check, cls, names):
    try:
        check(cls, names)
    except (TypeError, ValueError) as error:
        return str(error)
    return True
