"""What servers for tests share: a folder, an account to run under, and an end that always comes.

A server must not outlive the tests, however they end. So a watchdog waits at a pipe from the tests.
When they are killed, the pipe closes; the watchdog stops the server and removes its folder.
"""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class MissingServerError(Exception):
    """A server that the tests need is not installed. It is an error, so that CI cannot miss it."""


def account() -> dict[str, Any]:
    """The arguments of `subprocess` that give up root, since most servers refuse to run as root."""
    if os.geteuid() != 0:
        return {}
    names = {user.pw_name: user for user in pwd.getpwall()}
    user = names.get("postgres") or names["nobody"]
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def make_folder(name: str) -> Path:
    """A new folder that belongs to the account of servers.

    It has a short path, since the path of a socket has at most 107 bytes.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"stones-{name}-"))
    if who := account():
        os.chown(folder, who["user"], who["group"])
    return folder


def run(command: Sequence[object], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command with the account of servers. Its output goes to a file, not to a pipe.

    A server that the command starts in the background would keep a pipe open for ever.
    """
    with tempfile.TemporaryFile("w+") as output:
        done = subprocess.run(
            list(map(str, command)),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            text=True,
            **account(),
        )
        output.seek(0)
        done.stdout = output.read()
    return done


def must_run(command: Sequence[object], folder: Path) -> None:
    """Run a command as `run` does; raise with what it printed if it fails."""
    done = run(command, folder)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}:\n{done.stdout}")


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Watchdog:
    """Runs a shell command and removes a folder: at `end`, or when this process is gone."""

    def __init__(self, folder: Path, command: str = ":", *arguments: object) -> None:
        # `read` ends with a line, or when nobody holds the other end of the pipe any more.
        script = f'read _; ({command}) >/dev/null 2>&1; rm -rf "$0"'
        self._folder = folder
        self._process = subprocess.Popen(
            ["sh", "-c", script, str(folder), *map(str, arguments)],
            stdin=subprocess.PIPE,
            cwd="/",
            start_new_session=True,  # a Ctrl-C is for the tests, and ends this by way of them
            **account(),
        )

    def end(self) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        if not pipe.closed:
            pipe.write(b"\n")
            pipe.close()
        self._process.wait(60)
        shutil.rmtree(self._folder, ignore_errors=True)  # what root has put there
