"""One instant of an LMDB file, held while others go on writing.

LMDB leaves the pages alone that an open read transaction can see. To open one means to map the
file, and where that is damaged the process may end; so a child process does it, and nothing else.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from signal import Signals

import lmdb
from attrs import frozen

from stones.engines.lmdb.environment import open_environment
from stones.engines.lmdb.file.pages import Meta
from stones.engines.lmdb.file_copy import meta_of

_PATIENCE = 1000


@frozen
class HeldSnapshot:
    """A state of the file: `meta`, or None where the child could not open it; then `problem`.

    `held`: its pages stay as they are, whatever others write. Else there is no table of readers to
    enter: the directory cannot be written.
    """

    meta: Meta | None
    problem: str | None
    held: bool = False


@contextmanager
def hold(path: str) -> Iterator[HeldSnapshot]:
    """Hold an instant of the LMDB environment in the directory `path`."""
    # What a user runs may have no file, or a main module that must not be run again; so neither
    # fork nor multiprocessing, but a module of ours, found where this process has found it.
    paths = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    command = [sys.executable, "-P", "-m", "stones.repair.held_snapshot", path]
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": paths},
        )
    except OSError as error:
        yield HeldSnapshot(None, f"no process could be started that opens it with LMDB: {error}")
        return
    with child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            yield _answer(child, child.stdout.readline().decode().strip())
        finally:
            child.stdin.close()


def _answer(child: "subprocess.Popen[bytes]", answer: str) -> HeldSnapshot:
    kind, _, text = answer.partition(" ")
    if kind in ("held", "seen"):
        raw = bytes.fromhex(text)
        meta = Meta.parsed(raw, int.from_bytes(raw[:8], sys.byteorder))
        return HeldSnapshot(meta, None, kind == "held")
    if kind == "error":
        return HeldSnapshot(None, f"LMDB cannot open it: {text}")
    code = child.wait()
    how = Signals(-code).name if code < 0 else f"exit code {code}"
    return HeldSnapshot(None, f"a process that opens it with LMDB ends with {how}")


def _main(path: str) -> None:
    for _ in range(_PATIENCE):
        try:
            environment = open_environment(path, readonly=True, databases=0)
            meta, txn = meta_of(path, environment.begin, lambda txn: txn.id())
            break
        except lmdb.MapResizedError:  # others have written more than was mapped: again
            environment.close()
        except (lmdb.Error, OSError) as error:
            print("error", " ".join(str(error).split()), flush=True)
            return
    else:
        print("error it grows too fast", flush=True)
        return
    if meta is None:
        print("error the transaction that it begins is not the one in the file", flush=True)
        return
    print("held" if environment.flags()["lock"] else "seen", meta.raw.hex(), flush=True)
    sys.stdin.read()  # until the parent has done, or is no more
    del txn


if __name__ == "__main__":
    _main(*sys.argv[1:])
