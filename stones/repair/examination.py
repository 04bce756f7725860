"""What is seen of a store, in a file or through its engine: the findings, and what to mend."""

from collections.abc import Iterator

from attrs import Factory, define

from .contents import COUNT
from .findings import DamageFinding
from .index_check import IndexReport
from .mending import Derived
from .value_check import ValueCheck


@define
class Examination:
    """What is seen of a store. `all_findings` comes first: the other attributes follow from it."""

    version: str | None
    """The layout, as in `CheckReport`."""
    findings: list[DamageFinding]
    """The damage of the file and of the metadata."""
    values: ValueCheck | None = None
    """The damage of the values, and of what is made of them. None if no value can be found."""
    unread: list[DamageFinding] = Factory(list)
    """What could not be read of the values. It is filled while they are read."""
    snapshot: bool = True
    """Whether all was read from one state."""

    def all_findings(self) -> Iterator[DamageFinding]:
        """The damage, as it is found."""
        yield from self.findings
        yield from self.values or ()
        yield from self.unread

    @property
    def indexes(self) -> tuple[IndexReport, ...]:
        """The indexes, and which of them could not be compared."""
        return self.values.indexes if self.values is not None else ()

    def derived(self) -> Derived | None:
        """What a repair has to mend, after all findings. None if nothing can be mended."""
        values = self.values
        wrong = [*self.findings, *self.unread]
        if (
            values is None
            or self.version == "0.3"
            or not all(finding.repairable for finding in wrong)
        ):
            return None
        keys = {finding.key for finding in wrong if finding.key is not None}
        return Derived(
            counts=frozenset(values.wrong_counts | {key for key in keys if key.startswith(COUNT)}),
            metadata=frozenset(keys),
            indexes=frozenset(values.wrong_indexes),
            orphans=values.orphans,
        )
