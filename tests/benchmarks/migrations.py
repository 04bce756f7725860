"""What a migration costs: its time, what readers and writers notice of it, and its memory.

The floor is a bare loop in one transaction: scan, decode, encode, put. RECORDS=1000000 gives the
figures that the documentation tells.
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lmdb
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from measuring import RECORDS, ROUNDS, Benchmark, Prepared, ratio
from zstandard import ZstdCompressor

from stones import LmdbStore, migrate, stone
from stones.formats.serializers import serializer

ONE_TRANSACTION = "a bare loop in one transaction"
KEY = bytes(32)
PAIRS = [("msgpack", "cbor"), ("json", "msgpack"), ("pickle", "msgpack"), ("pickle", "cbor")]


def record(number: int) -> dict[str, Any]:
    """A value of about 300 bytes."""
    return {
        "email": f"{number:07}@example.org",
        "name": f"Name {number}",
        "age": number % 90,
        "score": number / 7,
        "address": {"city": ("London", "Paris", "Rome")[number % 3], "zip": f"{number % 1000}"},
        "tags": ["alpha", "beta", "gamma"][: number % 4],
        "note": f"{number} is a number, and this is the text of a note about it " * 3,
    }


def migrations(path: Path) -> Iterator[Benchmark]:
    for source, to in PAIRS:
        yield Benchmark(
            f"migrate {source} to {to}",
            lambda source=source, to=to: _reencoding(path, source, to),  # type: ignore[misc]
            1.5,
            ONE_TRANSACTION,
        )
    yield Benchmark("migrate compress='zstd'", lambda: _compressing(path), 1.5, ONE_TRANSACTION)
    yield Benchmark("migrate encrypt=key", lambda: _encrypting(path), 1.5, ONE_TRANSACTION)
    reads = "reads before it, by processor time"
    yield Benchmark("reads during a migration", lambda: _reading(path), -0.5, reads)
    yield Benchmark("the longest wait of a writer", lambda: _waiting(path), 0.05, "seconds")
    yield Benchmark("the memory of a migration", lambda: _memory(path), 100, "MB")


def _reencoding(path: Path, source: str, to: str) -> float:
    decode, encode = serializer(source).decode, serializer(to).encode

    def change(raw: bytes, _: bytes) -> bytes:
        return b"2" + encode(decode(raw[1:]))

    return _compared(path, source, change, to=to)


def _compressing(path: Path) -> float:
    compress = ZstdCompressor(level=3).compress
    return _compared(path, "msgpack", lambda raw, _: b"2" + compress(raw[1:]), compress="zstd")


def _encrypting(path: Path) -> float:
    encrypt = AESGCM(KEY).encrypt

    def change(raw: bytes, key: bytes) -> bytes:
        nonce = key.zfill(12)[-12:]
        return b"2" + nonce + encrypt(nonce, raw[1:], key)

    return _compared(path, "msgpack", change, encrypt=KEY)


def _compared(
    path: Path, source: str, change: Callable[[bytes, bytes], bytes], **migration: Any
) -> float:
    encode = serializer(source).encode
    raw_path, store_path = path / "raw-migration", path / "migration"

    def prepare_raw() -> None:
        shutil.rmtree(raw_path, ignore_errors=True)
        with lmdb.open(str(raw_path), map_size=1 << 40) as env, env.begin(write=True) as txn:
            for number in range(RECORDS):
                txn.put(b"%07d" % number, b"1" + encode(record(number)))

    def bare_loop() -> int:
        with lmdb.open(str(raw_path), map_size=1 << 40) as env, env.begin(write=True) as txn:
            for key, raw in txn.cursor():
                txn.put(key, change(raw, key))
        return RECORDS

    def prepare() -> None:
        shutil.rmtree(store_path, ignore_errors=True)
        _filled(store_path, source).close()

    def ours() -> int:
        with stone(str(store_path), LmdbStore, encrypt=None) as store:
            return migrate(store, **migration).values

    return ratio(Prepared(prepare, ours), Prepared(prepare_raw, bare_loop), rounds=min(ROUNDS, 3))


def _filled(path: Path, source: str) -> LmdbStore[bytes, Any]:
    store: LmdbStore[bytes, Any] = LmdbStore(str(path), serialize=source)
    store.update((b"%07d" % number, record(number)) for number in range(RECORDS))
    return store


READER = """
import select, sys, time
from stones import LmdbStore
path, kind, records = sys.argv[1], sys.argv[2], int(sys.argv[3])
store = LmdbStore(path)
keys = [b'%07d' % number for number in range(0, records, 7)]
print('ready', flush=True)
count, longest = 0, 0.0
def is_told_to_stop():
    return bool(select.select([sys.stdin], [], [], 0)[0])
while not is_told_to_stop():
    for key in keys[:2000]:
        began = time.perf_counter()
        if kind == 'read':
            store[key]
        else:
            txn = store.database.engine.begin(write=True)
            longest = max(longest, time.perf_counter() - began)
            txn.abort()
            time.sleep(0.001)
            if is_told_to_stop():
                break
        count += 1
print(count / time.process_time(), longest, flush=True)
"""


class _Bystander:
    """Another process that reads, or writes, until it is told to stop."""

    def __init__(self, path: Path, kind: str) -> None:
        command = [sys.executable, "-c", READER, str(path), kind, str(RECORDS)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def stop(self) -> tuple[float, float]:
        """How many reads it did in a second of processor time, and the longest wait in seconds."""
        told, _ = self._process.communicate("\n")
        rate, longest = map(float, told.split())
        return rate, longest


def _reading(path: Path) -> float:
    with _fresh(path) as store:
        quiet = _Bystander(path / "migration", "read")
        time.sleep(2)
        before, _ = quiet.stop()
        reader = _Bystander(path / "migration", "read")
        migrate(store, "json")
        during, _ = reader.stop()
    return during / before


def _waiting(path: Path) -> float:
    with _fresh(path) as store:
        writer = _Bystander(path / "migration", "write")
        migrate(store, "cbor")
        _, longest = writer.stop()
    return longest


def _memory(path: Path) -> float:
    _fresh(path).close()
    code = """
import resource, sys
from stones import LmdbStore, migrate
with LmdbStore(sys.argv[1]) as store:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    migrate(store, 'cbor', compress='zstd')
# Without the pages of the file, which the system counts too and may take back.
lines = dict(line.split(':') for line in open('/proc/self/status') if line.startswith('Rss'))
print(int(lines['RssAnon'].split()[0]) / 1000)
"""
    told = subprocess.check_output([sys.executable, "-c", code, str(path / "migration")])
    return float(told)


def _fresh(path: Path) -> LmdbStore[bytes, Any]:
    shutil.rmtree(path / "migration", ignore_errors=True)
    return _filled(path / "migration", "msgpack")
