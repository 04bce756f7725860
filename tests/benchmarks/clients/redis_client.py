"""redis-py: a hash, and its keys in a sorted set for their order."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import redis
from ground import SERIALIZER
from servers.redis import redis_server

from stones import RedisStore, Store

from .client import Client, Entry


@contextmanager
def sides(folder: Path) -> Iterator[tuple[Client, Store]]:
    with (
        redis_server() as url,
        redis.Redis.from_url(url) as client,
        RedisStore(url, prefix="store", serialize=SERIALIZER) as store,
    ):
        yield RedisClient(client), store


class RedisClient(Client):
    in_this_process = False

    def __init__(self, client: "redis.Redis[bytes]") -> None:
        self.client = client

    def get(self, key: bytes) -> bytes:
        return self.client.hget("values", key)

    def put(self, key: bytes, value: bytes) -> None:
        with self.client.pipeline() as together:
            together.hset("values", key, value).zadd("keys", {key: 0}).execute()

    def get_many(self, keys: Sequence[bytes]) -> list[bytes]:
        return self.client.hmget("values", keys)

    def items(self) -> Iterable[Entry]:
        keys = iter(self.client.zrangebylex("keys", "-", "+"))
        while page := list(islice(keys, 500)):
            yield from zip(page, self.client.hmget("values", page), strict=True)

    def update(self, entries: Sequence[Entry]) -> None:
        with self.client.pipeline() as together:
            together.hset("values", mapping=dict(entries))
            together.zadd("keys", {key: 0 for key, _ in entries})
            together.execute()
