"""Other processes for tests: forked ones, other programs, and one that follows what happens."""

import os
import subprocess
import sys
import traceback


def fork(function) -> int:
    """Run `function` in a forked child, which ends with 0 if that returns. The child's pid."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            function()
            status = 0
        except BaseException:  # noqa: BLE001  # the parent would never see it
            traceback.print_exc()
        finally:
            os._exit(status)
    return child


def in_child(function) -> int:
    """Fork, run `function` in the child, and return how that ended: 0 if it returned."""
    return os.waitstatus_to_exitcode(os.waitpid(fork(function), 0)[1])


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a program that has all names of stones, and its arguments in `argv`."""
    program = "import sys\nfrom stones import *\nargv = sys.argv[1:]\n" + code
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


class Follower:
    """Another process that has had the store open since before what happens now.

    `program` gets the path as its argument, says `open`, and answers each line with a line.
    """

    def __init__(self, program: str, path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout.readline() == "open\n"

    def ask(self, question: str) -> str:
        self.process.stdin.write(question + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.process.stdin.close()
        self.process.stdout.close()
        assert self.process.wait() == 0
