"""Commands whose help ends with examples.

The examples of a command are lines for a shell, as a user types them. A line that begins with `#`
tells what the next line does:

    @click.command(
        cls=Command,
        examples='''
            # how many records are in a collection
            stones count my-db User
        ''',
    )

The tests run the examples of every command, in order, in a folder with example stores. The
reference of the commands in the documentation shows them too.
"""

from inspect import cleandoc
from typing import Any

import click

from .completion import CompletedCommand


class Command(CompletedCommand):
    """A command with `examples`, which its help shows last."""

    def __init__(self, *args: Any, examples: str = "", **options: Any) -> None:
        super().__init__(*args, **options)
        self.examples = cleandoc(examples)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):
                for line in self.examples.splitlines():
                    formatter.write(f"  {line}\n")
