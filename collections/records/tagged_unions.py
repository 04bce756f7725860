"""One of several attrs classes: the stored dict names its class.

A field may have had one class before, and its dicts name no class. They are read if exactly one of
the classes fits.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from .class_tag import TAG
from .classes import Schema
from .conversion import Conversion, MisfitError, misfit_error
from .messages import same_name_hint
from .parts import Part
from .plain_values import ATOMS


class TaggedUnion(Part):
    """An instance of one of several attrs classes. `TAG` in its stored dict names the class.

    `schemas` has the classes by their names.
    """

    def __init__(self, schemas: Mapping[str, Schema]) -> None:
        self._schemas = schemas
        self._name = " | ".join(schemas)
        self._by_class = {schema.cls: (tag, schema) for tag, schema in schemas.items()}
        self.conversion = Conversion(
            self._name,
            self.dump,
            self.load,
            tuple(self._by_class),
            {dict},
            members=tuple(schema.conversion for schema in schemas.values()),
            fields={TAG: ATOMS[str]},
            part=self,
        )

    def dump(self, record: Any) -> Any:
        """The dict of a record, with the name of its class. Raises MisfitError."""
        if type(record) not in self._by_class:
            error = misfit_error(self._name, record)
            for schema in self._schemas.values():
                error.reason += same_name_hint(schema.cls, record)
            raise error
        tag, schema = self._by_class[type(record)]
        return {TAG: tag, **schema.dump(record)}

    def load(self, stored: Any) -> Any:
        """The record of a dict. Raises MisfitError, also where not exactly one class fits."""
        tag = stored.get(TAG) if isinstance(stored, dict) else None
        if isinstance(tag, str) and tag in self._schemas:
            return self._schemas[tag].load(_without_tag(stored))
        error = misfit_error(
            f"a dict whose {TAG!r} is {' or '.join(map(repr, self._schemas))}", stored
        )
        if not isinstance(stored, dict) or TAG in stored:
            raise error
        fitting = self._fitting(stored)
        if len(fitting) == 1:
            return next(iter(fitting.values()))
        fits = f"{' and '.join(fitting)} fit" if fitting else "no class fits"
        raise MisfitError(f"{error.reason}: it has no {TAG!r}, and {fits} its fields")

    def classes(self) -> Iterator[Part]:
        return iter(self._schemas.values())

    def completed(self, stored: Any, drop: bool) -> Any:
        tag = self._tag_of(stored)
        if tag is None:
            return stored
        before = _without_tag(stored)
        after = self._schemas[tag].completed(before, drop)
        return stored if TAG in stored and after is before else {TAG: tag, **after}

    def carried(self, before: Any, after: Any) -> Any:
        tag = self._tag_of(after)
        if tag is None or self._tag_of(before) != tag:
            return after
        fields = _without_tag(after)
        carried = self._schemas[tag].carried(_without_tag(before), fields)
        return after if carried is fields else {TAG: tag, **carried}

    def _tag_of(self, stored: Any) -> str | None:
        """The name of the class of a dict, or None if the dict cannot be read."""
        if type(stored) is not dict:
            return None
        if TAG not in stored:
            fitting = self._fitting(stored)
            return next(iter(fitting)) if len(fitting) == 1 else None
        tag = stored[TAG]
        return tag if isinstance(tag, str) and tag in self._schemas else None

    def _fitting(self, stored: dict[Any, Any]) -> dict[str, Any]:
        """The classes that can read a dict without a tag, each with the record.

        A class that knows all fields comes before one that leaves some out.
        """
        knowing = [tag for tag, schema in self._schemas.items() if not schema.unknown_names(stored)]
        for tags in (knowing, [tag for tag in self._schemas if tag not in knowing]):
            fitting = {}
            for tag in tags:
                try:
                    fitting[tag] = self._schemas[tag].load(stored)
                except MisfitError:
                    continue
            if fitting:
                return fitting
        return {}


def _without_tag(stored: dict[Any, Any]) -> dict[Any, Any]:
    return {name: value for name, value in stored.items() if name != TAG}
