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
    "copy_file_range,sendfile,splice,rename,renameat,renameat2,unlink,unlinkat"
)
HARMLESS = {"open", "lseek", "unlink", "unlinkat", "mremap"}

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

    created: int = 0
    named: int | None = None  # when the directory that it was made in was synced
    last: int = 0
    writes: list[Write] = field(factory=list)
    syncs: list[Sync] = field(factory=list)
    said: list[tuple[int, str]] = field(factory=list)

    def done(self, instant: int) -> Counter[int]:
        """The operations acknowledged before an instant, by lane."""
        lines = (line.split() for at, line in self.said if at < instant)
        return Counter(int(words[1]) for words in lines if words[0] == "did")


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
    if [line for _, line in recording.said] != run.stdout.splitlines():
        raise RuntimeError("the trace has other lines than the writer has said")
    return recording


def read_trace(trace: Path, watched: str) -> Recording:
    recording = Recording()
    flags: dict[int, str] = {}
    positions: dict[int, int] = {}
    for start, end, name, arguments, result in _calls(trace):
        recording.last = end
        if result == "-1" or result.startswith("0xf" * 8):
            continue
        found = _DESCRIPTOR.match(arguments)
        descriptor, path = (int(found[1]), _path(found[2])) if found else (-1, "")
        if name == "openat":
            opened = [_bytes(text).decode(errors="replace") for text in _STRING.findall(arguments)]
            if opened and opened[0] == watched:
                flags[int(result)] = arguments
                positions[int(result)] = 0
                if "O_CREAT" in arguments and not recording.created:
                    recording.created = start
        elif name == "write" and descriptor == 1 and path != watched:
            text = b"".join(map(_bytes, _STRING.findall(arguments)))
            recording.said += [(start, line) for line in text.decode().splitlines()]
        elif name == "fsync" and path == os.path.dirname(watched):
            recording.named = recording.named or end
        elif name in ("sync", "syncfs"):
            recording.syncs.append(Sync(start, end))
        elif watched not in (path, _mapped(arguments)):
            continue
        elif name == "lseek":
            positions[descriptor] = int(result)
        elif name in ("fsync", "fdatasync"):
            recording.syncs.append(Sync(start, end))
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
            synced = "SYNC" in flags[descriptor]  # O_SYNC or O_DSYNC
            recording.writes.append(Write(start, end, offset, data, synced))
        elif name == "mmap" and not ("PROT_WRITE" in arguments and "MAP_SHARED" in arguments):
            pass
        elif name not in HARMLESS:
            raise RuntimeError(f"cannot replay {name}({arguments:.200})")
    recording.writes.sort(key=lambda write: write.start)
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


def _mapped(arguments: str) -> str:
    """The file that a descriptor among the arguments is of, which is not the first."""
    found = _DESCRIPTOR.search(arguments)
    return _path(found[2]) if found else ""


def _path(shown: str) -> str:
    return _bytes(shown).decode(errors="replace") if shown.startswith("\\x") else shown


def _bytes(shown: str) -> bytes:
    return bytes.fromhex(shown.replace("\\x", ""))
