"""A process on a terminal of its own, for tests of what people see."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios

COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A command on a terminal. `stdout` may go elsewhere."""

    def __init__(self, command, *, env=None, columns=80, lines=24, stdout=None):
        self.terminal, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        env = {"TERM": "xterm-256color", **(os.environ if env is None else env)}
        for name in ("COLUMNS", "LINES"):  # pytest-xdist sets them
            env.pop(name, None)
        self.process = subprocess.Popen(
            command,
            stdin=inner,
            stdout=inner if stdout is None else stdout,
            stderr=inner,
            start_new_session=True,
            env=env,
        )
        os.close(inner)
        self.shown = ""

    def read_until(self, pattern):
        """Read the output up to a match of `pattern`, or to the end."""
        while not re.search(pattern, self.plain):
            assert select.select([self.terminal], [], [], 60)[0], self.shown
            try:
                self.shown += os.read(self.terminal, 10_000).decode()
            except OSError:  # Linux raises it at the end
                break
        return self.shown

    @property
    def plain(self):
        """What was shown, without colours and movements of the cursor."""
        return COLOURS.sub("", self.shown)

    def finish(self):
        self.read_until("^$ never")
        os.close(self.terminal)
        return self.process.wait()
