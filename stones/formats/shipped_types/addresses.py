"""The six classes of `ipaddress`, packed as text: '10.0.0.0/8'."""

from collections.abc import Callable
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from typing import Any

from stones.formats.registered_types import RegisteredType


def _unpack(cls: type) -> Callable[[Any], Any]:
    def unpack(packed: Any) -> Any:
        if type(packed) is not str:  # the classes take numbers too
            raise ValueError("an address is text")
        return cls(packed)

    return unpack


TYPES = [
    RegisteredType(cls, f"ipaddress.{cls.__name__}", str, _unpack(cls), (cls,))
    for cls in (
        *(IPv4Address, IPv4Interface, IPv4Network),
        *(IPv6Address, IPv6Interface, IPv6Network),
    )
]
