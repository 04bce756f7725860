"""Which lane looks at a page, and what remains for the value lane.

To prepare a lane takes time. So a scan begins with a search for texts only, if the filter has any.
Once it turns out that there are many records, everything is prepared: patterns of numbers, and the
fields lane. Then it is measured how many values of a page each pretest leaves, again on every 64th
page, and the lane is chosen.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal
from weakref import WeakKeyDictionary

from attrs import define

from stones.collections.language.bound_filter import BoundFilter
from stones.collections.language.normal_form import AllOf
from stones.collections.readable_records import RecordReader
from stones.collections.stored_description import ReadDescription

from .byte_patterns import BytePatterns, Pretest, mentions_text, strictness
from .byte_search import places
from .conditions import conditions, predicate
from .field_lane import FieldLane, Found, field_lane
from .field_source import Path
from .notations import NOTATIONS, Notation
from .page import Page, PageMaker

Lane = Literal["bytes", "fields", "value"]

_VERY_FEW = 12
"""For a page of so few records it does not pay to prepare anything."""
_SOME = 300
"""After so many records it is asked how many there are."""
_MANY = 2000
"""From so many records on it pays to prepare all lanes."""
_FEW = 0.25
"""A pretest that leaves a larger part of a page is slower than the fields lane."""
_FEW_NUMBERS = 0.05
"""The same for a pretest with a pattern of numbers."""
_NEARLY_ALL = 0.9
"""A pretest that leaves a larger part of a page is slower than the value lane alone."""
_AGAIN = 64
"""After so many pages it is measured again."""
_WORTHWHILE = 8
"""For fewer values the value lane is as fast as the fields lane."""
_REFUSALS = 3
"""After so many pages of which the fields lane could tell little, it is not asked for a while."""


class PageFilter:
    """Finds the matches of a filter in the pages of one scan.

    `lane` makes one lane look at every page, however small, before the value lane does. Without it
    the fastest lanes are chosen. It is for tests: answers do not depend on it.
    """

    def __init__(
        self,
        filters: Sequence[BoundFilter],
        reader: RecordReader,
        *,
        wanted: Sequence[Path] = (),
        lane: Lane | None = None,
        how_many: Callable[[], int] = lambda: 0,
    ) -> None:
        """`how_many` tells how many records there are, or 0. It is asked once at most."""
        self.test = predicate(filters)
        """The function that tells whether the dict of a record matches. None if each does."""
        self._filters = filters
        self._reader = reader
        self._wanted = wanted
        self._lane = lane
        self._how_many: Callable[[], int] | None = how_many
        self._maker = PageMaker(reader)
        self.needs_keys = self._maker.needs_keys
        """Whether `page` needs the keys of the records."""
        self.decode = self._maker.decode
        """Decodes a record of the last page as `RecordReader.decode` does."""
        self._whole: AllOf | None = None
        self._text_is_mentioned: bool | None = None
        self._has_texts = False  # whether the pretests without numbers are made
        self._seen = 0
        self._pages = 0  # since all lanes are prepared
        # Records of several shapes, which newer programs write, are left to the value lane.
        is_slow = lane == "value" or reader.description.is_mixed or not self._maker.can_read
        self._is_prepared = is_slow or (self.test is None and not wanted)
        self._pretests: Sequence[Pretest] = ()
        self._pretest: Pretest | None = None
        self._uses_fields = False
        self._known_fields: FieldLane | None = None
        self._refusals = 0

    def page(self, keys: Sequence[bytes], raws: Sequence[bytes]) -> Page | None:
        """The page of these values, for the fast lanes. None if no fast lane looks at it."""
        if not self._is_prepared:
            self._prepare(len(raws))
        self._seen += len(raws)
        if not self._pretests and not self._uses_fields:
            return None
        return self._maker.page(keys, raws)

    def matches(self, page: Page) -> Found:
        """The places of what may match, and those of it that only the value lane can decide."""
        if self._is_prepared:
            if self._pages % _AGAIN == 0:
                self._choose(page)
            self._pages += 1
        if self._pretest is None and self._uses_fields and page.begins_with_format:
            found = self._by_fields(page, None)  # it refuses a page with unreadable values
            if found is not None:
                return found
        places = self._candidates(page)
        found = self._by_fields(page, places)
        if found is None:
            chosen = range(len(page.raws)) if places is None else places
            found = (chosen, () if self.test is None else chosen)
        if not page.unreadable:
            return found
        unsure = () if self.test is None else page.unreadable
        return sorted([*found[0], *page.unreadable]), [*found[1], *unsure]

    def values(self, page: Page, places: Sequence[int]) -> Any:
        """The wanted values at some places, as `FieldLane.values` gives them, or None."""
        lane = self._fields() if self._uses_fields else None
        if lane is None or (page.unreadable and not page.unreadable.isdisjoint(places)):
            return None
        return lane.values(page, places)

    # -- lanes ---------------------------------------------------------------------------------

    def _prepare(self, size: int) -> None:
        """Prepare as much as pays for a page of this size, after the pages that were seen."""
        if self._lane is not None or self._seen >= _MANY or self._are_many():
            self._is_prepared = True
            self._pretests = self._made_pretests(with_numbers=True)
            self._uses_fields = self._lane != "bytes" and self._fields() is not None
        elif not self._has_texts and size > _VERY_FEW and self._mentions_text():
            self._pretests = self._made_pretests(with_numbers=False)
            self._has_texts = True
            self._pretest = max(self._pretests, key=strictness, default=None)

    def _are_many(self) -> bool:
        if self._seen < _SOME or self._how_many is None:
            return False
        how_many, self._how_many = self._how_many(), None
        return how_many >= _MANY

    def _mentions_text(self) -> bool:
        if self._text_is_mentioned is None:
            self._text_is_mentioned = any(mentions_text(each.expressions) for each in self._filters)
        return self._text_is_mentioned

    def _made_pretests(self, *, with_numbers: bool) -> Sequence[Pretest]:
        description = self._reader.description
        notation = NOTATIONS.get(self._reader.format.serializer)
        if notation is None or self._lane == "fields":
            return ()
        made = _pretests.get(self._filters[0]) if len(self._filters) == 1 else None
        if made is not None and made.suits(notation, description, with_numbers):
            return made.pretests
        patterns = BytePatterns(notation, description, with_numbers)
        expressions = (each for filter in self._filters for each in filter.expressions)
        pretests = patterns.pretests(self._conditions(), expressions)
        if len(self._filters) == 1:
            _pretests[self._filters[0]] = _Made(notation, description, with_numbers, pretests)
        return pretests

    def _conditions(self) -> AllOf:
        if self._whole is None:
            self._whole = conditions(self._filters)
        return self._whole

    def _fields(self) -> FieldLane | None:
        if self._known_fields is None:
            self._known_fields = field_lane(
                self._conditions(), self._wanted, self._reader, self._maker
            )
        return self._known_fields

    def _choose(self, page: Page) -> None:
        """Choose the pretest that leaves the fewest values of this page, if it leaves few."""
        self._refusals = 0
        self._pretest = None
        size = fewest = len(page.raws)
        for pretest in self._pretests:
            hits = len(places(pretest, page.joined, page.raws))
            is_forced = self._lane == "bytes" and self._pretest is None
            if is_forced or (hits < fewest and hits <= self._most(pretest) * size):
                self._pretest, fewest = pretest, hits

    def _most(self, pretest: Pretest) -> float:
        """The part of a page that a pretest may leave, if it is to be faster than another lane."""
        if not self._uses_fields:
            return _NEARLY_ALL
        return _FEW_NUMBERS if any(sought.is_number for sought in pretest) else _FEW

    def _candidates(self, page: Page) -> Sequence[int] | None:
        """The places of the readable values that may match. None: of all values."""
        unreadable = page.unreadable
        if self._pretest is None:
            if not unreadable:
                return None
            return [place for place in range(len(page.raws)) if place not in unreadable]
        found = places(self._pretest, page.joined, page.raws)
        return [place for place in found if place not in unreadable] if unreadable else found

    def _by_fields(self, page: Page, places: Sequence[int] | None) -> Found | None:
        """What the fields lane finds among some values, or among all. None if it is not asked."""
        if not self._uses_fields or self.test is None or self._refusals > _REFUSALS:
            return None
        if places is not None and len(places) < _WORTHWHILE and self._lane is None:
            return None
        lane = self._fields()
        found = None if lane is None else lane.matches(page, places)
        size = len(page.raws) if places is None else len(places)
        # A filter of Decimals, for instance, leaves everything to the value lane.
        if self._lane is None and (found is None or 2 * len(found[1]) > size):
            self._refusals += 1
        return found


@define(eq=False)
class _Made:
    """The pretests of a filter, which may be used again."""

    notation: Notation
    description: ReadDescription
    with_numbers: bool
    pretests: Sequence[Pretest]

    def suits(self, notation: Notation, description: ReadDescription, with_numbers: bool) -> bool:
        return (
            self.notation is notation
            and self.description is description
            and self.with_numbers is with_numbers
        )


# A filter without {placeholders} is the same object each time that it is used.
_pretests: WeakKeyDictionary[BoundFilter, _Made] = WeakKeyDictionary()
