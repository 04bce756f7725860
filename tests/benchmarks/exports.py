"""`export_to` of JSON Lines and CSV, against a loop over `items()` that does nothing."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from collection_ground import CollectionGround, new_store, open_collection
from ground import record
from measuring import RECORDS, Benchmark, count, ratio

from stones import LmdbStore, export_to, stone


def exports(path: Path, ground: CollectionGround) -> Iterator[Benchmark]:
    unit = "x items()"
    for serializer in ("pickle", "json", "msgpack", "cbor"):
        of_store = partial(exporting_store, path, serializer, "jsonl")
        yield Benchmark(f"export lines of JSON, {serializer}", of_store, 2, unit)
    yield Benchmark(
        "export CSV, msgpack", partial(exporting_store, path, "msgpack", "csv"), 0, unit
    )
    yield Benchmark(
        "export lines of JSON, a collection", partial(exporting_records, ground, "jsonl"), 1, unit
    )
    yield Benchmark("export CSV, a collection", partial(exporting_records, ground, "csv"), 0, unit)


def exporting_store(path: Path, serializer: str, form: str) -> float:
    with stone(path / f"exported-{serializer}", LmdbStore, serialize=serializer) as store:
        if not store:
            store.update((f"{number:06}", record(number)) for number in range(RECORDS))
        return exporting(path, store, form)


def exporting_records(ground: CollectionGround, form: str) -> float:
    records = open_collection(new_store(ground.path / f"exported-records-{form}"))
    records.add_many(ground.users)
    return exporting(ground.path, records, form)


def exporting(path: Path, source: Any, form: str) -> float:
    output = path / f"exported.{form}"
    return ratio(lambda: export_to(output, source).rows, lambda: count(source.items()))
