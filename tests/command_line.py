"""The fixture that runs `stones`, for every test of the command line."""

import io
import os
import re
import sys

import pytest

from stones.command_line.main import main


@pytest.fixture
def run(monkeypatch, capfdbinary):
    """Runs `stones ARGUMENTS` in this process, which is faster.

    Gives what it prints: on stdout where it succeeds, else on stderr, in one line.
    """

    def run(*arguments, stdin=b"", code=0):
        arguments = [os.fsdecode(argument) for argument in arguments]
        monkeypatch.setattr(sys, "argv", ["stones", *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as exit:
            main()
        shown, errors = (text.decode() for text in capfdbinary.readouterr())
        assert exit.value.code == code, errors
        if code == 0:
            assert errors == ""
            return shown
        assert re.fullmatch("stones: [^\n]+\n", errors), errors
        assert shown == ""
        return errors

    return run
