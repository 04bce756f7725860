"""Which annotations have only simple stored values, which some serializers encode faster.

`stones.formats.serializers.Serializer` says which values are simple.
"""

from collections.abc import Collection
from types import NoneType

from .conversion import Conversion

_SIMPLE = frozenset({NoneType, bool, int, float, str, bytes})


def has_simple_values(conversion: Conversion, around: Collection[Conversion] = ()) -> bool:
    """Whether all stored values are simple. `around` are the conversions that this one is in.

    It is False for a type that contains itself: a serializer may write such a value so deeply
    nested that it cannot be read.
    """
    if conversion in around:
        return False
    around = (*around, conversion)
    if conversion.members:
        return all(has_simple_values(member, around) for member in conversion.members)
    if conversion.fields is not None:
        return all(
            type(name) is str and has_simple_values(field, around)
            for name, field in conversion.fields.items()
        )
    if conversion.stored_types <= _SIMPLE:
        return True
    if conversion.key is not None and conversion.key.stored_types != {str}:
        return False
    is_list_or_dict = conversion.stored_types == ({list} if conversion.key is None else {dict})
    items = conversion.items  # an enum whose values are lists has none
    return is_list_or_dict and len(items) == 1 and has_simple_values(items[0], around)
