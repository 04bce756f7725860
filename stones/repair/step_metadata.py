"""What the metadata tells of the steps of records, read with distrust: see `contents`."""

from collections.abc import Iterator, Mapping

from stones.collections.description import Description
from stones.collections.record_steps import parse_cursors, parse_mark
from stones.errors import CorruptValueError
from stones.formats.metadata import CLAIMS
from stones.stores.step_keys import PROGRESS, collection_of

from .findings import DamageFinding


def step_findings(
    stored: Mapping[bytes, bytes], descriptions: Mapping[bytes, Description]
) -> Iterator[DamageFinding]:
    """The damage of the cursors and the marks of migrations.

    `stored` has all entries of the metadata, and `descriptions` those that can be read, by the
    names of the collections. What no migration needs any more is repairable: a repair removes it.
    """
    for key, raw in stored.items():
        name = collection_of(key)
        if name is None:
            continue
        if CLAIMS[0] + name not in stored:
            what = "metadata: a step of records without a collection"
            yield DamageFinding(what, key, repairable=True)
            continue
        try:
            text = name.decode("utf-8", "replace")
            (parse_cursors if key.startswith(PROGRESS[0]) else parse_mark)(text, raw)
        except CorruptValueError as error:
            description = descriptions.get(name)
            is_over = description is not None and description.steps.to is None
            yield DamageFinding(f"metadata: {error}", key, repairable=is_over)
