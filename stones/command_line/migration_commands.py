"""The commands on the steps of collections: `stones migrations new|status|plan|run|verify|undo`.

The steps are in files of the user's program: see `stones.migrations.steps.step_files`. They are
run, and so is the module of a class. Modules are looked for in the working directory first.
"""

import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import click

from stones.errors import ChangedStepWarning, CollectionError
from stones.formats.messages import show, show_count
from stones.stores.claims import collection_names
from stones.stores.store import Store

from .completion import complete_collection
from .examples import Command
from .opening import open_store
from .options import FAILED, Interrupted, json_option, path_argument, trust_option
from .progress import progress_bar
from .usage import Commands

if TYPE_CHECKING:
    from stones.collections.steps_report import StepsReport
    from stones.migrations.steps.step_commands import SteppedCollection
    from stones.migrations.steps.step_files import StepFile

F = TypeVar("F", bound=Callable[..., Any])

FOLDER = "migrations"
"""Where the files of steps are, unless a command is told otherwise."""


@click.group(cls=Commands)
def migrations() -> None:
    """Change the records of collections by numbered steps, which are files of your program."""


def _options(command: F) -> F:
    for option in (
        trust_option,
        click.option("--class", "record", metavar="MODULE:CLASS", help="The class of the records."),
        click.option(
            "--collection",
            metavar="NAME",
            shell_complete=complete_collection,
            help="This collection only.",
        ),
        click.option(
            "--folder",
            default=FOLDER,
            show_default=True,
            metavar="FOLDER",
            help="The folder of the steps.",
        ),
        path_argument,
    ):
        command = option(command)
    return command


@migrations.command(
    cls=Command,
    examples="""
        # a file for the next step of a collection
        stones migrations new my-db --collection Task --name 'add due'
    """,
)
@_options
@click.option("--name", metavar="TEXT", help="What the step does, for the name of the file.")
def new(path: str, folder: str, name: str | None, **options: Any) -> None:
    """Write the file of the next step.

    It has what brings the records to their class, or it is a template to complete.
    """
    from stones.migrations.steps.new_step_file import write_step_file

    folder_is_there = os.path.isdir(folder)
    with _collections(path, folder if folder_is_there else None, **options) as (found, files):
        if len(found) != 1:
            raise click.UsageError("say for which collection: --collection NAME")
        (collection,) = found
        of_class = options["record"] or _named_class(files, collection.name)
        written = write_step_file(
            folder,
            collection.name,
            collection.next_number(),
            collection.difference(),
            record=of_class,
            name=name,
        )
    click.echo(f"written: {written}")


@migrations.command(
    cls=Command,
    examples="""
        # which steps have run
        stones migrations status my-db
    """,
)
@_options
@json_option
def status(path: str, folder: str, as_json: bool, **options: Any) -> None:
    """Show each step: whether it ran, when, and whether its code has changed since then.

    Without a folder of steps, it shows the steps that ran.
    """
    from stones.migrations.steps.step_status import step_statuses

    if folder == FOLDER and not os.path.isdir(folder):
        with open_store(
            path, None, None, trust_pickle=options["trust_pickle"], readonly=True
        ) as opened:
            statuses = step_statuses(opened.database, [])
        names = {options["collection"]} - {None} or {each.collection for each in statuses}
    else:
        with _collections(path, folder, **options) as (found, files):
            names = {collection.name for collection in found}
            statuses = step_statuses(found[0].store.database, files) if found else []
    statuses = [each for each in statuses if each.collection in names]
    if as_json:
        _print_json([attrs.asdict(each) for each in statuses])
        return
    for each in statuses:
        ran = ""
        if each.ran is not None:
            figures = f"{show_count(each.ran.changed, 'record')} in {each.ran.seconds:.1f} s"
            ran = f", {each.ran.at:%Y-%m-%d %H:%M} UTC, {figures}"
        file = "" if each.file is not None else ", without a file"
        click.echo(f"{each.collection} {each.number}: {each.state}{ran}{file}: {each.name}")
    if not statuses:
        click.echo("there are no steps")


@migrations.command(
    cls=Command,
    examples="""
        # what would run
        stones migrations plan my-db
        # and whether the records fit the class then
        stones migrations plan my-db --class models:Task
    """,
)
@_options
@json_option
def plan(path: str, folder: str, as_json: bool, **options: Any) -> None:
    """Show the steps that would run, and what would still differ from the class after them.

    Exit code 1 if something would differ.
    """
    from stones.collections.class_misfits import difference_text, step_help

    with _collections(path, folder, **options) as (found, _):
        plans = [(each, each.pending(), each.difference(), each.next_number()) for each in found]
    if as_json:
        _print_json(
            [
                {
                    "collection": each.name,
                    "pending": [{"number": number, "name": name} for number, name in pending],
                    "differs": differs.lines(),
                }
                for each, pending, differs, _ in plans
            ]
        )
    else:
        for each, pending, differs, number in plans:
            for step, name in pending:
                click.echo(f"{each.name} {step}: {name}")
            if not pending:
                click.echo(f"{each.name}: no step is pending")
            if differs:
                after = " once they have these steps" if pending else ""
                click.echo(f"{each.name}: the records{after} differ from the class:\n")
                click.echo(f"{difference_text(differs)}\n\n{step_help(differs, number)}\n")
    if any(differs for _, _, differs, _ in plans):
        raise click.exceptions.Exit(FAILED)


@migrations.command(
    cls=Command,
    examples="""
        # try the steps on all records, and write nothing
        stones migrations run my-db --dry-run
        # run them, and check each result by the class
        stones migrations run my-db --class models:Task
    """,
)
@_options
@click.option("--dry-run", is_flag=True, help="Try all steps on all records, and write nothing.")
@json_option
def run(path: str, folder: str, dry_run: bool, as_json: bool, **options: Any) -> None:
    """Run the steps that are pending, while other programs read and write the store.

    If you interrupt it, each record can be read. Run the command again to go on.
    """
    reports = {}
    with (
        _collections(path, folder, readonly=dry_run, **options) as (found, _),
        _resumable("run this again to go on"),
    ):
        for each in found:
            with progress_bar(each.name, "records") as progress:
                reports[each.name] = each.migrate(progress, dry_run=dry_run)
    _print_reports(reports, as_json, "would change" if dry_run else "changed")
    if any(report.failed for report in reports.values()):
        raise click.exceptions.Exit(FAILED)


@migrations.command(
    cls=Command,
    examples="""
        # whether the class can read each record
        stones migrations verify my-db --class models:User --collection User
    """,
)
@_options
@json_option
def verify(path: str, folder: str, as_json: bool, **options: Any) -> None:
    """Read each record by its class, and name the records that do not fit. Exit code 1 then."""
    misfits: dict[str, list[tuple[str, str]]] = {}
    with _collections(path, folder, **options) as (found, _):
        for each in found:
            with progress_bar(each.name, "records") as progress:
                misfits[each.name] = [
                    (key if isinstance(key, str) else show(key), text)
                    for key, text in each.misfits(progress)
                ]
    if as_json:
        _print_json(
            {
                name: [{"key": key, "message": text} for key, text in those]
                for name, those in misfits.items()
            }
        )
    else:
        for name, those in misfits.items():
            for _, text in those:
                click.echo(_one_line(text))
            count = show_count(len(those), "record")
            fits = (
                f"{count} cannot be read by the class" if those else "the class reads all records"
            )
            click.echo(f"{name}: {fits}")
    if any(misfits.values()):
        raise click.exceptions.Exit(FAILED)


@migrations.command(
    cls=Command,
    examples="""
        # run the steps, and take all of them back
        stones migrations run my-db
        stones migrations undo my-db --to 0
    """,
)
@_options
@click.option(
    "--to", type=click.IntRange(min=0), required=True, help="The last step that stays. 0: none."
)
@json_option
def undo(path: str, folder: str, to: int, as_json: bool, **options: Any) -> None:
    """Take back the steps above --to, the last one first. No program can write meanwhile.

    End the programs that know these steps before: they would run the steps again.
    """
    with _collections(path, folder, readonly=False, **options) as (found, _):
        if len(found) != 1:
            raise click.UsageError("say for which collection: --collection NAME")
        (each,) = found
        with _resumable("run this again to end it"), progress_bar(each.name, "records") as progress:
            report = each.undo(to, progress)
    _print_reports({each.name: report}, as_json, "changed back", f"no step above {to} has run")


@contextmanager
def _collections(
    path: str,
    folder: str | None,
    *,
    collection: str | None,
    record: str | None,
    trust_pickle: bool,
    readonly: bool = True,
) -> Iterator[tuple[Sequence["SteppedCollection"], Sequence["StepFile"]]]:
    """The collections that a command is for, with their steps, while the store is open."""
    from stones.collections.program_steps import ProgramSteps
    from stones.migrations.steps.step_commands import SteppedCollection
    from stones.migrations.steps.step_files import class_of_name, read_step_files

    if "" not in sys.path:
        sys.path.insert(0, os.getcwd())
    files = [] if folder is None else read_step_files(folder)
    named = None if record is None else class_of_name(record)
    names = list(dict.fromkeys(file.collection for file in files))
    if collection is not None:
        names = [collection]
    elif named is not None and len(names) != 1:
        names = [named.__name__]
    with open_store(path, None, None, trust_pickle=trust_pickle, readonly=readonly) as store:
        if collection is not None and all(file.collection != collection for file in files):
            _check_there(store, collection)
        found = []
        for name in names:
            steps = [file.migration for file in files if file.collection == name]
            of_class: Any = named or _named_class(files, name)
            if isinstance(of_class, str):
                of_class = class_of_name(of_class)
            found.append(SteppedCollection(store, name, ProgramSteps(name, steps), of_class))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ChangedStepWarning)  # `status` and `run` tell of it
            try:
                yield found, files
            except CollectionError as error:
                # The rest tells what to do in a program. `plan` shows it in full.
                text = str(error).partition("\n\n")[0]
                raise click.ClickException(
                    f"{_one_line(text)} `stones migrations plan` shows what differs"
                ) from error


def _check_there(store: Store[Any, Any], collection: str) -> None:
    """Raise ClickException for a name, maybe with a typo, that neither a step nor the store has."""
    with store.database.reading() as txn:
        names = [*collection_names(txn)]
    if collection not in names:
        known = ", ".join(map(show, names[:10])) or "no collection"
        raise click.ClickException(
            f"there is no collection {show(collection)}, and no step is for it: the store has "
            f"{known}"
        )


def _named_class(files: Sequence["StepFile"], name: str) -> Any:
    """The class that the last file of a collection names, if any does."""
    named = [file.record for file in files if file.collection == name and file.record is not None]
    return named[-1] if named else None


@contextmanager
def _resumable(what: str) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted: each record can be read; {what}") from None


def _print_reports(
    reports: dict[str, "StepsReport"],
    as_json: bool,
    changed: str,
    nothing: str = "no step is pending",
) -> None:
    if as_json:
        _print_json({name: attrs.asdict(report) for name, report in reports.items()})
        return
    for name, report in reports.items():
        for number in report.edited:
            click.echo(f"{name} {number}: its code has changed since it ran")
        for failure in report.failures:
            click.echo(_one_line(failure.message))
        if report.failed:
            click.echo(f"{name}: {show_count(report.failed, 'record')} would fail")
            continue
        if not report.steps:
            click.echo(f"{name}: {nothing}")
            continue
        steps = f"step{'s' if len(report.steps) > 1 else ''} {', '.join(map(str, report.steps))}"
        removed = f", {report.removed:,} removed" if report.removed else ""
        click.echo(
            f"{name}: {steps}: {report.changed:,} of {show_count(report.records, 'record')} "
            f"{changed}{removed}"
        )
    if not reports:
        click.echo("there are no steps")


def _print_json(found: Any) -> None:
    click.echo(json.dumps(found, indent=2, default=_plain))


def _plain(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else show(value)


def _one_line(text: str) -> str:
    return " ".join(text.split())
