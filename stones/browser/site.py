"""Site: the store that is served, and what may be done with it."""

from collections.abc import Mapping
from hmac import compare_digest
from secrets import token_urlsafe
from threading import Event
from typing import Any

from attrs import Factory, field, frozen

from stones.stores.store import Store

from .limits import Limits
from .measurements import Measurements


@frozen(eq=False)
class Site:
    """The store that is served, and what may be done with it."""

    store: Store[Any, Any]
    """The open store. Pages read from `PageRequest.view`; only what writes needs this."""
    place: str
    """Its path or URL without a password, as people know it."""
    write: bool = False
    """Whether records may be edited, added and deleted."""
    classes: Mapping[str, type] = field(factory=dict)
    """The classes that the user named, by the names of their collections."""
    limits: Limits = field(factory=Limits)
    form_token: str = field(factory=lambda: token_urlsafe(32))
    """Each form has it. Another site cannot know it, so it cannot send such a form."""
    stopped: Event = field(factory=Event)
    """Set when the server ends, so that no request keeps it waiting."""
    measurements: Measurements = field(
        init=False,
        default=Factory(lambda site: Measurements(site.store, site.stopped), takes_self=True),
    )
    """The sizes of the store, and how it grows."""

    def is_own_form(self, form: Mapping[str, str]) -> bool:
        """Whether a form was made by this server."""
        given = form.get("form_token", "")
        return compare_digest(given.encode("utf-8", "replace"), self.form_token.encode())
