"""Wrong command lines: what was wrong, what may be meant, and where the help is."""

import re
from typing import Any

import click

from stones.stores.key_text import NEGATIVE

from .examples import Command
from .streams import reader_may_end


class Commands(click.Group):
    """A group of commands. It suggests a command for a name that it does not know."""

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        with reader_may_end():  # of `stones --help | head -1`
            return super().make_context(*args, **options)

    def invoke(self, ctx: click.Context) -> Any:
        with reader_may_end():
            return super().invoke(ctx)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            from difflib import get_close_matches  # loaded for a wrong command line only

            close = get_close_matches(name, self.list_commands(ctx), n=1)
            raise click.UsageError(f"there is no command {name[:80]!r}{_suggestion(close)}", ctx)
        return super().resolve_command(ctx, args)


class KeyCommand(Command):
    """A command whose arguments may be negative numbers: `stones get my-db Temperature -5`."""

    option = re.compile("-.")
    """The beginning of an argument that is an option, unless it is a negative number."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # click takes -5 for an option. It passes unknown options on as arguments.
        self.context_settings["ignore_unknown_options"] = True

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        takes_value = dict.fromkeys(ctx.help_option_names, True)
        for parameter in self.params:
            if isinstance(parameter, click.Option):
                for name in (*parameter.opts, *parameter.secondary_opts):
                    takes_value[name] = not (parameter.is_flag or parameter.count)
        rest = iter(args)
        for arg in rest:
            if arg == "--":
                break
            name, equals, _ = arg.partition("=")
            if name in takes_value:
                if takes_value[name] and not equals:
                    next(rest, None)
            elif self.option.match(arg) and not NEGATIVE.match(arg):
                raise click.NoSuchOption(name, possibilities=[*takes_value], ctx=ctx)
        return super().parse_args(ctx, args)


class ValueCommand(KeyCommand):
    """A command with a value among its arguments. The value may start with one dash."""

    option = re.compile("--.")


def usage_message(error: click.UsageError, program: str) -> str:
    """The text of an error in the command line, in one sentence, with the command that helps."""
    text = error.format_message()
    if isinstance(error, click.NoSuchOption):
        text = f"there is no option {error.option_name[:80]}"
        text += _suggestion([*(error.possibilities or [])][:1])
        if error.ctx is not None and isinstance(error.ctx.command, KeyCommand):
            text += "; type -- before a key that starts with a dash"
    command = error.ctx.command_path if error.ctx is not None else program
    return f"{text.rstrip('.')}; see `{command} --help`"


def _suggestion(close: list[str]) -> str:
    return f": did you mean {close[0]}?" if close else ""
