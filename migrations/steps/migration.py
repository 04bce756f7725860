"""Migration: one numbered step that changes the stored dicts of a collection."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from attrs import field, frozen

from stones.errors import MigrationError, RecordError
from stones.formats.messages import show, show_value

from .field_changes import (
    Action,
    added,
    added_to_read,
    converted,
    dropped,
    parent,
    path_names,
    renamed,
    step_failure,
)

Change = Callable[[dict[str, Any]], dict[str, Any] | None]


@frozen(eq=False)
class Migration:
    """One numbered step of a collection, as a declaration or with functions.

    A step changes the dict that is stored for a record. Its parts are done in this order: `rename`,
    `convert`, `drop`, `add`, `change`, `key`. A path such as 'address.city' names a field inside a
    dict, or inside each dict of a list. A field that a record does not have is left out: only `add`
    makes it. All values are stored values: a dict for an object of a class inside, for example.

    Raises MigrationError for a declaration that cannot be meant: without any change, with a number
    below 1, or with parts that contradict each other.

    >>> from decimal import Decimal
    >>> step = Migration(1, rename={'mail': 'email'}, convert={'balance': Decimal}, drop=['legacy'])
    >>> step.apply({'mail': 'ada@example.org', 'balance': '1.50', 'legacy': True})
    {'balance': Decimal('1.50'), 'email': 'ada@example.org'}
    >>> step.name
    'rename mail to email, convert balance by Decimal, drop legacy'

    A function gets the dict, and returns it changed, or another one. None removes the record:

    >>> def split_name(user):
    ...     first, last = user.pop('name').split()
    ...     return user | {'first': first, 'last': last}
    >>> Migration(2, change=split_name).apply({'name': 'Ada Lovelace', 'age': 36})
    {'age': 36, 'first': 'Ada', 'last': 'Lovelace'}
    >>> Migration(3, change=lambda user: user if user['age'] else None).apply({'age': 0})
    """

    number: int
    """The steps of a collection are numbered without gaps. The first one is 1."""
    rename: Mapping[str, str] = field(factory=dict, kw_only=True)
    """The paths of fields, with their new paths. A field that is there already is a failure."""
    add: Mapping[str, Any] = field(factory=dict, kw_only=True)
    """The paths of new fields, with the value that old records get, or a function that makes it."""
    convert: Mapping[str, Callable[[Any], Any]] = field(factory=dict, kw_only=True)
    """The paths of fields, with a class or a function that makes the new value of the old one.

    A class leaves None as it is. A function gets every value.
    """
    drop: Iterable[str] = field(default=(), kw_only=True)
    """The paths of fields that are removed."""
    change: Change | None = field(default=None, kw_only=True)
    """A function from the dict of a record to a dict, or to None, which removes the record.

    It may read other collections, in the same transaction. It may run several times for a record.
    """
    key: Callable[[dict[str, Any]], Any] | None = field(default=None, kw_only=True)
    """A function from the dict of a record to its new primary key."""
    reverse: Change | None = field(default=None, kw_only=True)
    """The function that undoes the step. A step that only renames fields does not need one."""
    name: str = field(default="", kw_only=True)
    """What the ledger says of the step. Without it, the parts of the step are listed."""
    _actions: tuple[Action, ...] = field(init=False, repr=False, default=())
    _actions_to_read: tuple[Action, ...] = field(init=False, repr=False, default=())

    def __attrs_post_init__(self) -> None:
        self._check_number()
        self._check_types()
        # A frozen class sets what it has worked out in this way.
        object.__setattr__(self, "drop", tuple(self.drop))
        self._check_paths()
        if not self.name:
            object.__setattr__(self, "name", ", ".join(self._parts()))
        actions: list[Action] = []
        if self.rename:
            actions.append(renamed(self.number, self.rename))
        actions += [
            converted(self.number, path, function) for path, function in self.convert.items()
        ]
        actions += [dropped(self.number, path) for path in self.drop]
        for name, add in (("_actions", added), ("_actions_to_read", added_to_read)):
            adding = [add(self.number, path, value) for path, value in self.add.items()]
            object.__setattr__(self, name, (*actions, *adding))

    def apply(self, record: dict[str, Any]) -> dict[str, Any] | None:
        """The dict of a record after the step, or None if the record is removed.

        It may change the dict that it gets. Raises RecordError, with the step and the path of the
        field, for what a function raises and for what cannot be done.
        """
        for action in self._actions:
            action(record)
        return record if self.change is None else self._changed(self.change, record)

    def apply_to_read(self, record: dict[str, Any]) -> dict[str, Any] | None:
        """The same, for a program that shows the dict, and does not store it.

        Raises MigrationError if a function in `add` that gives another value each time is needed.
        """
        for action in self._actions_to_read:
            action(record)
        return record if self.change is None else self._changed(self.change, record)

    @property
    def actions(self) -> Sequence[Action]:
        """What the declaration does, without `change`: functions that change a dict in place."""
        return self._actions

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

    @property
    def is_reversible(self) -> bool:
        """Whether `reversed` gives a step."""
        if self.reverse is not None:
            return True
        only_renames = not (self.add or self.convert or self.drop or self.change or self.key)
        # A field that moves into another dict may have made this dict: the way back is not sure.
        return only_renames and all(parent(old) == parent(new) for old, new in self.rename.items())

    def reversed(self) -> "Migration":
        """The step that undoes this one, with the same number. Raises MigrationError without one.

        >>> Migration(1, rename={'mail': 'email'}).reversed().apply({'email': 'ada@example.org'})
        {'mail': 'ada@example.org'}
        """
        name = f"undo: {self.name}"
        if self.reverse is not None:
            return Migration(self.number, change=self.reverse, name=name)
        if not self.is_reversible:
            raise MigrationError(
                f"step {self.number} ({self.name}) cannot be undone: it has no reverse= function"
            )
        back = {new: old for old, new in self.rename.items()}
        return Migration(self.number, rename=back, name=name)

    def _changed(self, change: Change, record: dict[str, Any]) -> dict[str, Any] | None:
        before = record.copy()
        try:
            after = change(record)
        except Exception as error:  # a function of the user may raise anything
            raise step_failure(self.number, _name_of(change), error) from error
        if after is None and before != record:
            raise RecordError(
                f"step {self.number}: {_name_of(change)} changed the dict and returned None, which "
                "removes the record: return the dict, or return None without a change"
            )
        if after is not None and type(after) is not dict:
            raise RecordError(
                f"step {self.number}: {_name_of(change)} returned {show_value(after)}, and not a "
                "dict or None"
            )
        return after

    # -- the declaration -----------------------------------------------------------------------

    def _check_number(self) -> None:
        if type(self.number) is not int or self.number < 1:
            raise MigrationError(
                f"the number of a step is an int from 1 on, not {show_value(self.number)}"
            )

    def _check_types(self) -> None:
        for part in ("rename", "add", "convert"):
            if not isinstance(getattr(self, part), Mapping):
                raise self._error(
                    f"{part}= is a dict of paths, not {show_value(getattr(self, part))}"
                )
        if isinstance(self.drop, str) or not isinstance(self.drop, Iterable):
            raise self._error(f"drop= is a list of paths, not {show_value(self.drop)}")
        for path, function in self.convert.items():
            if not callable(function):
                raise self._error(
                    f"convert= has a class or a function for each path, not "
                    f"{show_value(function)} for {show(path)}"
                )
        for part in ("change", "key", "reverse"):
            function = getattr(self, part)
            if function is not None and not callable(function):
                raise self._error(f"{part}= is a function, not {show_value(function)}")
        if not isinstance(self.name, str):
            raise self._error(f"name= is a text, not {show_value(self.name)}")
        if self.key is not None and self.reverse is not None:
            raise self._error(
                "a step with key= cannot have reverse=: go back with another step that has key="
            )

    def _check_paths(self) -> None:
        dropped = tuple(self.drop)
        for path in (*self.rename, *self.rename.values(), *self.add, *self.convert, *dropped):
            path_names(self.number, path)
        if not (self.rename or self.add or self.convert or dropped or self.change or self.key):
            raise self._error(
                "it changes nothing: give it rename=, add=, convert=, drop=, change= or key="
            )
        new = list(self.rename.values())
        self._check_apart(list(self.rename), "rename= and rename=")
        self._check_apart(new, "rename= and rename=")
        self._check_apart([*self.convert, *dropped], "convert= and drop=")
        self._check_apart([*self.add, *dropped], "add= and drop=")
        for old, path in self.rename.items():
            if old == path or _is_inside(old, path) or _is_inside(path, old):
                raise self._error(f"rename= cannot move {old!r} to {path!r}: use change=")
        for path in (*self.convert, *dropped):
            for old in self.rename:
                if path not in new and (path == old or _is_inside(path, old)):
                    raise self._error(
                        f"rename= has taken {old!r} away before {path!r} is changed: name the new "
                        f"path, {self.rename[old] + path[len(old) :]!r}"
                    )

    def _check_apart(self, paths: list[str], parts: str) -> None:
        """Raise if a path is named twice, or is inside another one."""
        for place, path in enumerate(paths):
            for other in paths[:place]:
                if path == other:
                    raise self._error(f"{path!r} is named twice, in {parts}")
                if _is_inside(path, other) or _is_inside(other, path):
                    raise self._error(f"{path!r} and {other!r} overlap, in {parts}: use two steps")

    def _error(self, message: str) -> MigrationError:
        return MigrationError(f"step {self.number}: {message}")

    def _parts(self) -> list[str]:
        """What the step does, in words."""
        parts = [f"rename {old} to {new}" for old, new in self.rename.items()]
        parts += [f"convert {path} by {_name_of(made)}" for path, made in self.convert.items()]
        parts += [f"drop {path}" for path in self.drop]
        parts += [f"add {path}" for path in self.add]
        if self.change is not None:
            parts.append(f"change by {_name_of(self.change)}")
        if self.key is not None:
            parts.append(f"key by {_name_of(self.key)}")
        return parts


def _is_inside(path: str, outer: str) -> bool:
    return path.startswith(outer + ".")


def _name_of(function: Any) -> str:
    return str(getattr(function, "__name__", type(function).__name__))
