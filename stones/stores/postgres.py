"""The store on a PostgreSQL: for programs on several machines, with many writers at once.

`stones.engines.postgres` is the engine below it. It is loaded when a store is opened, since it
needs psycopg.
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

from stones.formats.encryption_keys import Encrypt

from .options import Functions
from .reader import K, V
from .schemes import naming_the_client
from .store import Store
from .timeout import TIMEOUT, timeout_of


class PostgresStore(Store[K, V]):
    """A store in a database of PostgreSQL, for programs on any number of machines.

    It needs psycopg: `pip install stones[postgres]`. Beside the options of `Store` it takes these:

    - `url` says where the server is: `postgresql://USER@HOST/DATABASE?sslmode=verify-full`. All
      parameters of libpq work, and `table`. Several hosts are separated by commas; the one that
      takes writes is used.
    - `table` is the name of the store in the database. It has the tables NAME, NAME_index,
      NAME_meta, NAME_sums and NAME_lock.
    - `readonly=True` opens an existing store without ever writing to it. A hot standby, and a role
      that may only SELECT, serve such a store.
    - `create=False` refuses a database where there is no such store.
    - `timeout` is how many seconds a write waits for other writers, as in `Store`.

    A new store has the serializer cbor, since others can write to the tables: a pickle can run
    code. `len(store)` reads the whole table: it costs O(n).

    If a connection is lost in a commit, that is an UnknownOutcomeError, and nothing is repeated.
    Raises StoreOpenError if the store cannot be opened, or if psycopg is not installed. Raises
    SerializerError for an unknown serializer, and FormatMismatchError if the store is written by
    another serializer than the one named.

    With `url = 'postgresql://app@db1,db2/shop?sslmode=verify-full'`, or another one:

    >>> with PostgresStore(url, table='greetings') as store:
    ...     store['greeting'] = 'hello'
    >>> with PostgresStore(url, table='greetings', create=False) as store:
    ...     store['greeting']
    'hello'
    >>> store.destroy(yes_im_sure=True)
    """

    default_serializer: ClassVar[str] = "cbor"

    def __init__(
        self,
        url: str,
        *,
        table: str = "stones",
        readonly: bool = False,
        create: bool = True,
        timeout: float | None = TIMEOUT,
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
        with naming_the_client("postgresql"):
            from stones.engines.postgres.engine import PostgresEngine
        engine = PostgresEngine(
            url, table=table, readonly=readonly, create=create, timeout=timeout_of(timeout)
        )
        super().__init__(
            engine,
            name=engine.name,
            place=engine.name,
            readonly=readonly,
            timeout=timeout,
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
        self._drop_tables = engine.drop

    @classmethod
    def from_url(cls, url: str, **options: Any) -> Self:
        """The store at a URL: `PostgresStore(url, **options)`."""
        return cls(url, **options)

    def destroy(self, *, yes_im_sure: bool = False) -> None:
        """Close the store and drop its tables. Does nothing without `yes_im_sure=True`.

        It waits until transactions that are open on the tables have ended, at most `timeout`
        seconds. Each use of the store by other programs is a StorageError from then on. Raises
        StorageError, with nothing dropped, if the role does not own the tables.
        """
        if yes_im_sure:
            self.close()
            self._drop_tables()
