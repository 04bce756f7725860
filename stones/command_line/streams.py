"""The standard streams of a command: closed ones, and a pipe whose reader has ended."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import click

CLOSED_PIPE = 141
"""The exit code if the reader of stdout has ended: as a shell shows the end by SIGPIPE."""


class ReaderEndedError(Exception):
    """Whoever reads stdout has ended. click would exit with 1 at a BrokenPipeError."""


@contextmanager
def reader_may_end() -> Iterator[None]:
    """Turns a BrokenPipeError in the block into a ReaderEndedError."""
    try:
        yield
    except BrokenPipeError as error:
        raise ReaderEndedError from error


def prepare_streams() -> None:
    """Open the streams that the caller has closed, and let stdout show any text.

    If stdout were closed, the file of the store could get its number, and a write to stdout could
    go into the store.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115  # open to the end
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a path that is not UTF-8


def give_up_stdout() -> None:
    """Let what is still written to stdout go nowhere: Python writes once more when it exits."""
    _give_up(1)


def print_error(line: str) -> None:
    """Print a line on stderr, if anybody can read it."""
    try:
        click.echo(line, err=True)
    except OSError:
        _give_up(2)


def _give_up(number: int) -> None:
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)
