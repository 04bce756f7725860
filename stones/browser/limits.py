"""How long a request may take, and how large it and its answer may be.

Python cannot stop a thread. So whatever reads the store looks at a `Deadline` now and then: see
`limited_view`.
"""

from threading import Event
from time import monotonic

from attrs import define, field, frozen

from stones.errors import StoneError

LONGEST_QUERY = 16_000
"""The most characters of a URL's query."""


class TimeLimitError(StoneError, TimeoutError):
    """A request took longer than it may, or nobody waits for its answer any more."""


@frozen
class Limits:
    """What one request may cost."""

    seconds: float = 10.0
    """How long a request may take, with its wait for a free thread."""
    body: int = 4 << 20
    """The bytes of a request's body."""
    answer: int = 32 << 20
    """The bytes of an answer."""
    threads: int = 8
    """How many requests are answered at a time. More of them wait."""


@define
class Deadline:
    """The moment at which a request has to be answered."""

    seconds: float
    stopped: Event
    """Set when the server ends."""
    is_abandoned: bool = False
    """Whether the client has gone."""
    at: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.at = monotonic() + self.seconds

    def check(self) -> None:
        """Raise TimeLimitError if the time is over."""
        if monotonic() > self.at:
            raise TimeLimitError(
                f"this took longer than {self.seconds:g} seconds and was ended: narrow it down, or "
                "give the server more time by --time-limit"
            )
        if self.is_abandoned or self.stopped.is_set():
            raise TimeLimitError("ended: nobody waits for the answer")
