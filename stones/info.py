"""Where `inspect` was before `from stones import inspect`. Imports from here go on working."""

from stones.repair.format_use import FormatUse
from stones.repair.info import CollectionUse, StoreInfo, inspect

__all__ = ["CollectionUse", "FormatUse", "StoreInfo", "inspect"]
