"""Migration: one numbered step that changes the stored dicts of a collection."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import field, frozen

Change = Callable[[dict[str, Any]], dict[str, Any] | None]


@frozen(eq=False)
class Migration:
    """One numbered step of a collection, as a declaration or with functions.

    >>> from decimal import Decimal
    >>> Migration(1, rename={'mail': 'email'}, convert={'balance': Decimal}, drop=['legacy']).apply(
    ...     {'mail': 'ada@example.org', 'balance': '1.50', 'legacy': True})
    {'balance': Decimal('1.50'), 'email': 'ada@example.org'}
    """

    number: int
    """The steps of a collection are numbered without gaps."""
    rename: Mapping[str, str] = field(factory=dict, kw_only=True)
    """The paths of fields, with their new paths."""
    add: Mapping[str, Any] = field(factory=dict, kw_only=True)
    """New fields, with the value that old records get, or a function that makes it."""
    convert: Mapping[str, Callable[[Any], Any]] = field(factory=dict, kw_only=True)
    """The paths of fields, with a class or a function that makes the new value of the old one."""
    drop: Iterable[str] = field(default=(), converter=tuple, kw_only=True)
    """The paths of fields that are removed."""
    change: Change | None = field(default=None, kw_only=True)
    """A function from the dict of a record to a dict, or to None, which removes the record."""
    key: Callable[[dict[str, Any]], Any] | None = field(default=None, kw_only=True)
    """A function from the dict of a record to its new primary key."""
    reverse: Change | None = field(default=None, kw_only=True)
    """The function that undoes the step."""

    def apply(self, record: dict[str, Any]) -> dict[str, Any] | None:
        """The dict of a record after the step: rename, convert, drop, add, change, in this order.

        None if the record is removed. It may change the dict that it gets.
        """
        for old, new in self.rename.items():
            if old in record:
                record[new] = record.pop(old)
        for name, function in self.convert.items():
            if name in record:
                record[name] = function(record[name])
        for name in self.drop:
            record.pop(name, None)
        for name, value in self.add.items():
            record.setdefault(name, value() if callable(value) else value)
        return record if self.change is None else self.change(record)

    @property
    def touched(self) -> frozenset[str] | None:
        """The names in the paths that it may change. None if it may change any."""
        if self.change is not None or self.key is not None:
            return None
        paths = [*self.rename, *self.rename.values(), *self.add, *self.convert, *self.drop]
        return frozenset(name for path in paths for name in path.split("."))

    @property
    def changes_keys(self) -> bool:
        """Whether it gives records other keys."""
        return self.key is not None
