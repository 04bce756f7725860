"""Encrypts the bytes of single values with AES-256-GCM.

No two values are encrypted with the same key and the same nonce, ever: that would reveal both, and
let others forge values. So the 32 bytes of the user are never a key of AES. From them and 12 random
bytes, the *salt*, HKDF-SHA256 derives a key of a *session*. A session numbers its values from 0 to
2**32 - 1. A process begins another session when it opens a store, after a fork, and when the
numbers are used up. A session is only in the memory of its process. So a file that is copied, or
restored from a backup, brings no number back.

An encrypted value is the salt, the number in 4 bytes (big-endian), the encrypted bytes, and a tag
of 16 bytes. The nonce is the last 8 bytes of the salt and the number. The tag also proves the key
of the entry: a value under another key is not accepted. The first byte of the stored value and the
rest of its format take part in the derivation, so they are proved too.
"""

import hmac
import os
import weakref
from collections.abc import Callable, Sequence
from itertools import count, islice
from typing import Any, NamedTuple, NoReturn

from .optional_packages import optional_module

KEY_SIZE = 32
"""A key has so many bytes."""
_SALT = 12
_NUMBER = 4
_NONCE = 12
_NONCE_PART = slice(_SALT + _NUMBER - _NONCE, None)
"""Where the nonce is in salt and number."""
LAST_NUMBER = 2**32 - 1
"""The number of the last value of a session."""
HEAD = _SALT + _NUMBER
"""So many bytes are before the encrypted ones."""
TAG = 16
"""So many bytes are after them."""
_MOST_SESSIONS = 4096
"""A reader keeps the keys of so many sessions, of some kB each."""
_MOST_UNSEALED = 16
"""A key keeps so many contents that it has unsealed."""

Decrypt = Callable[[bytes, bytes, bytes], bytes]


class _Session(NamedTuple):
    """The values that one process encrypts in a row."""

    process: int
    salt: bytes
    encrypt: Callable[[bytes, bytes, bytes], bytes]
    numbers: "count[int]"
    """`next` of it is one step: no two threads get the same number."""


class Encryptor:
    """Encrypts the values of one format. Threads may share it."""

    def __init__(self, key: "EncryptionKey", bound: bytes) -> None:
        self._key = key
        self._bound = bound
        self._session: _Session | None = None
        _encryptors.add(self)

    def encrypt(self, key: bytes, content: bytes) -> bytes:
        """The encrypted value of the key of an entry, which is not stored in it."""
        process, salt, encrypt, numbers = self._session or self._begin()
        if process != os.getpid():
            process, salt, encrypt, numbers = self._begin()
        number = next(numbers)
        while number > LAST_NUMBER:
            process, salt, encrypt, numbers = self._begin()
            number = next(numbers)
        head = salt + number.to_bytes(_NUMBER, "big")
        return head + encrypt(head[_NONCE_PART], content, key)

    def forget_session(self) -> None:
        """Begin another session with the next value."""
        self._session = None

    def encrypt_many(self, keys: Sequence[bytes], contents: Sequence[bytes]) -> list[bytes]:
        """The encrypted values of some keys, as `encrypt` makes them, in 0.6 of the time."""
        process, salt, encrypt, numbers = self._session or self._begin()
        if process != os.getpid():
            process, salt, encrypt, numbers = self._begin()
        taken = list(islice(numbers, len(keys)))
        if not taken or taken[-1] > LAST_NUMBER:  # then `encrypt` begins another session
            return list(map(self.encrypt, keys, contents))
        heads = [salt + number.to_bytes(_NUMBER, "big") for number in taken]
        values = zip(heads, keys, contents, strict=True)
        return [head + encrypt(head[_NONCE_PART], content, key) for head, key, content in values]

    def _begin(self) -> _Session:
        # Two threads may do so at once: then there are two sessions, and either is good.
        salt = os.urandom(_SALT)
        cipher = self._key.cipher(salt, self._bound)
        self._session = session = _Session(os.getpid(), salt, cipher.encrypt, count())
        return session


class EncryptionKey:
    """32 bytes that only the user has. Threads may share it.

    No repr and no message shows the bytes. Raises StoreOpenError if the package cryptography is not
    installed.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._encryptors: dict[bytes, Encryptor] = {}
        self._decrypts: dict[bytes, dict[bytes, Decrypt]] = {}
        self._checks: dict[str, str] = {}
        self._unsealed: dict[tuple[bytes, bytes, bytes], bytes] = {}
        self._ciphers = optional_module("cryptography.hazmat.primitives.ciphers.aead", "encryption")
        self._hkdf = optional_module("cryptography.hazmat.primitives.kdf.hkdf", "encryption").HKDF
        self._sha256 = optional_module("cryptography.hazmat.primitives.hashes", "encryption").SHA256

    def check(self, id: str) -> str:
        """What a store keeps to recognize the key, from the id that it has there.

        The key cannot be computed from it.
        """
        known = self._checks.get(id)
        if known is None:
            known = self._derive(bytes.fromhex(id), b"stones: check", 16).hex()
            self._checks[id] = known
        return known

    def matches(self, id: str, check: str) -> bool:
        """Whether the key is the one with which a store has kept `id` and `check`."""
        return hmac.compare_digest(self.check(id), check)

    def encryptor(self, bound: bytes) -> Encryptor:
        """What encrypts the values of a format, which `bound` stands for: decryption proves it."""
        known = self._encryptors.get(bound)
        return known or self._encryptors.setdefault(bound, Encryptor(self, bound))

    def decrypting(
        self,
        bound: bytes,
        start: int,
        decode: Callable[[bytes], Any],
        failure: Callable[[bytes, Exception], Exception],
    ) -> Callable[[bytes, bytes], Any]:
        """The function that decrypts the stored value of a key, and decodes the result.

        `bound` stands for the format of such values, as for `encryptor`. The encrypted value begins
        at `start`. For other bytes and keys, and if `decode` fails, the function raises what
        `failure` makes of the key and the error.
        """
        decrypts = self._decrypts.setdefault(bound, {})
        # Each made once: to make the three of them takes 5 % of the time of a decryption.
        salt_part = slice(start, start + _SALT)
        nonce_part = slice(start + HEAD - _NONCE, start + HEAD)
        content_part = slice(start + HEAD, None)

        def begin(salt: bytes) -> Decrypt:
            if len(salt) != _SALT:
                raise ValueError("it is cut short")
            if len(decrypts) >= _MOST_SESSIONS:
                decrypts.clear()
            decrypts[salt] = decrypt = self.cipher(salt, bound).decrypt
            return decrypt  # type: ignore[no-any-return]  # cryptography is imported late

        def decrypt_and_decode(key: bytes, raw: bytes) -> Any:
            try:
                try:
                    decrypt = decrypts[raw[salt_part]]
                except KeyError:
                    decrypt = begin(raw[salt_part])
                return decode(decrypt(raw[nonce_part], raw[content_part], key))
            except MemoryError:
                raise
            except Exception as error:  # a decoder may raise anything on damaged bytes
                raise failure(key, error) from error

        return decrypt_and_decode

    def seal(self, purpose: bytes, name: bytes, content: bytes) -> bytes:
        """Encrypted bytes that are no value: a salt, the encrypted bytes, and a tag.

        `unseal` takes them with the same purpose and name only. Each call draws a salt, and the
        salt gives a key of AES that encrypts nothing else. So the nonce is zeros.
        """
        salt = os.urandom(_SALT)
        encrypted: bytes = self._sealing(salt, purpose).encrypt(bytes(_NONCE), content, name)
        return salt + encrypted

    def unseal(self, purpose: bytes, name: bytes, raw: bytes) -> bytes:
        """What `seal` encrypted. It is kept for the next call. Raises anything for other bytes."""
        known = self._unsealed.get((purpose, name, raw))
        if known is None:
            cipher = self._sealing(raw[:_SALT], purpose)
            known = cipher.decrypt(bytes(_NONCE), raw[_SALT:], name)
            if len(self._unsealed) >= _MOST_UNSEALED:
                self._unsealed.clear()
            self._unsealed[purpose, name, raw] = known
        return known

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is not pickled: it would be readable in the bytes")

    def cipher(self, salt: bytes, bound: bytes) -> Any:
        """The cipher of a session for values of the format that `bound` stands for."""
        purpose = b"stones: values" + bound
        return self._ciphers.AESGCM(self._derive(salt, purpose, KEY_SIZE))

    def _sealing(self, salt: bytes, purpose: bytes) -> Any:
        return self._ciphers.AESGCM(self._derive(salt, purpose, KEY_SIZE))

    def _derive(self, salt: bytes, purpose: bytes, size: int) -> bytes:
        derived: bytes = self._hkdf(self._sha256(), size, salt, purpose).derive(self._secret)
        return derived


def is_refused(error: BaseException) -> bool:
    """Whether decryption failed: the key, the value or what it is bound to is another one."""
    return type(error).__name__ == "InvalidTag"


_encryptors: "weakref.WeakSet[Encryptor]" = weakref.WeakSet()


def _after_fork() -> None:
    for encryptor in list(_encryptors):
        encryptor.forget_session()


# A session also knows its process: some programs fork without Python's functions.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
