"""Where `inspect` was before `from stones import inspect`. Imports from here go on working."""

from stones.repair.info import CollectionUse, FormatUse, StoreInfo, inspect

__all__ = ["CollectionUse", "FormatUse", "StoreInfo", "inspect"]
