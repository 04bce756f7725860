"""The default of a field as a stored value, if it is always the same.

A collection keeps the default that a field had when it was added (`stones.collections.shapes`).
"""

from typing import Any

from .fields import Field
from .parts import stable_text

COMPUTED: Any = object()
"""Stands for a default that is not a constant. The class computes it for each record."""


def constant_default(cls: type, field: Field) -> Any:
    """The stored value of the default of a field of `cls`. COMPUTED if the class computes it.

    A constant and an empty container (`factory=list`) are always the same. Any other factory may
    make another value each time, and a default that depends on the record is another one for each
    record. A field without a default gives COMPUTED too.
    """
    if field.make_default is None:
        return COMPUTED
    if not field.is_argument and any(
        hasattr(cls, hook) for hook in ("__attrs_post_init__", "__post_init__")
    ):
        return COMPUTED  # the constructor does not take it, so it is there to be computed
    dump, load = field.conversion_of_given().dump, field.conversion.load
    try:
        stored = dump(field.make_default())
        # A converter may compute too: `default_if_none(factory=uuid4)`.
        again = dump(field.make_default()), dump(load(stored))
        # Compared as texts, because NaN does not equal itself.
        is_constant = {stable_text(stored)} == set(map(stable_text, again))
    except Exception:  # noqa: BLE001  # a converter may raise anything
        return COMPUTED
    return stored if is_constant else COMPUTED
