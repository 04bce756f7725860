"""A Redis server: connections, commands and scripts, and its errors as errors of stones."""

from collections.abc import Sequence
from typing import Any

import redis
from redis import exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from stones.errors import (
    StoneError,
    StorageError,
    StoreClosedError,
    StoreFullError,
    StoreOpenError,
    UnknownOutcomeError,
)

from .address import Address
from .scripts import Script

_LOST = (redis.ConnectionError, redis.TimeoutError, OSError)


class Server:
    """The server at an address. Threads share it; a forked child makes connections of its own.

    The client repeats no command by itself. A command that reads is repeated once here, since a
    connection that was kept may be gone.
    """

    def __init__(self, address: Address) -> None:
        self.shown = address.shown
        self.closed = False
        try:
            self._pool = redis.ConnectionPool.from_url(
                address.url, protocol=2, retry=Retry(NoBackoff(), 0), decode_responses=False
            )
            self._pool.connection_class(**self._pool.connection_kwargs)  # refuses unknown options
        except (ValueError, TypeError, redis.RedisError) as error:
            # Without the error of the client: it may show the URL.
            kind = type(error).__name__
            raise StoreOpenError(
                f"cannot use the URL of {self.shown!r} ({kind}): look at its options"
            ) from None

    def call(self, *command: Any) -> Any:
        """The reply to a command that only reads. Raises StorageError, StoreClosedError."""
        try:
            return self._send(command)
        except _LOST:
            return self._called(command)
        except redis.RedisError as error:
            raise self.translated(error) from error

    def run(self, script: Script, keys: Sequence[bytes], *arguments: Any) -> Any:
        """The result of a script that only reads."""
        command = (len(keys), *keys, *arguments)
        try:
            return self._send(("EVALSHA", script.digest, *command))
        except (exceptions.NoScriptError, *_LOST):
            return self._called(("EVAL", script.text, *command))
        except redis.RedisError as error:
            raise self.translated(error) from error

    def change(self, *command: Any) -> Any:
        """The reply to a command that writes, which is never repeated.

        Raises UnknownOutcomeError if the connection is lost after the command was sent.
        """
        self.check()
        try:
            connection: Any = self._pool.get_connection()
        except (redis.RedisError, OSError) as error:
            raise self.translated(error) from error
        try:
            connection.send_packed_command(_packed(command))
            return connection.read_response()
        except exceptions.NoScriptError:
            raise
        except _LOST as error:
            connection.disconnect()
            raise UnknownOutcomeError(
                f"the connection to {self.shown!r} was lost in the commit: nobody can tell whether "
                f"it was made; look before you write again ({error})"
            ) from error
        except redis.RedisError as error:
            raise self.translated(error) from error
        except BaseException:  # an interrupt: what comes next on it is the reply to this
            connection.disconnect()
            raise
        finally:
            self._pool.release(connection)

    def change_together(self, *commands: Sequence[Any]) -> list[Any]:
        """The replies to commands that the server runs at once, with no other in between.

        It does not refuse other clients meanwhile, as it does if a script takes long. The commands
        are never repeated. Raises StorageError.
        """
        self.check()
        try:
            connection: Any = self._pool.get_connection()
        except (redis.RedisError, OSError) as error:
            raise self.translated(error) from error
        try:
            for command in (("MULTI",), *commands, ("EXEC",)):
                connection.send_packed_command(_packed(command))
            for _ in range(len(commands) + 1):
                connection.read_response()  # the server has noted the command
            replies: list[Any] = connection.read_response()
        except (redis.RedisError, OSError) as error:
            connection.disconnect()  # more replies may come on it
            raise self.translated(error) from error
        except BaseException:
            connection.disconnect()
            raise
        finally:
            self._pool.release(connection)
        for reply in replies:
            if isinstance(reply, Exception):
                raise self.translated(reply) from reply
        return replies

    def run_change(self, script: Script, keys: Sequence[bytes], *arguments: Any) -> Any:
        """The result of a script that writes, which runs once at most."""
        command = (len(keys), *keys, *arguments)
        try:
            return self.change("EVALSHA", script.digest, *command)
        except exceptions.NoScriptError:  # so it has not run
            return self.change("EVAL", script.text, *command)

    def close(self) -> None:
        """Close the connections that nobody uses. Others end with their command."""
        self.closed = True
        self._pool.disconnect(inuse_connections=False)

    def _called(self, command: Sequence[Any]) -> Any:
        try:
            return self._send(command)
        except (redis.RedisError, OSError) as error:
            raise self.translated(error) from error

    def _send(self, command: Sequence[Any]) -> Any:
        self.check()
        connection: Any = self._pool.get_connection()
        try:
            connection.send_packed_command(_packed(command))
            return connection.read_response()
        except redis.ResponseError:  # a reply, so the connection can be used
            raise
        except BaseException:
            connection.disconnect()
            raise
        finally:
            self._pool.release(connection)
            if self.closed:
                self._pool.disconnect(inuse_connections=False)

    def check(self) -> None:
        """Raise StoreClosedError if the store is closed."""
        if self.closed:
            raise StoreClosedError(f"the store {self.shown!r} is closed")

    def translated(self, error: Exception) -> StoneError:
        """The error of stones for an error of the client. Its text has no password."""
        text, where = str(error), repr(self.shown)
        if self.closed:
            return StoreClosedError(f"the store {where} is closed")
        if isinstance(error, redis.AuthenticationError) or text.startswith(("NOAUTH", "WRONGPASS")):
            return StorageError(f"{where} refuses the user or the password")
        if (
            isinstance(error, exceptions.NoPermissionError)
            or "no permission" in text
            or "user executing" in text
        ):
            return StorageError(f"the user of {where} may not do that: {text}")
        if "OOM" in text or isinstance(error, exceptions.OutOfMemoryError):
            return StoreFullError(f"the server of {where} has no memory left: nothing was written")
        if "DAMAGED" in text:
            return StorageError(f"the store {where} is damaged, a key has no value")
        if "WRONGTYPE" in text:
            return StorageError(f"a key of the store {where} was replaced by another type of value")
        if isinstance(error, exceptions.MovedError) or text.startswith("MOVED"):
            return StorageError(
                f"the node of {where} does not serve this prefix: name the node that does ({text})"
            )
        if isinstance(error, _LOST):
            return StorageError(f"no connection to {where}: {text}")
        return StorageError(f"Redis failed on {where}: {text}")


def _packed(command: Sequence[Any]) -> list[bytes]:
    """A command as it is sent. The client does this as well, in four times the time."""
    parts = [b"*%d\r\n" % len(command)]
    for part in command:
        if not isinstance(part, bytes):
            part = str(part).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(part), part))
    return [b"".join(parts)]
