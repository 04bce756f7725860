"""What a process writes to a file and when it is synced, as strace sees it.

Every system call that could change the file is either understood here or refused, so that none is
overlooked; and replaying all of them must give the file that is really there.
"""

import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import define, field, frozen
from workload import Violation

TRACED = (
    "open,openat,creat,dup,dup2,dup3,lseek,mmap,mremap,msync,fsync,fdatasync,sync,syncfs,"
    "sync_file_range,write,writev,pwrite64,pwritev,pwritev2,ftruncate,truncate,fallocate,"
    "copy_file_range,sendfile,splice,rename,renameat,renameat2,link,linkat"
)

_LINE = re.compile(r"(\d+) +(.*)")
_CALL = re.compile(r"(\w+)\((.*)\) += (-?\d+|0x[0-9a-f]+)\S*", re.DOTALL)
_DESCRIPTOR = re.compile(r"(\d+)<([^>]*)>")
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_NUMBER_AT_END = re.compile(r"(\d+)$")


@frozen
class Write:
    """A write to the file: asked for at `start`, done at `end`, synced by then if `synced`."""

    start: int
    end: int
    offset: int
    data: bytes = field(repr=len)
    synced: bool


@frozen
class Sync:
    """Whatever was written before `start` is on the disk at `end`."""

    start: int
    end: int


@define
class Recording:
    """The life of a file. Instants are the numbers of lines in the trace."""

    created: int = 0  # since when it has its name
    last: int = 0
    writes: list[Write] = field(factory=list)
    syncs: list[Sync] = field(factory=list)
    said: list[tuple[int, str]] = field(factory=list)
    folders: dict[str, int] = field(factory=dict)  # directories that were synced, and when first

    def done(self, instant: int) -> Counter[int]:
        """The operations acknowledged before an instant, by lane."""
        lines = (line.split() for at, line in self.said if at < instant)
        return Counter(int(words[1]) for words in lines if words[0] == "did")

    def synced(self, instant: int) -> Counter[int]:
        """Those of them that their lane has called `sync()` after, and that has returned."""
        synced, done = Counter[int](), Counter[int]()
        for at, line in self.said:
            word, _, lane = line.partition(" ")
            if at < instant and word == "did":
                done[int(lane)] += 1
            elif at < instant and word == "synced":
                synced[int(lane)] = done[int(lane)]
        return synced


def record(command: Sequence[str], watched: Path, trace: Path) -> Recording:
    """Run `command`, which writes to the file `watched` and speaks on standard output."""
    if shutil.which("strace") is None:
        raise RuntimeError(
            "strace is needed to see what reaches the disk, and is not installed: "
            "`apt-get install strace`, or what your system has in its place"
        )
    run = subprocess.run(
        [
            *("strace", "-f", "-qq", "-y", "-xx", "-s", "100000000", "-e", "signal=none"),
            *("-e", f"trace={TRACED}", "-o", str(trace), *command),
        ],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    if not trace.exists() or not trace.stat().st_size:
        raise RuntimeError(
            "strace cannot trace here: a container needs `--cap-add SYS_PTRACE`, and "
            "/proc/sys/kernel/yama/ptrace_scope must not be 3"
        )
    wrong = [line for line in run.stdout.splitlines() if line.startswith("wrong")]
    if run.returncode or wrong:
        raise Violation(f"the writer ended with {run.returncode}: {wrong[:3]}")
    recording = read_trace(trace, str(watched))
    # Sorted, for threads that speak at the same time are in no order.
    if sorted(line for _, line in recording.said) != sorted(run.stdout.splitlines()):
        raise RuntimeError("the trace has other lines than the writer has said")
    return recording


def read_trace(trace: Path, watched: str) -> Recording:
    """What happened to the file `watched`, which may have been made under another name."""
    files = {watched: Recording()}  # and all of the same name elsewhere
    opened: dict[int, str] = {}  # the flags of descriptors
    positions: dict[int, int] = {}
    said, folders, last = [], {}, 0
    for start, end, name, arguments, result in _calls(trace):
        last = end
        if result.startswith("-"):
            continue
        if name in ("open", "creat", "openat"):
            opened[int(result)], positions[int(result)] = arguments, 0
            continue
        if name in ("rename", "renameat", "renameat2", "link", "linkat"):
            source, target = (_bytes(path).decode() for path in _STRING.findall(arguments)[-2:])
            if target == watched:
                files[watched] = files.pop(source)
                files[watched].created = start
            continue
        # The descriptor is the first argument, but for mmap() and the like.
        found = _DESCRIPTOR.search(arguments)
        if found is None:
            if name in ("sync", "syncfs"):
                raise RuntimeError(f"cannot replay {name}")
            continue
        descriptor, path = int(found[1]), _bytes(found[2]).decode(errors="replace")
        if name == "write" and descriptor == 1:
            text = b"".join(map(_bytes, _STRING.findall(arguments)))
            said += [(start, line) for line in text.decode().splitlines()]
        elif name in ("fsync", "fdatasync") and os.path.isdir(path):
            folders.setdefault(path, end)
        elif os.path.basename(path) != os.path.basename(watched):
            continue
        elif name == "lseek":
            positions[descriptor] = int(result)
        elif name in ("fsync", "fdatasync"):
            files.setdefault(path, Recording()).syncs.append(Sync(start, end))
        elif name in ("pwrite64", "pwritev", "write", "writev"):
            data = b"".join(map(_bytes, _STRING.findall(arguments)))[: int(result)]
            if len(data) != int(result):
                raise RuntimeError(f"strace has not shown all that was written: {start=}")
            offset = positions[descriptor]
            if name.startswith("p"):
                at_end = _NUMBER_AT_END.search(arguments)
                assert at_end is not None
                offset = int(at_end[1])
            else:
                positions[descriptor] += int(result)
            synced = "SYNC" in opened[descriptor]  # O_SYNC or O_DSYNC
            write = Write(start, end, offset, data, synced)
            files.setdefault(path, Recording()).writes.append(write)
        elif name != "mmap" or ("PROT_WRITE" in arguments and "MAP_SHARED" in arguments):
            raise RuntimeError(f"cannot replay {name}({arguments:.200})")
    recording = files[watched]
    recording.writes.sort(key=lambda write: write.start)
    recording.created = recording.created or min(write.start for write in recording.writes)
    recording.last, recording.said, recording.folders = last, sorted(said), folders
    return recording


def _calls(trace: Path) -> Iterator[tuple[int, int, str, str, str]]:
    """The system calls that returned: when they started and ended, name, arguments, result."""
    unfinished: dict[str, tuple[int, str]] = {}
    with trace.open() as lines:
        for number, line in enumerate(lines):
            matched = _LINE.match(line)
            if matched is None:
                continue
            thread, text = matched.groups()
            start = number
            if text.endswith("<unfinished ...>"):
                unfinished[thread] = (number, text.removesuffix("<unfinished ...>").rstrip())
                continue
            if text.startswith("<... "):
                start, begun = unfinished.pop(thread)
                text = begun + text.partition(" resumed>")[2]
            call = _CALL.match(text)
            if call is not None:
                yield start, number, call[1], call[2], call[3]


def _bytes(shown: str) -> bytes:
    """A string as `strace -xx` shows it; one of plain letters is a pipe:[...] or the like."""
    return bytes.fromhex(shown.replace("\\x", "")) if shown[:1] == "\\" else shown.encode()
