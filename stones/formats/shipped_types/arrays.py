"""The arrays and scalars of numpy.

An array is packed as its dtype, its shape, its order in memory and its bytes. The dtype is text, as
numpy writes it ('<f8'), or a dict for a structured one. A scalar is packed as the Python number or
text that it equals, if there is one. Arrays that contain Python objects are refused.

The bytes must fit the shape exactly, so a stored shape cannot take more memory than the value has.
"""

import re
from collections.abc import Callable, Iterator
from importlib import import_module
from math import prod
from typing import Any

from stones.errors import SerializerError
from stones.formats.registered_types import RegisteredType

np: Any = import_module("numpy")
"""Without its types: stones is checked where numpy is not installed, too."""

# -- dtypes ----------------------------------------------------------------------------------------

_SIMPLE = re.compile(r"[<>|][biufcSUVmM][0-9]{1,9}(\[[0-9]{0,9}[A-Za-z]{1,7}\])?")


def _describe(dtype: Any) -> Any:
    """A dtype as plain values."""
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return [_describe(base), list(shape)]
    if dtype.names is None:
        return dtype.str
    return {
        "names": list(dtype.names),
        "formats": [_describe(dtype.fields[name][0]) for name in dtype.names],
        "offsets": [dtype.fields[name][1] for name in dtype.names],
        "itemsize": dtype.itemsize,
    }


def _dtype(described: Any) -> Any:
    """The dtype of a description. Raises anything for a description that stones did not write."""
    if type(described) is str:
        if not _SIMPLE.fullmatch(described):
            raise ValueError("it is no dtype that stones writes")
        return np.dtype(described)
    if type(described) is dict:
        formats = [_dtype(each) for each in described["formats"]]
        return np.dtype({**described, "formats": formats})
    base, shape = described
    return np.dtype((_dtype(base), tuple(map(_size, shape))))


def _size(number: Any) -> int:
    if type(number) is not int or not 0 <= number < 1 << 62:
        raise ValueError("a shape is made of ints that are not negative")
    return number


# -- arrays ----------------------------------------------------------------------------------------


def _pack_array(array: Any) -> list[Any]:
    dtype = array.dtype
    if dtype.hasobject:
        raise SerializerError("its dtype contains Python objects, which only pickle can hold")
    if not dtype.itemsize and array.size:
        raise SerializerError("its elements have no size")
    described = _describe(dtype)
    try:
        is_same = _dtype(described) == dtype
    except (TypeError, ValueError):
        is_same = False
    if not is_same:
        raise SerializerError(f"its dtype {dtype!s:.60} cannot be stored; only pickle can hold it")
    is_fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    order = "F" if is_fortran else "C"
    return [described, list(array.shape), order, array.tobytes(order)]


def _unpack_array(packed: Any) -> Any:
    described, shape, order, raw = packed
    if type(raw) is not bytes or order not in ("C", "F"):
        raise ValueError("an array has its bytes, and the order C or F")
    dtype = _dtype(described)
    size = prod(map(_size, shape))
    if dtype.hasobject or size * dtype.itemsize != len(raw) or (size and not dtype.itemsize):
        raise ValueError("the bytes of the array do not fit its shape")
    array = np.ndarray(tuple(shape), dtype, bytearray(raw), order=order)  # it can be written
    if raw:
        _check_text(array)
    return array


def _check_text(array: Any) -> None:
    """Raise ValueError for text that is not Unicode, with which numpy could not work."""
    for name in array.dtype.names or ():
        _check_text(array[name])
    if array.dtype.kind == "U":
        byte_order = array.dtype.str[0]
        numbers = np.ascontiguousarray(array).reshape(-1).view(f"{byte_order}u4")
        if (numbers > 0x10FFFF).any():
            raise ValueError("the text of the array is not Unicode")


# -- scalars ---------------------------------------------------------------------------------------


def _scalar_type(cls: Any) -> RegisteredType:
    kind, size = np.dtype(cls).kind, np.dtype(cls).itemsize
    pack: Callable[[Any], Any]
    unpack: Callable[[Any, Any], Any]
    if kind in "Mm":
        pack, unpack = _pack_moment, _unpack_moment
    elif kind == "V" or (kind == "f" and size > 8) or (kind == "c" and size > 16):
        pack, unpack = _pack_other, _unpack_other
    elif kind == "c":
        pack, unpack = _pack_complex, _unpack_complex
    else:
        plain = {"b": bool, "i": int, "u": int, "f": float, "U": str, "S": bytes}[kind]
        pack, unpack = plain, _plain_value(plain)

    def checked(packed: Any) -> Any:
        with np.errstate(all="ignore"):
            value = unpack(cls, packed)
        if type(value) is not cls:
            raise ValueError(f"it is no {cls.__name__}")
        return value

    return RegisteredType(cls, f"numpy.{cls.__name__}", pack, checked, (cls,))


def _plain_value(plain: Any) -> Any:
    def unpack(cls: Any, packed: Any) -> Any:
        value = cls(packed) if type(packed) is plain else None
        if value is None or (plain(value) != packed and packed == packed):
            raise ValueError(f"it does not fit {cls.__name__}")
        return value

    return unpack


def _pack_complex(value: Any) -> list[float]:
    return [float(value.real), float(value.imag)]


def _unpack_complex(cls: Any, packed: Any) -> Any:
    real, imaginary = packed
    if type(real) is not float or type(imaginary) is not float:
        raise ValueError("a complex number is made of two floats")
    return cls(complex(real, imaginary))


def _pack_moment(value: Any) -> list[Any]:
    return [value.dtype.str, int(value.astype("int64"))]


def _unpack_moment(_cls: Any, packed: Any) -> Any:
    described, number = packed
    if type(number) is not int:
        raise ValueError("a moment is a number of units")
    return np.array([number], dtype="int64").view(_dtype(described))[0]


def _pack_other(value: Any) -> list[Any]:
    return _pack_array(np.asarray(value))


def _unpack_other(_cls: Any, packed: Any) -> Any:
    return _unpack_array(packed)[()]


def _scalar_classes(cls: Any) -> Iterator[Any]:
    """The classes of the scalars of numpy. Some of them are abstract: they have no instances."""
    for subclass in cls.__subclasses__():
        if subclass is np.void or not subclass.__subclasses__():
            yield subclass
        else:
            yield from _scalar_classes(subclass)


TYPES = [
    RegisteredType(np.ndarray, "numpy.ndarray", _pack_array, _unpack_array, (np.ndarray,)),
    *(
        _scalar_type(cls)
        for cls in _scalar_classes(np.generic)
        if cls.__module__ == "numpy" and cls is not np.object_
    ),
]
