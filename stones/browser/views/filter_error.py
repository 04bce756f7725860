"""Why a filter cannot be used, laid out so that the reason stands under its place."""

from attrs import frozen

from stones.errors import QueryError, StoneError

from .texts import printable

_MOST = 10_000


@frozen
class FilterError:
    """Why a filter cannot be used."""

    reason: str
    """What is wrong, in words."""
    before: str = ""
    """The text of the filter up to the place, in lines. All of it if there is no place."""
    at: str = ""
    """The character at the place; empty at the end of the text, and if there is no place."""
    behind: str = ""
    """What follows in the line of the place."""
    below: str = ""
    """The lines behind the place."""
    column: int | None = None
    """How many characters stand before the place in its line. None if there is no place."""

    @classmethod
    def of(cls, error: StoneError, text: str) -> "FilterError":
        """What an error says of the filter `text`.

        >>> from stones import QueryError
        >>> found = FilterError.of(QueryError.at(4, 'no', '@.a and'), '@.a and')
        >>> found.before, found.at, found.behind, found.column
        ('@.a ', 'a', 'nd', 4)
        """
        place = error.place if isinstance(error, QueryError) else None
        if place is None or len(text) > _MOST:
            return cls(printable(str(error), 1000, lines=True), printable(text, _MOST, lines=True))
        assert isinstance(error, QueryError)
        start = text.rfind("\n", 0, place) + 1
        end = text.find("\n", place)
        end = len(text) if end < 0 else end
        before = printable(text[:place], _MOST, lines=True)
        column = len(printable(text[start:place], _MOST, lines=True))
        return cls(
            printable(error.reason, 1000),
            before,
            printable(text[place : place + 1] if place < end else "", 1),
            printable(text[place + 1 : end], _MOST),
            printable(text[end + 1 :], _MOST, lines=True),
            column,
        )
