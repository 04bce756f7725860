"""The prompts of `stones shell`: IPython, the plain prompt of Python, and a text that is run."""

import ast
import code
import rlcompleter
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import click

from stones.command_line.streams import ReaderEndedError, reader_may_end
from stones.errors import StoneError

from .completion import complete

Names = dict[str, Any]


def run_text(text: str, names: Names) -> None:
    """Run lines of Python, and print the value of each expression, as a prompt does.

    Raises ClickException with the line, and what was wrong with it.
    """
    try:
        statements = ast.parse(text).body
    except (SyntaxError, ValueError) as error:  # ValueError: it has null bytes
        line = f"line {error.lineno}: " if isinstance(error, SyntaxError) else ""
        raise click.ClickException(f"{line}{error}") from error
    for statement in statements:
        try:
            with reader_may_end():
                exec(compile(ast.Interactive([statement]), "<stdin>", "single"), names)
        except ReaderEndedError:
            raise
        except Exception as error:  # the program of a user may raise anything
            reason = str(error) if isinstance(error, StoneError) else _described(error)
            raise click.ClickException(f"line {statement.lineno}: {reason}") from error


def _described(error: BaseException) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def plain_prompt(names: Names, first_lines: str) -> None:
    """The prompt of Python itself, until the user ends it."""
    with suppress(ImportError):  # there is none on Windows
        import readline

        readline.set_completer(_readline_completer(readline, names))
        is_editline = "libedit" in (readline.__doc__ or "")
        readline.parse_and_bind("bind ^I rl_complete" if is_editline else "tab: complete")
    _Console(names).interact(first_lines, exitmsg="")


class _Console(code.InteractiveConsole):
    def showtraceback(self) -> None:
        error = sys.exc_info()[1]
        if isinstance(error, StoneError):
            # The reader has typed the line: where the library raised it is no help.
            self.write(f"{_described(error)}\n")
        else:
            super().showtraceback()


def _readline_completer(readline: Any, names: Names) -> Callable[[str, int], str | None]:
    python = rlcompleter.Completer(names)
    words: list[str] = []

    def completer(word: str, state: int) -> str | None:
        if state == 0:
            line = readline.get_line_buffer()[: readline.get_endidx()]
            found = complete(line, names)
            words[:] = [
                _rest_of_word(line, readline.get_begidx(), found.start, each)
                for each in found.words
            ]
        if words:
            return words[state] if state < len(words) else None
        return python.complete(word, state)

    return completer


def _rest_of_word(line: str, begin: int, start: int, word: str) -> str:
    """What readline shall put in from `begin`, for a word that stands from `start`."""
    if start >= begin:
        return line[begin:start] + word
    rest = word.removeprefix(line[start:begin])
    quote = line[begin - 1]
    # It closes a string by itself, when only one word is left.
    return rest.partition(quote)[0] if quote in "'\"" else rest


def ipython_prompt(names: Names, first_lines: str) -> None:
    """The prompt of IPython, until the user ends it. Raises ImportError if there is no IPython."""
    from IPython.core.completer import SimpleCompletion, context_matcher
    from IPython.terminal.ipapp import TerminalIPythonApp
    from traitlets.config import Config

    def matches(context: Any) -> dict[str, Any]:
        text = context.text_until_cursor
        found = complete(text, app.shell.user_ns)
        return {
            "completions": [SimpleCompletion(word, type="key") for word in found.words],
            "matched_fragment": text[found.start :],
            "suppress": bool(found.words),
        }

    def show_error(*raised: Any, tb_offset: int | None = None) -> None:  # noqa: ARG001  # it is given
        print(_described(raised[2]), file=sys.stderr)

    config = Config()
    config.TerminalInteractiveShell.enable_tip = False
    config.TerminalInteractiveShell.banner1 = f"{first_lines}\n\n"
    app: Any = TerminalIPythonApp.instance(config=config, user_ns=names)
    app.initialize([])
    matcher: Any = context_matcher(identifier="stones")
    app.shell.Completer.custom_matchers.append(matcher(matches))
    app.shell.set_custom_exc((StoneError,), show_error)
    app.start()
