"""Ints of any number of digits, as text, while several threads ask for them."""

import sys
from contextlib import ExitStack

import pytest

from stones.formats.any_digits import any_digits


def test_the_limit_is_back_at_the_end_of_the_last_block():
    """Blocks of two threads may overlap, and the first to begin may be the first to end."""
    limit = sys.get_int_max_str_digits()
    first, second = ExitStack(), ExitStack()
    first.enter_context(any_digits())
    second.enter_context(any_digits())
    first.close()
    assert len(str(10**5000)) == 5001
    second.close()
    assert sys.get_int_max_str_digits() == limit


def test_the_limit_is_back_after_an_error():
    limit = sys.get_int_max_str_digits()
    with pytest.raises(ValueError, match="invalid literal"), any_digits():
        int("x")
    assert sys.get_int_max_str_digits() == limit
