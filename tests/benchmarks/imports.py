"""`import_from` of lines of JSON, against `add_many` of the records that the lines say."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import attrs
import msgspec
from collection_ground import CollectionGround, new_store, open_collection
from measuring import Benchmark, Prepared, ratio
from users import INDEXES

from stones import import_from


def imports(ground: CollectionGround) -> Iterator[Benchmark]:
    unit = "x add_many of the same records"
    yield Benchmark("import lines of JSON", partial(importing, ground), 1.5, unit)
    three = partial(importing, ground, INDEXES)
    yield Benchmark("import lines of JSON, 3 indexes", three, 1.5, unit)


def importing(ground: CollectionGround, indexes: tuple[str, ...] = ()) -> float:
    folder = ground.path / f"imported-{len(indexes)}"
    folder.mkdir(exist_ok=True)
    lines = written(folder / "users.jsonl", ground)
    imported = open_collection(new_store(folder / "imported"), indexes)
    added = open_collection(new_store(folder / "added"), indexes)
    return ratio(
        Prepared(imported.clear, lambda: import_from(lines, imported).written),
        Prepared(added.clear, lambda: added.add_many(ground.users)),
    )


def written(path: Path, ground: CollectionGround) -> Path:
    with open(path, "wb") as file:
        file.writelines(msgspec.json.encode(attrs.asdict(user)) + b"\n" for user in ground.users)
    return path
