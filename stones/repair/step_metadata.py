"""What the metadata tells of the steps of records, read with distrust: see `contents`."""

from collections.abc import Collection, Iterator, Mapping

from stones.collections.record_steps import parse_cursors, parse_mark
from stones.errors import CorruptValueError
from stones.stores.step_keys import MARKS, PROGRESS

from .findings import DamageFinding


def step_findings(
    stored: Mapping[bytes, bytes], collections: Collection[bytes]
) -> Iterator[DamageFinding]:
    """The damage of the cursors and the marks of migrations. `collections` are the names."""
    for key, raw in stored.items():
        if key.startswith(PROGRESS[0]):
            name = key.removeprefix(PROGRESS[0])
        elif key.startswith(MARKS[0]):
            name = key.removeprefix(MARKS[0]).partition(b"\0")[0]
        else:
            continue
        if name not in collections:
            yield DamageFinding("metadata: a step of records without a collection", key)
            continue
        try:
            text = name.decode("utf-8", "replace")
            (parse_cursors if key.startswith(PROGRESS[0]) else parse_mark)(text, raw)
        except CorruptValueError as error:
            yield DamageFinding(f"metadata: {error}", key)
