"""The fields lane: msgspec decodes only the wanted fields, generated source tests them.

`documents` decodes, `field_source` generates. The value lane decides what the fields cannot tell.
"""

from collections.abc import Sequence
from typing import Any

from stones.collections.language.normal_form import AllOf
from stones.collections.readable_records import RecordReader

from .documents import DECODABLE, Documents
from .field_source import FieldSource, Path, TooComplicatedError
from .page import Page, PageMaker

Found = tuple[Sequence[int], Sequence[int]]
"""The places of what may match, and which of these are unsure."""


class FieldLane:
    """Tests the pages of one scan."""

    def __init__(self, source: FieldSource, documents: Documents) -> None:
        self._documents = documents
        self._test = source.test
        self._take = source.take

    def matches(self, page: Page, places: Sequence[int] | None) -> Found | None:
        """Those of some readable values, or of all, that may match. None if the page is refused."""
        rows = self._documents.rows(page, places)
        if rows is None:
            return None
        odd: list[int] = []
        try:
            found = self._test(rows, odd)
        except AttributeError:  # a value that is no dict
            return None
        unsure = [*{*odd}.intersection(found)] if odd else odd
        if places is None:
            return found, unsure
        return [places[n] for n in found], [places[n] for n in unsure]

    def values(self, page: Page, places: Sequence[int]) -> Any:
        """The wanted values of some readable values, and the numbers of those that are unsure.

        None if the page is refused.
        """
        rows = self._documents.rows(page, places)
        if rows is None:
            return None
        odd: list[int] = []
        try:
            return self._take(rows, odd), odd
        except AttributeError:
            return None


def field_lane(
    whole: AllOf,
    wanted: Sequence[Path],
    reader: RecordReader,
    pages: PageMaker,
) -> FieldLane | None:
    """The fields lane for a filter, and for wanted values. None where it could tell nothing."""
    serializer = reader.format.serializer
    if serializer not in DECODABLE or not pages.can_read:
        return None
    try:
        tags_are_dicts = serializer == "json"
        source = FieldSource(whole, wanted, reader.description, tags_are_dicts=tags_are_dicts)
        return FieldLane(source, Documents(serializer, source.row, pages.first, pages.start))
    except (TooComplicatedError, RecursionError, SyntaxError, UnicodeEncodeError, MemoryError):
        return None
