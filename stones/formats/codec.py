"""Values to stored bytes and back, by what the store's metadata says and what its opener asked for.

`FormatRequest` is what the opener wants and trusts, `Codec` does the work for one generation of the
metadata (see `stones.formats.metadata`). What a stored value is made of is in
`stones.formats.checksums`.
"""

import shlex
from collections.abc import Iterator
from typing import Any

from attrs import evolve, frozen

from stones.errors import CorruptValueError, FormatMismatchError, SerializerError, ValueTypeError

from .checksums import GUARD, corrupt, is_whole, seal, unseal, value_reader
from .metadata import IDS, NO_FORMAT, Format, Metadata, new_metadata
from .serializers import CUSTOM, Serializer, custom_serializer, serializer

SHOWS_TEXT = frozenset({"pickle", "json", "cbor", "msgpack"})
"""The serializers that write printable ASCII text as it is, but for quotes and backslashes."""

LEGACY = frozenset({"json", "cbor", "msgpack"})
LEGACY_MARK = "-0.3"
"""The serializers that wrote otherwise in stones 0.3, and what tells them from ours."""

Entries = Iterator[tuple[bytes, bytes]]


@frozen
class FormatRequest:
    """How the opener of a store wants its values: as named here, or as the store says.

    It also decides what is trusted: a store that was opened with a safe serializer named must not
    be made to unpickle by what it finds in the file.
    """

    name: str | None
    custom: Serializer | None = None
    trusts_pickle: bool = False
    checksums: bool | None = None

    @classmethod
    def from_arguments(
        cls,
        serialize: str | None,
        dump_load: Any = (),
        trust_pickle: bool | None = None,
        checksums: bool | None = None,
    ) -> "FormatRequest":
        """From the arguments of a store. Raises SerializerError for what cannot be had."""
        if dump_load:
            if serialize is not None:
                raise SerializerError("give serialize= or dump_load=, not both")
            return cls(CUSTOM, custom_serializer(dump_load), trust_pickle is True, checksums)
        if serialize is not None:
            serializer(serialize)
        trusts = serialize in (None, "pickle") if trust_pickle is None else trust_pickle
        return cls(serialize, None, trusts, checksums)

    def widened(self, name: str, custom: Serializer | None = None) -> "FormatRequest":
        """The same, for a user who has since asked for the serializer `name` as well."""
        if self.name is None:
            return evolve(self, custom=custom or self.custom)
        trusts = self.trusts_pickle or name == "pickle"
        return evolve(self, name=name, custom=custom or self.custom, trusts_pickle=trusts)

    def check(self, metadata: Metadata, store: str) -> None:
        """Raise FormatMismatchError where the store is written in another way than this."""
        self._check_serializer(metadata, store)
        if self.checksums in (None, metadata.checksums):
            return
        has, flag = ("has", "--no-") if metadata.checksums else ("has no", "--")
        migrate = f"run `stones migrate {shlex.quote(store)} {flag}checksums`"
        if metadata.write.serializer not in IDS:
            migrate = f"open it so and call stones.migrate(store, checksums={self.checksums})"
        raise FormatMismatchError(
            f"{store!r} {has} checksums: open it with checksums={metadata.checksums}, or without "
            f"saying; to change that, {migrate}"
        )

    def _check_serializer(self, metadata: Metadata, store: str) -> None:
        written = metadata.write.serializer
        if self.name in (None, written):
            return
        left_over = metadata.migration is not None and any(
            format.serializer == CUSTOM for format in metadata.formats.values()
        )
        if self.custom is not None and left_over:
            return  # only these functions can read what a migration has not come to yet
        functions = "dump_load=(encode, decode)"
        how = functions if written == CUSTOM else f"serialize={written!r}, or without naming any"
        if {self.name, written} <= IDS.keys():
            migrate = f"run `stones migrate {shlex.quote(store)} --to {self.name}`"
        else:
            target = functions if self.custom is not None else f"to={self.name!r}"
            migrate = f"open it so and call stones.migrate(store, {target})"
        raise FormatMismatchError(
            f"{store!r} is written by {_called(written)}, not by {_called(self.name)}: open it "
            f"with {how}; to re-encode it, {migrate}"
        )

    def trusts(self, format: Format) -> bool:
        """Whether values in `format` may be read, as far as what reading them may do."""
        return self.trusts_pickle or format.serializer != "pickle"

    def reader(self, format: Format, where: str) -> Serializer:
        """The serializer for `format`. FormatMismatchError if it is not known, or not trusted."""
        if not self.trusts(format):
            raise FormatMismatchError(
                f"{where} is pickled, and reading a pickle can run code: if you trust where it "
                "comes from, open the store without naming a serializer (`stones` commands: with "
                "--trust-pickle)"
            )
        return self.writer(format, where)

    def writer(self, format: Format, where: str) -> Serializer:
        """The same, but only for writing: that is safe in any format."""
        if format.serializer == CUSTOM:
            if self.custom is None:
                raise FormatMismatchError(
                    f"{where} was written by functions of its own: pass them as "
                    "dump_load=(encode, decode)"
                )
            return self.custom
        plain = format.serializer.removesuffix(LEGACY_MARK)
        if plain != format.serializer and plain in LEGACY:
            from .stones03 import legacy_serializer  # few will ever need it

            return legacy_serializer(plain)
        try:
            return serializer(format.serializer)
        except SerializerError as error:
            raise FormatMismatchError(
                f"{where} was written by the serializer {format.serializer!r}, which is not known "
                "here: register_serializer() it before you open the store"
            ) from error


def check_checksums(asked: object) -> None:
    """Raise ValueTypeError for what does not say whether values are to have checksums."""
    if not (asked is None or isinstance(asked, bool)):
        raise ValueTypeError(f"checksums is True, False or None, not {asked!r}")


def _called(name: str | None) -> str:
    return "functions of its own" if name == CUSTOM else repr(name)


def legacy_metadata(codec: "LegacyCodec") -> Metadata:
    """What the values of a database of stones 0.3 are in once they get a format byte."""
    name = codec.metadata.write.serializer
    return new_metadata(name + LEGACY_MARK if name in LEGACY else name)


class Codec:
    """Values to stored bytes and back, by one generation of the metadata."""

    def __init__(self, metadata: Metadata, asked: FormatRequest) -> None:
        self.metadata = metadata
        self._asked = asked
        writer = asked.writer(metadata.write, "the store")
        self._dumps = writer.encode
        self.prefix = bytes([metadata.first])
        """What the values start with that this codec writes."""
        self.first = metadata.first if asked.trusts(metadata.write) else NO_FORMAT
        """The first byte of values for `read`, which are most of them."""
        self.id = NO_FORMAT if metadata.checksums else self.first
        """The same, where no checksum follows it."""
        self.shows_text = self.first != NO_FORMAT and metadata.write.serializer in SHOWS_TEXT
        self.loads = writer.decode
        """Decodes what follows the first byte of a value that has the format `id`."""
        self.read = value_reader(metadata.first, writer.decode)
        """Decodes a value, given its key too, that has the first byte `first`."""
        self._readers = {self.first: self.read}

    def encode(self, key: bytes, value: Any) -> bytes:
        """The stored bytes. Raises SerializerError with the path to what cannot be held."""
        return self.wrap(key, self._dumps(value))

    def wrap(self, key: bytes, encoded: bytes) -> bytes:
        """The stored bytes of what the serializer has made of a value."""
        if self.metadata.checksums:
            return seal(self.prefix, key, encoded)
        return self.prefix + encoded

    def is_written_by(self, name: str, raw: bytes) -> bool:
        """Whether the serializer `name` has made these stored bytes, with a checksum or without."""
        format = self.metadata.formats.get(raw[0] & ~GUARD) if raw else None
        return format is not None and format.serializer == name

    def unwrap(self, key: bytes, raw: bytes) -> bytes:
        """What a serializer has made of a value. Raises CorruptValueError."""
        self._format_of(key, raw)
        return unseal(key, raw) if raw[0] & GUARD else raw[1:]

    def knows(self, raw: bytes) -> bool:
        """Whether the metadata lists the format of these stored bytes."""
        return not raw or raw[0] & ~GUARD in self.metadata.formats

    def misses_checksum(self, raw: bytes) -> bool:
        """Whether these stored bytes have no checksum, where by the metadata all have one."""
        all_have_one = self.metadata.checksums and self.metadata.migration is None
        return all_have_one and raw[:1] < bytes([GUARD])

    def decode(self, key: bytes, raw: bytes) -> Any:
        """The value. Raises CorruptValueError, or FormatMismatchError where it must not be read."""
        read = self._readers.get(raw[0]) if raw else None
        if read is None:
            format = self._format_of(key, raw)
            decode = self._asked.reader(format, f"the value of {key!r}").decode
            read = self._readers[raw[0]] = value_reader(raw[0], decode)
        return read(key, raw)

    def with_text(self, text: bytes, entries: Entries) -> Entries:
        """Those of `entries` whose value may contain `text`, where the codec `shows_text`.

        Damaged values are among them, as far as their checksums tell, for the reader to meet.
        """
        prefix = self.prefix
        if not self.metadata.checksums:
            return (e for e in entries if text in e[1] or not e[1].startswith(prefix))
        return (
            e for e in entries if text in e[1] or not (e[1].startswith(prefix) and is_whole(*e))
        )

    def _format_of(self, key: bytes, raw: bytes) -> Format:
        what = None
        if not raw:
            what = "is empty"
        elif not self.knows(raw):
            what = f"has the format {raw[0] & ~GUARD}, which the store does not list"
        elif self.misses_checksum(raw):
            what = "has no checksum, as all values of the store have"
        if what is not None:
            raise CorruptValueError(f"the value of {key!r} {what}: it is damaged")
        return self.metadata.formats[raw[0] & ~GUARD]

    def options(self) -> dict[str, Any]:
        """What to open another store with, so that it writes in the same way."""
        if self._asked.custom is not None and self.metadata.write.serializer == CUSTOM:
            named: dict[str, Any] = {
                "dump_load": (self._asked.custom.encode, self._asked.custom.decode)
            }
        else:
            named = {"serialize": self.metadata.write.serializer}
        return {**named, "checksums": self.metadata.checksums}


class LegacyCodec(Codec):
    """Values as stones 0.3 wrote them: no format byte, encodings of its own."""

    def __init__(self, asked: FormatRequest) -> None:
        if asked.name is None:
            raise FormatMismatchError(
                "this is a database of stones 0.3, which did not note its serializer: name it, "
                "serialize='pickle' for one made by stone() without any (`stones migrate`: with "
                "--from pickle)"
            )
        if asked.checksums:
            raise FormatMismatchError(
                "a database of stones 0.3 has no checksums: open it without checksums=, and give "
                "it some by migrate(store, checksums=True)"
            )
        self.metadata = Metadata(None, Format(NO_FORMAT, asked.name), {})
        self.id = self.first = NO_FORMAT
        self.prefix = b""
        self.read = self.decode
        self.shows_text = False
        self._asked = asked
        from .stones03 import legacy_serializer  # few will ever need it

        codec = asked.custom or legacy_serializer(asked.name)
        self._dumps, self.loads = codec.encode, codec.decode

    def encode(self, key: bytes, value: Any) -> bytes:
        return self._dumps(value)

    def knows(self, raw: bytes) -> bool:
        return True

    def decode(self, key: bytes, raw: bytes) -> Any:
        if not self._asked.trusts(self.metadata.write):
            self._asked.reader(self.metadata.write, f"the value of {key!r}")
        try:
            return self.loads(raw)
        except MemoryError:
            raise
        except Exception as error:  # a decoder may raise anything on damaged bytes
            raise corrupt(key, error) from error
