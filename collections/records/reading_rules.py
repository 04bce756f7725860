"""How the records of one collection are read where they have other fields than the class."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from attrs import define

from .parts import Part

Unknown = Literal["error", "keep", "drop"]
"""What becomes of a field in a stored dict that the class does not know."""

KeptDefaults = Mapping[str, Callable[[], Any]]
"""The kept defaults of a class: for the name of a field a function that gives its stored value."""


def no_defaults(_: Part) -> KeptDefaults:
    """No class has a kept default."""
    return {}


@define(eq=False)
class ReadingRules:
    """What all classes in the records of one collection share."""

    unknown: Unknown = "error"
    """With "error" a dict with an unknown field cannot be read. Otherwise it can, without it."""
    kept_defaults: Callable[[Part], KeptDefaults] = no_defaults
    """Gives the defaults that the description of the collection keeps for a class.

    A dict that lacks a field was stored before the class had this field. It gets the default that
    the field had when it was added. The function is called only for such a dict.
    """
