"""Writes the parts of docs/reference/command-line.md that the commands tell themselves.

    python docs/command_reference.py            writes the page anew
    python docs/command_reference.py --check    fails if the page is not up to date

Such a part stands between the lines `<!-- generated: stones get -->` and `<!-- end -->`. It has how
the command is typed, its help, its options and its examples. `<!-- generated: commands -->` is for
the table of all commands. All else on the page is written by hand, and stays as it is.
"""

import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import click

from stones.command_line.lazy_commands import GROUPS
from stones.command_line.main import commands

PAGE = Path(__file__).parent / "reference" / "command-line.md"
PART = re.compile(r"<!-- generated: ([a-z ]+) -->\n.*?<!-- end -->\n", re.DOTALL)


def every_command(group: click.Group, above: click.Context) -> Iterator[click.Context]:
    """The context of each command, which has its words; of those inside of a group too."""
    for name in group.list_commands(above):
        command = group.get_command(above, name)
        assert command is not None
        context = click.Context(command, info_name=name, parent=above)
        yield context
        if isinstance(command, click.Group):
            yield from every_command(command, context)


def contexts() -> dict[str, click.Context]:
    top = click.Context(commands, info_name="stones")
    return {context.command_path: context for context in every_command(commands, top)}


def table(head: tuple[str, str], rows: list[tuple[str, str]]) -> str:
    cells = [(left.replace("|", "\\|"), right.replace("|", "\\|")) for left, right in rows]
    lines = [f"| {left} | {right} |" for left, right in [head, *cells]]
    return "\n".join([lines[0], "|---|---|", *lines[1:]])


def line(text: str) -> str:
    """A help text as one line of Markdown: options as code, and no star taken for emphasis."""
    pieces = re.split(r"(`[^`]*`)", " ".join(text.split()))  # every second one is code
    pieces[::2] = [
        re.sub(r"(?<![\w-])--[a-z][a-z0-9-]*", r"`\g<0>`", piece.replace("*", "\\*"))
        for piece in pieces[::2]
    ]
    return "".join(pieces)


def prose(text: str) -> str:
    """A help text as Markdown: each paragraph wrapped."""
    paragraphs = re.split(r"\n\s*\n", text)
    return "\n\n".join(
        textwrap.fill(line(each), width=100, break_long_words=False, break_on_hyphens=False)
        for each in paragraphs
    )


def command_part(context: click.Context) -> str:
    """What a command tells: how it is typed, its help, its options, its examples."""
    command = context.command
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    parts = [f"```text\n{usage}\n```", prose(command.help or "")]
    options = [each for each in command.params if isinstance(each, click.Option)]
    records = [record for each in options if (record := each.get_help_record(context))]
    if records:
        rows = [(f"`{names}`", line(text)) for names, text in records]
        parts.append(table(("option", "does"), rows))
    if examples := getattr(command, "examples", ""):
        parts.append(f"```sh\n{examples}\n```")
    return "\n\n".join(parts)


def commands_tables(found: dict[str, click.Context]) -> str:
    """For each group of commands a table, each command with the first sentence of its help."""
    tables = []
    for title, group in GROUPS.items():
        rows = []
        for path, context in found.items():
            if path.split()[1] in group and not isinstance(context.command, click.Group):
                heading = path.removeprefix("stones ").replace(" ", "-")
                does = line(context.command.get_short_help_str(limit=200))
                rows.append((f"[`{path}`](#{heading})", does))
        tables.append(table((title, ""), rows))
    return "\n\n".join(tables)


def written_anew(page: str) -> str:
    """The page with each generated part as the commands tell it now."""
    found = contexts()
    if missing := [name for name in found if name not in PART.findall(page)]:
        raise SystemExit(
            f"{PAGE} tells nothing of `{missing[0]}`: add a heading, and below it the two lines\n"
            f"<!-- generated: {missing[0]} -->\n<!-- end -->"
        )

    def part(match: re.Match[str]) -> str:
        name = match[1]
        text = commands_tables(found) if name == "commands" else command_part(found[name])
        return f"<!-- generated: {name} -->\n\n{text}\n\n<!-- end -->\n"

    return PART.sub(part, page)


def main() -> None:
    page = PAGE.read_text()
    wanted = written_anew(page)
    if wanted == page:
        return
    if "--check" in sys.argv:
        raise SystemExit(f"{PAGE} is not what the commands tell: `make reference` writes it anew")
    PAGE.write_text(wanted)


if __name__ == "__main__":
    main()
