"""Other processes of this machine: which one a thread belongs to, and its name for an error."""

from contextlib import suppress

_LONGEST = 100
"""The longest command in an error, in characters."""


def process_of(thread: int) -> int | None:
    """The process that a thread belongs to; None if the system does not tell."""
    with suppress(OSError), open(f"/proc/{thread}/status", errors="replace") as status:
        for line in status:
            if line.startswith("Tgid:"):
                return int(line.split()[1])
    return None


def described(process: int) -> str:
    """A process for an error: its id, and its command if the system tells."""
    command = ""
    with suppress(OSError), open(f"/proc/{process}/cmdline", "rb") as words:
        command = " ".join(words.read(4096).decode("utf-8", "replace").split("\0")).strip()
    command = "".join(char if char.isprintable() else "?" for char in command)
    if len(command) > _LONGEST:
        command = command[: _LONGEST - 3] + "..."
    return f"process {process} ({command})" if command else f"process {process}"
