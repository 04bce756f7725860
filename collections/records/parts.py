"""Where the dicts of attrs classes lie inside a stored value.

An annotation with a class in it, such as `dict[str, list[Address]]`, has a `Part`. It finds the
dicts of the class in a stored value. An annotation without a class has no part.

The program that wrote a record may have known the class with other fields. So parts do two things
with stored values. `completed` makes of a value the one that the class would store now. `carried`
takes along what the class does not know. Both leave a value as it is where the class cannot read
it. A value that does not change is returned itself, and never changed in place.

`classes` and `tagged_unions` have the parts of classes. `plain_values` and `unions` put them
together.
"""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from attrs import evolve, frozen


class Part(ABC):
    """Where the dicts of attrs classes lie inside the stored values of an annotation."""

    @abstractmethod
    def classes(self) -> Iterator["Part"]:
        """The parts of the classes, without the classes inside these."""

    def positions(self) -> Iterator[str]:
        """Where the dicts of the classes are in a value. Empty: the value is one itself.

        `{}` stands for each value of a dict, `[]` for each item of a list, `[1]` for one item of a
        tuple: `{}[]` for `dict[str, list[Address]]`. What an alias holds inside itself is left out.
        """
        yield ""

    @abstractmethod
    def completed(self, stored: Any, drop: bool) -> Any:
        """The stored value as its classes would store it now. Unknown fields stay if not `drop`."""

    @abstractmethod
    def carried(self, before: Any, after: Any) -> Any:
        """`after`, with the fields of `before` that the classes do not know."""


@frozen(eq=False, repr=False)  # which takes less than half the time to make
class Items(Part):
    """The items of a list or tuple."""

    item: Part
    is_ordered: bool = True
    """Whether the place of an item means something. It does not in a set stored as a list."""

    def classes(self) -> Iterator[Part]:
        return self.item.classes()

    def positions(self) -> Iterator[str]:
        return (f"[]{inside}" for inside in self.item.positions())

    def completed(self, stored: Any, drop: bool) -> Any:
        if not isinstance(stored, list | tuple):
            return stored
        items = [self.item.completed(item, drop) for item in stored]
        return type(stored)(items) if _changed(stored, items) else stored

    def carried(self, before: Any, after: Any) -> Any:
        """Each item takes along the unknown fields of the item before that it is equal to.

        Only the known fields are compared. An item that is equal to no item has been changed or is
        new. It takes those of the item at its place, if the list is as long as before and the item
        there is equal to no other one.
        """
        if not (isinstance(before, list | tuple) and isinstance(after, list | tuple)):
            return after
        unused = defaultdict[str, list[int]](list)
        for place in reversed(range(len(before))):
            unused[stable_text(self.item.completed(before[place], True))].append(place)
        sources: list[int | None] = []
        for item in after:
            equal = unused.get(stable_text(item))
            sources.append(equal.pop() if equal else None)
        if self.is_ordered and len(before) == len(after):
            used = set(sources)
            sources = [
                place if source is None and place not in used else source
                for place, source in enumerate(sources)
            ]
        items = [
            item if source is None else self.item.carried(before[source], item)
            for source, item in zip(sources, after, strict=True)
        ]
        return type(after)(items) if _changed(after, items) else after


@frozen(eq=False, repr=False)  # which takes less than half the time to make
class Elements(Part):
    """The elements of a tuple with a type for each. None for an element without a class."""

    elements: Sequence[Part | None]

    def classes(self) -> Iterator[Part]:
        for part in self.elements:
            if part is not None:
                yield from part.classes()

    def positions(self) -> Iterator[str]:
        for number, part in enumerate(self.elements):
            if part is not None:
                yield from (f"[{number}]{inside}" for inside in part.positions())

    def completed(self, stored: Any, drop: bool) -> Any:
        if not self._fits(stored):
            return stored
        items = [
            item if part is None else part.completed(item, drop)
            for part, item in zip(self.elements, stored, strict=True)
        ]
        return tuple(items) if _changed(stored, items) else stored

    def carried(self, before: Any, after: Any) -> Any:
        if not (self._fits(before) and self._fits(after)):
            return after
        items = [
            item if part is None else part.carried(old, item)
            for part, old, item in zip(self.elements, before, after, strict=True)
        ]
        return tuple(items) if _changed(after, items) else after

    def _fits(self, stored: Any) -> bool:
        return isinstance(stored, tuple) and len(stored) == len(self.elements)


@frozen(eq=False, repr=False)  # which takes less than half the time to make
class Values(Part):
    """The values of a dict."""

    value: Part

    def classes(self) -> Iterator[Part]:
        return self.value.classes()

    def positions(self) -> Iterator[str]:
        return (f"{{}}{inside}" for inside in self.value.positions())

    def completed(self, stored: Any, drop: bool) -> Any:
        if not isinstance(stored, dict):
            return stored
        values = [self.value.completed(value, drop) for value in stored.values()]
        changed = _changed(list(stored.values()), values)
        return dict(zip(stored, values, strict=True)) if changed else stored

    def carried(self, before: Any, after: Any) -> Any:
        if not (isinstance(before, dict) and isinstance(after, dict)):
            return after
        values = [
            self.value.carried(before[key], value) if key in before else value
            for key, value in after.items()
        ]
        changed = _changed(list(after.values()), values)
        return dict(zip(after, values, strict=True)) if changed else after


@frozen(eq=False, repr=False)  # which takes less than half the time to make
class Alternatives(Part):
    """One of several types. The type of the stored value tells which part it has."""

    alternatives: Sequence[tuple[tuple[type, ...], Part]]

    def classes(self) -> Iterator[Part]:
        for _, part in self.alternatives:
            yield from part.classes()

    def positions(self) -> Iterator[str]:
        for _, part in self.alternatives:
            yield from part.positions()

    def completed(self, stored: Any, drop: bool) -> Any:
        part = self._part_of(stored)
        return stored if part is None else part.completed(stored, drop)

    def carried(self, before: Any, after: Any) -> Any:
        part = self._part_of(after)
        return after if part is None else part.carried(before, after)

    def _part_of(self, stored: Any) -> Part | None:
        return next((part for types, part in self.alternatives if isinstance(stored, types)), None)


@frozen(eq=False, repr=False)  # which takes less than half the time to make
class Later(Part):
    """A type alias inside itself. Its part is known when the alias around it is complete."""

    part: Callable[[], Part | None]

    def classes(self) -> Iterator[Part]:
        return iter(())  # the alias around it gives the same classes

    def positions(self) -> Iterator[str]:
        return iter(())

    def completed(self, stored: Any, drop: bool) -> Any:
        part = self.part()
        return stored if part is None else part.completed(stored, drop)

    def carried(self, before: Any, after: Any) -> Any:
        part = self.part()
        return after if part is None else part.carried(before, after)


def items_part(item: Part | None) -> Part | None:
    """The part of a list, by the part of its items."""
    return None if item is None else Items(item)


def unordered_part(items: Part | None) -> Part | None:
    """The part of a set or a dict that is stored as a list, by the part of the list."""
    return evolve(items, is_ordered=False) if isinstance(items, Items) else None


def elements_part(elements: Sequence[Part | None]) -> Part | None:
    """The part of a tuple, by the parts of its elements."""
    return Elements(elements) if any(part is not None for part in elements) else None


def values_part(value: Part | None) -> Part | None:
    """The part of a dict, by the part of its values."""
    return None if value is None else Values(value)


def alternatives_part(
    alternatives: Sequence[tuple[tuple[type, ...], Part | None]],
) -> Part | None:
    """The part of a union, by the types of the stored values of its members, and their parts."""
    found = [(types, part) for types, part in alternatives if part is not None]
    return Alternatives(found) if found else None


def _changed(before: Sequence[Any], after: Sequence[Any]) -> bool:
    return any(old is not new for old, new in zip(before, after, strict=True))


def stable_text(value: Any) -> str:
    """The same text for equal stored values. Finding equal items by it takes no time for each pair.

    The order of fields is left out: the class may have changed it.
    """
    if isinstance(value, dict):
        return str(sorted((stable_text(key), stable_text(item)) for key, item in value.items()))
    if isinstance(value, set | frozenset):
        return str({"set": sorted(map(stable_text, value))})
    if isinstance(value, list | tuple):
        return str([stable_text(item) for item in value])
    # Python refuses to write out an int of very many digits, but not in hexadecimal.
    return hex(value) if type(value) is int else repr(value)
