"""What a migration does to the list of formats of a store, before and after its values."""

from stones.engine import Transaction
from stones.formats.codec import Codec
from stones.formats.metadata import Metadata, read_metadata, write_formats
from stones.formats.stones03_codec import Stones03Codec, metadata_from_stones03
from stones.stores.database import Database

from .target import Target


def metadata_of(codec: Codec) -> Metadata:
    """The metadata that a migration changes."""
    if isinstance(codec, Stones03Codec):
        return metadata_from_stones03(codec)
    return codec.metadata


def adopt(database: Database, target: Target) -> None:
    """Turn a database of stones 0.3 into a store of this version, still to be migrated."""
    codec = database.codec
    if not isinstance(codec, Stones03Codec):
        return
    metadata = metadata_from_stones03(codec)

    def finish(txn: Transaction) -> None:
        if read_metadata(txn) is None:  # else another process was quicker
            write_formats(txn, target.planned(metadata))

    database.adopt_stones03(bytes([metadata.write.id]), finish)


def end(database: Database, migration: str | None, txn: Transaction) -> None:
    """Note that every value is in the format that is written now."""
    metadata = database.read_codec(txn).metadata
    # If another migration has begun since, this one does not know whether its values are done.
    if migration is not None and metadata.migration == migration:
        write_formats(txn, metadata.migrated())
    database.reload(txn)


def remove_needless(database: Database, txn: Transaction) -> None:
    """Remove dictionaries that no value needs: earlier versions left them after a migration."""
    metadata = database.read_codec(txn).metadata
    if metadata.migration is None and metadata.migrated() != metadata:
        write_formats(txn, metadata.migrated())
        database.reload(txn)
