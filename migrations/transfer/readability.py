"""Values that do not note their serializer: each of them is read before a copy begins.

The values of stones 0.3 and of files of other programs are such values. The copy notes the
serializer that its caller has named. If that were a wrong one, no program could read the copy.
"""

from contextlib import suppress

from stones.engine import Space, Transaction
from stones.errors import FormatMismatchError, StoneError
from stones.formats.messages import show_error
from stones.formats.metadata import STONES03_ENCODINGS
from stones.formats.stones03 import stones03_serializer
from stones.formats.stones03_codec import Stones03Codec
from stones.migrations.imports.pickled import looks_pickled
from stones.stores.database import Database


def check_readable(database: Database) -> None:
    """Raise FormatMismatchError for the first value that the named serializer cannot read.

    Does nothing for a store that notes its serializers. It reads all values in one transaction. No
    pickle is run: a pickled value only has to look like one, since its class may be missing here.
    """
    codec = getattr(database, "codec", None)
    if not isinstance(codec, Stones03Codec):
        return
    name = codec.metadata.write.serializer

    def look(txn: Transaction) -> None:
        for keys, values in txn.pages(Space.DATA):
            for key, raw in zip(keys, values, strict=True):
                _check(codec, name, key, raw)

    database.engine.read(look)


def _check(codec: Stones03Codec, name: str, key: bytes, raw: bytes) -> None:
    if name == "pickle":
        if not looks_pickled(raw):
            raise _refused(name, key, raw, "it is not pickled")
        return
    try:
        codec.decode(key, raw)
    except StoneError as error:
        raise _refused(name, key, raw, show_error(error.__cause__ or error)) from error


def _refused(name: str, key: bytes, raw: bytes, reason: str) -> FormatMismatchError:
    others = [other for other in ("pickle", *sorted(STONES03_ENCODINGS)) if _reads(other, raw)]
    told = f"{' and '.join(others)} can read it" if others else "no serializer but noop can read it"
    return FormatMismatchError(
        f"nothing was copied: the value of {key!r:.200} cannot be read by {name} ({reason}); "
        f"{told}; name the serializer of the values by serialize= (`stones copy`: by --from)"
    )


def _reads(name: str, raw: bytes) -> bool:
    if name == "pickle":
        return looks_pickled(raw)
    with suppress(Exception):  # a decoder may raise anything on bytes of another one
        stones03_serializer(name).decode(raw)
        return True
    return False
