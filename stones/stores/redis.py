"""The store on a server of Redis or Valkey. `stones.engines.redis` is the engine below it.

It is loaded when a store is opened, since it needs the package redis.
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal, Self, get_args

from stones.engines.redis.address import address_of
from stones.errors import StoreOpenError
from stones.formats.encryption_keys import Encrypt
from stones.formats.messages import show

from .options import Functions
from .reader import K, V
from .schemes import naming_the_client
from .store import Store

RedisDurability = Literal["full", "lazy", "none"]
"""What a write must have survived when it returns: see `RedisStore`."""


class RedisStore(Store[K, V]):
    """A store on a Redis server, for any number of threads, processes and machines.

    Redis cannot promise snapshots: an iteration may see what others write meanwhile, and
    `snapshot()` raises UnsupportedError. It keeps everything in memory. Unless it is told to sync
    each write to its disk, a crash loses the last writes; a failover may lose them in any case.

    It needs the package redis: `pip install stones[redis]`. A new store writes `cbor` unless
    `serialize` says otherwise, and pickles are not trusted unless they are named, since others may
    write to the server. Beside the options of `Store` it takes these:

    - `url` is `redis://HOST:6379/0`, `rediss://USER:PASSWORD@HOST:6379/0` for TLS, or
      `unix:///PATH?db=0`. Options of the client go behind the `?`, as in `socket_timeout=10`.
    - `prefix` begins the names of all keys of the store; `prefix=` in the URL says the same.
    - `readonly=True` opens an existing store and never writes to it.
    - `create=False` refuses a prefix where there is no store.
    - `durability` is the least that the server must give, or StoreOpenError. `'full'`: a write has
      survived a power cut when it returns. `'lazy'`: a crash loses the last second or two.
      `'none'`, and None: anything. The server decides, by `appendonly` and `appendfsync`.

    A transaction waits for nobody. If others have changed what it has read, its end raises
    ConflictError with nothing written: run it again, or give a function to `Store.transact`. So
    there is no `timeout`.

    Raises StoreOpenError if the store cannot be opened, also without the package redis.
    No error shows the password.

    With `url = 'redis://cache:6379/0'`, or another one:

    >>> with RedisStore(url, prefix='greetings') as store:
    ...     store['greeting'] = 'hello'
    >>> with RedisStore(url, prefix='greetings', create=False) as store:
    ...     store['greeting']
    'hello'
    >>> store.destroy(yes_im_sure=True)
    """

    default_serializer: ClassVar[str] = "cbor"

    def __init__(
        self,
        url: str,
        *,
        prefix: str | None = None,
        readonly: bool = False,
        create: bool = True,
        durability: RedisDurability | None = None,
        serialize: str | None = None,
        dump_load: Functions = (),
        value_type: type = bytes,
        key_type: type[K] = bytes,  # type: ignore[assignment]  # K is bytes where it is not given
        trust_pickle: bool | None = None,
        checksums: bool | None = None,
        compress: str | bool | None = None,
        encrypt: Encrypt = None,
        iterable: Mapping[Any, V] | Iterable[tuple[Any, V]] = (),
        kwargs: Mapping[str, V] | None = None,
    ) -> None:
        if durability is not None and durability not in get_args(RedisDurability):
            raise StoreOpenError(
                f"durability is one of {', '.join(get_args(RedisDurability))}, or None, not "
                f"{show(durability)}"
            )
        address = address_of(url, prefix)
        with naming_the_client("redis"):
            from stones.engines.redis.engine import RedisEngine
        engine = RedisEngine.open(address, readonly=readonly, create=create, durability=durability)
        self._address = address
        super().__init__(
            engine,
            name=address.shown,
            place=address.shown,
            readonly=readonly,
            serialize=serialize,
            dump_load=dump_load,
            value_type=value_type,
            key_type=key_type,
            trust_pickle=trust_pickle,
            checksums=checksums,
            compress=compress,
            encrypt=encrypt,
            iterable=iterable,
            kwargs=kwargs,
        )

    @classmethod
    def from_url(cls, url: str, **options: Any) -> Self:
        """The store at a URL: `RedisStore(url, **options)`."""
        return cls(url, **options)

    def destroy(self, *, yes_im_sure: bool = False) -> None:
        """Close the store and remove it from the server.

        Does nothing without `yes_im_sure=True`. Other programs that have it open get StorageError
        or find it empty.
        """
        if yes_im_sure:
            from stones.engines.redis.engine import destroy

            self.close()
            destroy(self._address)
