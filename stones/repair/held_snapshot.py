"""A snapshot of an LMDB file, held while other processes write.

LMDB does not overwrite pages that an open read transaction can see. But to open one, LMDB maps the
file, and a damaged file can then end the process. So a child process opens the transaction, and
does nothing else.
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

_TRIES = 1000


@frozen
class HeldSnapshot:
    """A state of the file that a child process has opened."""

    meta: Meta | None
    """The meta page of the state. None if the child could not open the file."""
    problem: str | None
    """Why the child could not open the file, or None."""
    held: bool = False
    """Whether the pages of the state stay as they are while other processes write.

    They do not if the directory cannot be written, since LMDB's table of readers is there.
    """


@contextmanager
def hold(path: str) -> Iterator[HeldSnapshot]:
    """Hold a snapshot of the LMDB environment in the directory `path`, until the block ends."""
    # The user's main module may have no file, or must not run a second time. So this is neither
    # fork() nor multiprocessing. The child runs this module, found where this process found it.
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
        meta = Meta.parse(raw, int.from_bytes(raw[:8], sys.byteorder))
        return HeldSnapshot(meta, None, kind == "held")
    if kind == "error":
        return HeldSnapshot(None, f"LMDB cannot open it: {text}")
    code = child.wait()
    how = Signals(-code).name if code < 0 else f"exit code {code}"
    return HeldSnapshot(None, f"a process that opens it with LMDB ends with {how}")


def _main(path: str) -> None:
    for _ in range(_TRIES):
        try:
            environment = open_environment(path, readonly=True, databases=0)
            try:
                meta, txn = meta_of(path, environment.begin, lambda txn: txn.id())
                break
            except lmdb.MapResizedError:  # another process has made the file larger: open it again
                environment.close()
        except (lmdb.Error, OSError) as error:
            # A path that is not UTF-8 may be in the text.
            text = " ".join(str(error).split()).encode("utf-8", "backslashreplace").decode()
            print("error", text, flush=True)
            return
    else:
        print("error it grows too fast", flush=True)
        return
    if meta is None:
        print("error the transaction that it begins is not the one in the file", flush=True)
        return
    print("held" if environment.flags()["lock"] else "seen", meta.raw.hex(), flush=True)
    sys.stdin.read()  # until the parent closes it, or ends
    del txn


if __name__ == "__main__":
    _main(*sys.argv[1:])
