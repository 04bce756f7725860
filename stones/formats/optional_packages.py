"""Imports the packages that only compressed or encrypted values need, when they are needed."""

from importlib import import_module
from typing import Any

from stones.errors import StoreOpenError


def optional_module(name: str, extra: str) -> Any:
    """The module `name` of a package that the extra `extra` of stones installs.

    Raises StoreOpenError, which says what to install, if it cannot be imported.
    """
    try:
        return import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise StoreOpenError(
            f"{extra} needs the package {package}, which cannot be imported ({error}): run "
            f"`pip install stones[{extra}]`"
        ) from error
