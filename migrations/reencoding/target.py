"""What a re-encoding makes of values: the parts of a format that its caller names.

A format has a serializer, maybe a compression with or without a dictionary, maybe a key by which
values are encrypted, and maybe checksums. A part that is not named stays as it is.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from attrs import evolve, field, frozen

from stones.errors import SerializerError, ValueTypeError
from stones.formats.compression import check_compression_package
from stones.formats.dictionaries import Trained
from stones.formats.encryption import EncryptionKey
from stones.formats.encryption_keys import Encrypt, KeyRing
from stones.formats.metadata import KEEP, Format, Keep, Metadata
from stones.formats.request import FormatRequest, check_checksums, checked_compress
from stones.formats.rules import needed_rules
from stones.formats.serializers import CUSTOM, Serializer, custom_serializer, serializer
from stones.stores.spans import EVERYTHING, Span, prefix_span

Functions = tuple[Callable[[Any], bytes], Callable[[bytes], Any]] | tuple[()]


@frozen
class Target:
    """The parts of a format that a migration changes, for the keys that begin with `prefix`."""

    serializer: Serializer | None
    """None keeps the serializer."""
    checksums: bool | None
    """None keeps checksums, or their absence."""
    compress: Literal["zstd", False] | None
    """None keeps the compression, or its absence."""
    encrypts: bool | None
    """None keeps the encryption, or its absence."""
    keys: KeyRing
    """The keys that the caller names, the key for new values first."""
    prefix: bytes = b""
    dictionaries: Mapping[EncryptionKey | None, bytes] | None = None
    """Dictionaries for the compression, once they are trained, by the keys of the values.

    The key of values that are not encrypted is None.
    """
    ring: KeyRing = field(factory=KeyRing)
    """All keys that the store was opened with, and those that the caller names."""

    @classmethod
    def of(
        cls,
        to: str | None,
        dump_load: Functions,
        checksums: bool | None,
        compress: str | bool | None,
        encrypt: Encrypt,
        prefix: bytes,
    ) -> "Target":
        """The target that the arguments of `migrate` name.

        Raises SerializerError, ValueTypeError, EncryptionKeyError, and StoreOpenError without a
        package.
        """
        check_checksums(checksums)
        compress = checked_compress(compress)
        if to is not None and dump_load:
            raise SerializerError(
                "give migrate() the name of a serializer, or else dump_load=, not both"
            )
        if to is None and not dump_load and checksums is compress is encrypt is None:
            raise SerializerError(
                "migrate() takes the name of a serializer, or else dump_load=, compress=, encrypt= "
                "or checksums="
            )
        if prefix and checksums is not None:
            raise ValueTypeError(
                "checksums= is for a whole store: call migrate(store, checksums=...), and leave it "
                "out for a collection or a prefix"
            )
        named = None
        if to is not None:
            named = serializer(to)
        elif dump_load:
            named = custom_serializer(dump_load)
        if compress:
            check_compression_package()
        encrypts = None if encrypt is None else encrypt is not False
        return cls(named, checksums, compress, encrypts, KeyRing.of(encrypt), prefix)

    def span(self, metadata: Metadata) -> Span:
        """The keys that it is for.

        All keys, if others share a dictionary with those under the prefix, and lose it: it has
        parts of values that are to be secret.
        """
        if not self.prefix:
            return EVERYTHING
        planned = self.planned(metadata)
        others = [each for each in metadata.rules if not each.startswith(self.prefix)]
        is_alone = planned.write == metadata.write and all(
            planned.format_of(each) == metadata.format_of(each) for each in others
        )
        return prefix_span(self.prefix) if is_alone else EVERYTHING

    def request(self, request: FormatRequest) -> FormatRequest:
        """The request of the opener of a store who has named these parts as well."""
        if self.serializer is not None:
            custom = self.serializer if self.serializer.name == CUSTOM else None
            # A rule leaves the serializer of the store as it is, so only what is trusted widens.
            name = request.name
            request = request.widened(self.serializer.name, custom)
            request = evolve(request, name=name) if self.prefix else request
        return evolve(request, keys=self.keys.joined(request.keys)) if self.keys else request

    def planned(self, metadata: Metadata) -> Metadata:
        """The metadata at the start of the migration. Raises as `Metadata.migrating_to` does."""
        replaces = (
            self._changes_serializer(metadata)
            or not self.has_dictionary(metadata)
            or self.renews(metadata)
        )
        trained = self.dictionaries
        return self._plan(metadata, KEEP if trained is None or not replaces else trained.get)

    def _plan(self, metadata: Metadata, dictionary: Trained | Keep) -> Metadata:
        compression: Literal["zstd"] | Keep | None = KEEP
        if self.compress is not None:
            compression = self.compress or None
        encryption: EncryptionKey | Keep | None = KEEP
        if self.encrypts is not None:
            encryption = self.keys.newest
        return metadata.migrating_to(
            None if self.serializer is None else self.serializer.name,
            self.checksums,
            compression=compression,
            dictionary=dictionary,
            encryption=encryption,
            keys=self.ring,
            prefix=self.prefix,
        )

    def renews(self, metadata: Metadata) -> bool:
        """Whether a dictionary goes since values are encrypted or decrypted, or change the key."""
        kept = self._plan(metadata, KEEP)
        prefixes = [*metadata.rules, self.prefix] if self.prefix else [*metadata.rules]
        formats = [(metadata.write, kept.write)]
        formats += [(metadata.format_of(each), kept.format_of(each)) for each in prefixes]
        return any(
            now.dictionary is not None and then.compression is not None and then.dictionary is None
            for now, then in formats
        )

    def has_dictionary(self, metadata: Metadata) -> bool:
        """Whether new values are compressed by a dictionary already."""
        return metadata.format_of(self.prefix).dictionary is not None

    def wants_dictionary(self, metadata: Metadata) -> bool:
        """Whether a dictionary is to be trained: it is for the bytes of one serializer."""
        if self.renews(metadata):
            return True
        kept = metadata.format_of(self.prefix).compression
        if not (kept if self.compress is None else self.compress):
            return False
        is_missing = self.compress is not None and not self.has_dictionary(metadata)
        return is_missing or self._changes_serializer(metadata)

    def brings_dictionary(self, metadata: Metadata) -> bool:
        """Whether the dictionary that was trained is the first one."""
        return not self.has_dictionary(metadata) and self.has_dictionary(self.planned(metadata))

    def _changes_serializer(self, metadata: Metadata) -> bool:
        named = self.serializer
        return named is not None and named.name != metadata.format_of(self.prefix).serializer

    def is_written_in(self, metadata: Metadata) -> bool:
        """Whether new values are written so."""
        return self.outcome(metadata) == _outcome(metadata, self.keys.newest)

    def is_reached(self, metadata: Metadata) -> bool:
        """Whether all values are written so."""
        return metadata.migration is None and self.is_written_in(metadata)

    def outcome(self, metadata: Metadata) -> object:
        """What the migration would make of the metadata, without the numbers of formats.

        Two migrations with the same outcome share the work. Which dictionary they have trained does
        not matter, since the first one that begins sets it.
        """
        return _outcome(self.planned(metadata), self.keys.newest)

    def name(self, metadata: Metadata) -> str:
        """The format of new values at the end, in words."""
        planned = self.planned(metadata)
        return evolve(planned, write=planned.format_of(self.prefix)).write_name


def _outcome(metadata: Metadata, newest: EncryptionKey | None) -> object:
    ours = {id for id, check in metadata.keys.items() if newest and newest.matches(id, check)}

    def parts(format: Format) -> tuple[object, ...]:
        # A key that the store does not know yet gets another id in each plan.
        encryption = "newest" if format.encryption in ours else format.encryption
        return format.serializer, format.compression, encryption

    # Two formats may differ by their dictionaries only: one is enough to tell the outcome.
    everything = [parts(format) for format in metadata.formats.values()]
    numbers = {id: everything.index(parts(format)) for id, format in metadata.formats.items()}
    rules = {prefix: numbers[id] for prefix, id in metadata.rules.items()}
    needed = needed_rules(rules, numbers[metadata.write.id])
    named = {prefix: everything[number] for prefix, number in needed.items()}
    return parts(metadata.write), named, metadata.checksums
