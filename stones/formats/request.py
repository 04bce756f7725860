"""How the opener of a store wants its values written, and which formats it trusts.

A `Codec` (`stones.formats.codec`) works by such a request and by the store's metadata.
"""

import os
import shlex
from typing import Any, Literal

from attrs import evolve, field, frozen

from stones.errors import (
    EncryptionKeyError,
    FormatMismatchError,
    SerializerError,
    ValueTypeError,
)

from .compression import ZSTD, check_compression_package
from .encryption_keys import Encrypt, KeyRing
from .messages import show
from .metadata import (
    IDS,
    STONES03_ENCODINGS,
    STONES03_SUFFIX,
    Format,
    Metadata,
    new_metadata,
)
from .serializers import CUSTOM, Serializer, custom_serializer, serializer


@frozen
class FormatRequest:
    """How the opener of a store wants its values: by a named serializer, or as the store says.

    It also decides what is trusted. If the opener named a safe serializer, a pickle in the file
    must not be read.
    """

    name: str | None
    """The serializer of new values. None takes the one that the store's metadata names."""
    custom: Serializer | None = None
    """The serializer made of the functions in `dump_load=`."""
    trusts_pickle: bool = False
    """Whether pickled values may be read. That can run code."""
    checksums: bool | None = None
    """Whether new values get a checksum. None takes what the store's metadata says."""
    default: str = "pickle"
    """The serializer of a new store if `name` is None."""
    compress: Literal["zstd", False] | None = None
    """How new values are compressed. None takes what the store's metadata says."""
    encrypts: bool | None = None
    """Whether new values are encrypted. None takes what the store's metadata says."""
    keys: KeyRing = field(factory=KeyRing)
    """The keys that decrypt values, with the key for new values first."""

    @classmethod
    def from_arguments(
        cls,
        serialize: str | None,
        dump_load: Any = (),
        trust_pickle: bool | None = None,
        checksums: bool | None = None,
        default: str = "pickle",
        compress: str | bool | None = None,
        encrypt: Encrypt = None,
    ) -> "FormatRequest":
        """The request that the arguments of a store make. `default` names its default serializer.

        Unless `trust_pickle` says otherwise, pickles are trusted if pickle is named, or is the
        default and no other serializer is named.

        Raises SerializerError for a serializer that is not known, for functions that are no pair,
        and for both together; ValueTypeError for a `trust_pickle` that is neither bool nor None.
        Raises as `KeyRing.of` does, and as `checked_compress`.
        """
        if not (trust_pickle is None or isinstance(trust_pickle, bool)):
            raise ValueTypeError(f"trust_pickle is True, False or None, not {show(trust_pickle)}")
        compress = checked_compress(compress)
        keys = KeyRing.of(encrypt)
        packing = compress, None if encrypt is None else encrypt is not False, keys
        if dump_load:
            if serialize is not None:
                raise SerializerError("give serialize= or dump_load=, not both")
            custom = custom_serializer(dump_load)
            return cls(CUSTOM, custom, trust_pickle is True, checksums, default, *packing)
        if serialize is not None:
            serializer(serialize)
        trusts = (serialize or default) == "pickle" if trust_pickle is None else trust_pickle
        return cls(serialize, None, trusts, checksums, default, *packing)

    def new_metadata(self) -> Metadata:
        """The metadata of a new store. Raises StoreOpenError without the package for it."""
        if self.compress:
            check_compression_package()
        return new_metadata(
            self.name or self.default,
            bool(self.checksums),
            compression=self.compress or None,
            encryption=self.keys.newest,
        )

    def widened(self, name: str, custom: Serializer | None = None) -> "FormatRequest":
        """The request of an opener who has later named the serializer `name` as well."""
        if self.name is None:
            return evolve(self, custom=custom or self.custom)
        trusts = self.trusts_pickle or name == "pickle"
        return evolve(self, name=name, custom=custom or self.custom, trusts_pickle=trusts)

    def check(self, metadata: Metadata, store: str, place: str = "") -> None:
        """Raise FormatMismatchError if the store writes new values in another way than requested.

        `store` is the name or path of the store, for the message. `place` is the path or URL that a
        command takes, or empty if no command can open the store.
        """
        self._check_serializer(metadata, store, place)
        self.check_keys(metadata, str.__repr__(store))  # the repr of a subclass may be anything
        self._check_packing(metadata, store, place)
        if self.checksums in (None, metadata.checksums):
            return
        has, flag = ("has", "--no-") if metadata.checksums else ("has no", "--")
        migrate = f"open it that way and call stones.migrate(store, checksums={self.checksums})"
        if place and metadata.write.serializer in IDS:
            migrate = f"run `stones migrate {_shell_word(place)} {flag}checksums`"
        raise FormatMismatchError(
            f"{store!r} {has} checksums: open it with checksums={metadata.checksums}, or leave "
            f"checksums= out; to change the store, {migrate}"
        )

    def _check_serializer(self, metadata: Metadata, store: str, place: str) -> None:
        written = metadata.write.serializer
        if self.name in (None, written):
            return
        left_over = metadata.migration is not None and any(
            format.serializer == CUSTOM for format in metadata.formats.values()
        )
        if self.custom is not None and left_over:
            return  # only these functions can read the values that the migration has yet to reach
        functions = "dump_load=(encode, decode)"
        how = functions if written == CUSTOM else f"serialize={written!r}, or without naming any"
        if place and {self.name, written} <= IDS.keys():
            migrate = f"run `stones migrate {_shell_word(place)} --to {self.name}`"
        else:
            target = functions if self.custom is not None else f"to={self.name!r}"
            migrate = f"open it that way and call stones.migrate(store, {target})"
        raise FormatMismatchError(
            f"{store!r} is written by {_writer_name(written)}, not by {_writer_name(self.name)}: "
            f"open it with {how}; to re-encode it, {migrate}"
        )

    def check_keys(self, metadata: Metadata, store: str) -> None:
        """Raise EncryptionKeyError if a key is missing, by which values are encrypted.

        Raises StoreOpenError without the package that decrypts or decompresses them.
        """
        in_use = [metadata.formats[id] for id in sorted(metadata.in_use)]
        if any(format.compression for format in in_use):
            check_compression_package()
        for id in {format.encryption: None for format in in_use}:
            if id is None or self.keys.find(id, metadata.keys[id]) is not None:
                continue
            if not len(self.keys):
                raise EncryptionKeyError(
                    f"{store} is encrypted: open it with encrypt=key, where key is its 32 bytes "
                    "or a function that returns them (`stones` commands: with --key-file PATH, or "
                    "with the key in the environment variable STONES_KEY)"
                )
            is_older = id != metadata.write.encryption and len(in_use) > 1
            hint = (
                "some of its values are left under an older key: open it with "
                "encrypt=[newest, *older]"
                if is_older and self.knows_key_of(metadata.write, metadata)
                else "take the key with which it was encrypted, or restore a backup of the key"
            )
            raise EncryptionKeyError(
                f"the key given does not decrypt {store}, which is encrypted by another key: "
                f"{hint}; nothing was read or written"
            )

    def _check_packing(self, metadata: Metadata, store: str, place: str) -> None:
        write = metadata.write
        is_encrypted = any(metadata.formats[id].encryption for id in metadata.in_use)
        problem = None
        if self.compress is not None and (self.compress or None) != write.compression:
            has = f"compressed by {write.compression}" if write.compression else "not compressed"
            flag = "--no-compress" if not self.compress else f"--compress {self.compress}"
            now, then = f"compress={write.compression or False!r}", f"compress={self.compress!r}"
            problem = has, now, then, flag
        elif self.encrypts is not None and self.encrypts != is_encrypted:
            has = "encrypted" if is_encrypted else "not encrypted"
            now, then = ("key", "False") if is_encrypted else ("False", "key")
            flag = "--encrypt" if self.encrypts else "--no-encrypt"
            problem = has, f"encrypt={now}", f"encrypt={then}", flag
        if problem is None:
            return
        has, now, then, flag = problem
        option = now.partition("=")[0]
        migrate = f"open it that way and call stones.migrate(store, {then})"
        if place and write.serializer in IDS:
            migrate = f"run `stones migrate {_shell_word(place)} {flag}`"
        raise FormatMismatchError(
            f"{store!r} is {has}: open it with {now}, or leave {option}= out; to change the store, "
            f"{migrate}"
        )

    def knows_key_of(self, format: Format, metadata: Metadata) -> bool:
        """Whether values in `format` are not encrypted, or by one of the keys given."""
        id = format.encryption
        return id is None or self.keys.find(id, metadata.keys[id]) is not None

    def trusts(self, format: Format) -> bool:
        """Whether values in `format` may be read: no pickle, or pickles are trusted."""
        return self.trusts_pickle or format.serializer != "pickle"

    def reader(self, format: Format, where: str) -> Serializer:
        """The serializer that reads values in `format`. `where` names the value for messages.

        Raises FormatMismatchError if the serializer is not known, or not trusted.
        """
        if not self.trusts(format):
            how = (
                "without naming a serializer"
                if self.default == "pickle"
                else "with trust_pickle=True"
            )
            raise FormatMismatchError(
                f"{where} is pickled, and reading a pickle can run code: if you trust where it "
                f"comes from, open the store {how} (`stones` commands: with --trust-pickle)"
            )
        return self.writer(format, where)

    def writer(self, format: Format, where: str) -> Serializer:
        """The serializer of `format` for writing, which is safe in any format.

        Raises FormatMismatchError if the serializer is not known.
        """
        if format.serializer == CUSTOM:
            if self.custom is None:
                raise FormatMismatchError(
                    f"{where} was written by functions of its own: pass them as "
                    "dump_load=(encode, decode)"
                )
            return self.custom
        plain = format.serializer.removesuffix(STONES03_SUFFIX)
        if plain != format.serializer and plain in STONES03_ENCODINGS:
            from .stones03 import stones03_serializer  # few stores need it

            return stones03_serializer(plain)
        try:
            return serializer(format.serializer)
        except SerializerError as error:
            raise FormatMismatchError(
                f"{where} was written by the serializer {format.serializer!r}, which is not known "
                "here: register_serializer() it before you open the store"
            ) from error


def check_checksums(checksums: object) -> None:
    """Raise ValueTypeError unless the argument `checksums=` is True, False or None."""
    if not (checksums is None or isinstance(checksums, bool)):
        raise ValueTypeError(f"checksums is True, False or None, not {show(checksums)}")


def checked_compress(compress: object) -> Literal["zstd", False] | None:
    """The argument `compress=`. Raises ValueTypeError unless it is 'zstd', True, False or None."""
    if compress is None or compress is False:
        return compress
    if compress is True or compress == ZSTD:
        return "zstd"
    raise ValueTypeError(f"compress is 'zstd', False or None, not {show(compress)}")


def _writer_name(serializer: str | None) -> str:
    return "functions of its own" if serializer == CUSTOM else repr(serializer)


def _shell_word(place: str) -> str:
    """A path or URL as it is typed in a shell.

    Bytes that are not UTF-8 become escapes of bash and zsh.
    """
    try:
        place.encode()
    except UnicodeEncodeError:
        raw = os.fsencode(place)
        return "$'" + "".join(chr(b) if _is_plain(b) else f"\\x{b:02x}" for b in raw) + "'"
    return shlex.quote(place)


def _is_plain(byte: int) -> bool:
    return 0x20 <= byte < 0x7F and byte not in b"'\\"
