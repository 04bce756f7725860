"""Modules that are imported when they are first used, where that must cost nothing afterwards.

A program that only reads and writes records does not wait for the language and the planner of
queries. An import in a function would be enough, but takes 0.3 µs of each call.
"""

from importlib import import_module
from typing import Any


class Later:
    """A module in the place of its import. It is imported when a name of it is first asked for.

    >>> language = Later("stones.collections.language.quoted")
    >>> sorted(vars(language))
    ['_module']
    """

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        found = getattr(import_module(self._module), name)
        setattr(self, name, found)
        return found
