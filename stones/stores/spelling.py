"""Refuses an option that is misspelled, where a store also takes entries as keyword arguments."""

from collections.abc import Collection, Mapping
from typing import Any

from stones.errors import ValueTypeError


def check_spelling(store: str, entries: Mapping[str, Any], options: Collection[str]) -> None:
    """Raise ValueTypeError for one of `entries` that must be meant as an option.

    `store` is the name of the class, and `options` are the options that it has.
    """
    if not entries:
        return
    from difflib import get_close_matches  # few stores are filled by keyword arguments

    possible = {*options} - {"name"}
    for key in entries:
        meant = get_close_matches(key, possible, n=1, cutoff=0.85)
        if meant or key in ("create", "durability", "readonly", "table"):
            hint = f"is {meant[0]!r} meant?" if meant else "it is for a store on disk."
            raise ValueTypeError(
                f"{store} has no option {key!r}: {hint} To store a value under this key, give "
                f"a dict: {store}({{{key!r}: ...}})"
            )
