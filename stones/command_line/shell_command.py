"""The command `shell`: a Python prompt with a store and its collections."""

import os
import shutil
import sys
from contextlib import suppress
from typing import Any

import click

from .examples import Command
from .opening import open_store
from .options import path_argument, stones03_options, trust_option


@click.command(
    cls=Command,
    examples="""
        # a prompt with the store, and each collection by its name
        echo "User.find('@.age > 30').count()" | stones shell my-db
        # one line of Python, and no prompt
        stones shell my-db -c "User['ada']['email']"
        # records as instances of their class
        stones shell my-db --class models:User -c "User['ada'].joined.year"
    """,
)
@path_argument
@click.option("-c", "text", metavar="CODE", help="Run this Python, print its values, and end.")
@click.option(
    "--class",
    "class_names",
    metavar="MODULE:CLASS",
    multiple=True,
    help="The class of a collection, for records that are not dicts. Repeat it for more.",
)
@click.option("--readonly", is_flag=True, help="Let nothing be written.")
@click.option("--plain", is_flag=True, help="The prompt of Python, also where IPython is there.")
@trust_option
@stones03_options
def shell(
    path: str,
    text: str | None,
    class_names: tuple[str, ...],
    readonly: bool,
    plain: bool,
    **options: Any,
) -> None:
    """Open a Python prompt with the store and its collections.

    The store is `store`. Each collection has its own name, and its records are dicts:
    `User['ada']`, `User.find(age=36).to_list()`. A collection whose name is no name in Python is
    `collections['that name']`. Namespaces have their names too. Tab completes keys and fields.

    The prompt is IPython if it is installed. If standard input is no terminal, its lines are run,
    and the values of expressions are printed.
    """
    from stones.command_line.prompt.names import first_lines, prompt_names
    from stones.command_line.prompt.prompts import ipython_prompt, plain_prompt, run_text
    from stones.migrations.steps.step_files import class_of_name

    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # the program of the user is there
    classes = [class_of_name(name) for name in class_names]
    with open_store(path, readonly=readonly, **options) as store:
        names, problems = prompt_names(store, classes)
        if text is None and not sys.stdin.isatty():
            text = sys.stdin.read()
        if text is not None:
            run_text(text, names)
            return
        shown = first_lines(names, problems, shutil.get_terminal_size().columns)
        if not plain:
            with suppress(ImportError):
                ipython_prompt(names, shown)
                return
        plain_prompt(names, shown)
