"""Where the keys of encrypted values come from: bytes, functions, files, the environment."""

import base64
import binascii
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from stones.errors import EncryptionKeyError, ValueTypeError

from .encryption import KEY_SIZE, EncryptionKey

KeySource = bytes | Callable[[], bytes]
"""A key, or a function without arguments that returns one."""
Encrypt = KeySource | Sequence[KeySource] | bool | None
"""What the option `encrypt=` takes: a key, the newest key and older ones, False, or None."""

_FORMS = "32 bytes, or 64 hexadecimal digits, or base64"
_DIGITS = re.compile(r"[0-9A-Fa-f]{64}|[A-Za-z0-9+/_-]{43}=")
_NEW_KEY = 'python -c "import secrets; print(secrets.token_hex(32))"'


def key_from_file(path: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> Callable[[], bytes]:
    """A function that reads the key in a file: for `encrypt=`.

    The file has 32 bytes, or 64 hexadecimal digits, or base64. The file is read when a store is
    opened. Then the function raises EncryptionKeyError if there is no key in it.

    >>> import secrets
    >>> from pathlib import Path
    >>> from stones import LmdbStore, key_from_file
    >>> _ = Path('secret.key').write_text(secrets.token_hex(32))
    >>> with LmdbStore('diary', encrypt=key_from_file('secret.key')) as store:
    ...     store['today'] = 'nobody reads this'
    """
    place = os.fsdecode(path)

    def read() -> bytes:
        try:
            content = Path(place).read_bytes()
        except (OSError, ValueError) as error:
            if _may_be_key(path):
                raise EncryptionKeyError(
                    "the path of the key file looks like a key itself: write the key into a file, "
                    "and name the path of that file"
                ) from None
            raise EncryptionKeyError(
                f"the key file {place!r} cannot be read: {error}; `{_NEW_KEY}` makes a new key"
            ) from error
        return _parsed(content, f"the key file {place!r}")

    return read


def key_from_environment(name: str) -> Callable[[], bytes]:
    """A function that reads the key in an environment variable: for `encrypt=`.

    The variable has 64 hexadecimal digits, or base64. It is read when a store is opened. Then the
    function raises EncryptionKeyError if there is no key in it.

    >>> import os, secrets
    >>> from stones import MemoryStore, key_from_environment
    >>> os.environ['DIARY_KEY'] = secrets.token_hex(32)
    >>> store = MemoryStore({'a': 1}, encrypt=key_from_environment('DIARY_KEY'))
    """
    if not isinstance(name, str):
        raise ValueTypeError(f"the name of an environment variable is a str, not {_kind(name)}")

    def read() -> bytes:
        text = os.environ.get(name)
        if text is None and _may_be_key(name):
            raise EncryptionKeyError(
                "the name of the environment variable looks like a key itself: name the variable "
                "that holds the key"
            )
        if text is None:
            raise EncryptionKeyError(
                f"the environment variable {name} is not set: it has to hold the key of the store, "
                "as 64 hexadecimal digits or base64"
            )
        return _parsed(os.fsencode(text), f"the environment variable {name}")

    return read


class KeyRing:
    """The keys with which the opener of a store decrypts its values, the newest one first.

    >>> from stones.formats.encryption_keys import KeyRing
    >>> len(KeyRing.of(None)), len(KeyRing.of([b'n' * 32, lambda: b'o' * 32]))
    (0, 2)
    """

    def __init__(self, keys: Sequence[EncryptionKey] = ()) -> None:
        self._keys = tuple(keys)

    @classmethod
    def of(cls, encrypt: Encrypt) -> "KeyRing":
        """The keys that the option `encrypt=` names; its functions are called.

        Raises ValueTypeError for what is no key, and whatever the functions raise. A message shows
        nothing of a key.
        """
        if encrypt is None or encrypt is False:
            return cls()
        is_one = isinstance(encrypt, bytes | bytearray | memoryview) or callable(encrypt)
        if not (is_one or isinstance(encrypt, list | tuple)):
            raise ValueTypeError(
                f"encrypt is a key of {KEY_SIZE} bytes, a function that returns one, a list of "
                f"them with the newest first, False or None, not {_kind(encrypt)}"
            )
        sources: Any = [encrypt] if is_one else encrypt
        if not sources:
            raise ValueTypeError("encrypt is a list without a key: name one, or leave it out")
        return cls([EncryptionKey(_secret(source)) for source in sources])

    @property
    def newest(self) -> EncryptionKey | None:
        """The key for new values, or None without any key."""
        return self._keys[0] if self._keys else None

    def find(self, id: str, check: str) -> EncryptionKey | None:
        """The key that a store has as `id` and `check`, or None."""
        return next((key for key in self._keys if key.matches(id, check)), None)

    def joined(self, older: "KeyRing") -> "KeyRing":
        """These keys, and after them those of another ring."""
        return KeyRing([*self._keys, *older])

    def __iter__(self) -> Iterator[EncryptionKey]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        return f"<KeyRing of {len(self)}>"


def id_for(key: EncryptionKey, known: dict[str, str]) -> str:
    """The id of a key in a store that knows these ids and checks. A new one is added to them."""
    for id, check in known.items():
        if key.matches(id, check):
            return id
    id = os.urandom(16).hex()
    known[id] = key.check(id)
    return id


def _secret(source: Any) -> bytes:
    """The key that a part of `encrypt=` gives. Raises ValueTypeError."""
    is_function = callable(source)
    secret = source() if is_function else source
    if not isinstance(secret, bytes | bytearray | memoryview):
        what = "the function in encrypt= returned" if is_function else "a key in encrypt= is"
        raise ValueTypeError(f"{what} {_kind(secret)}, not {KEY_SIZE} bytes")
    secret = bytes(secret)
    if len(secret) != KEY_SIZE:
        raise EncryptionKeyError(
            f"a key has {KEY_SIZE} bytes, and this one has {len(secret)}: `{_NEW_KEY}` makes a "
            "key, as digits; key_from_file() and key_from_environment() read them"
        )
    return secret


def _kind(value: object) -> str:
    """The type of what may be a key: its repr must not get into a message."""
    return "None" if value is None else f"{type(value).__name__}"


def _may_be_key(name: object) -> bool:
    """Whether somebody may have given a key for a path or a name: no message must show it."""
    if isinstance(name, bytes):
        return len(name) == KEY_SIZE or _may_be_key(name.decode("latin-1"))
    return isinstance(name, str) and _DIGITS.fullmatch(name.strip()) is not None


def _parsed(content: bytes, place: str) -> bytes:
    if len(content) == KEY_SIZE:
        return content
    text = content.strip()
    try:
        if len(text) == 2 * KEY_SIZE:
            return bytes.fromhex(text.decode("ascii"))
        urlsafe = text.translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
        secret = base64.b64decode(urlsafe + b"=" * (-len(urlsafe) % 4), validate=True)
    except (ValueError, binascii.Error):
        secret = b""
    if len(secret) == KEY_SIZE:
        return secret
    raise EncryptionKeyError(
        f"{place} holds no key: a key is {_FORMS}; `{_NEW_KEY}` makes a new one"
    )
