"""The command `serve`: a page to look into a store, in a browser."""

import os
import re
import socket
import sys
import webbrowser
from collections.abc import Sequence
from secrets import token_urlsafe
from typing import Any

import click

from .examples import Command
from .opening import open_store, shown
from .options import path_argument, stones03_options, trust_option

TOKEN_VARIABLE = "STONES_TOKEN"
"""The environment variable with the token. Other users of a machine may see a command line."""


@click.command(
    cls=Command,
    examples="""
        # look into my-db: open the URL that is printed
        stones serve my-db

        # change records too, checked by their class; on a free port
        stones serve my-db --write --class models:User --port 0

        # for other machines: the URL that is printed has the token
        stones serve my-db --host 0.0.0.0
    """,
)
@path_argument
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="The port to listen on. 0 takes a free one.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="The address to listen on. For one that other machines reach, a token is needed.",
)
@click.option("--write", is_flag=True, help="Let records be edited, added and deleted.")
@click.option(
    "--class",
    "class_names",
    multiple=True,
    metavar="[NAME=]MODULE:CLASS",
    help="The class of the records of a collection, which checks what is written.",
)
@click.option(
    "--token",
    envvar=TOKEN_VARIABLE,
    metavar="TOKEN",
    help="Answer only who knows this text. Without it, another --host than this machine makes one. "
    f"{TOKEN_VARIABLE} in the environment has it too.",
)
@click.option(
    "--allow-host",
    "names",
    multiple=True,
    metavar="NAME",
    help="Another name of the server, such as the one of a proxy in front.",
)
@click.option(
    "--time-limit",
    type=click.FloatRange(min=0.1),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long a request may take.",
)
@click.option("--open", "opens", is_flag=True, help="Open the page in the browser.")
@trust_option
@stones03_options
def serve(
    path: str,
    port: int,
    host: str,
    write: bool,
    class_names: tuple[str, ...],
    token: str | None,
    names: tuple[str, ...],
    time_limit: float,
    opens: bool,
    **options: Any,
) -> None:
    """Serve pages to look into a store, for a browser on this machine.

    Records can be changed only with --write. Programs get the same as JSON: /api/openapi.json
    describes it. Ctrl-C ends it.
    """
    _check_extra()
    from stones.browser.app import make_app
    from stones.browser.limits import Limits
    from stones.browser.security import Hosts, is_loopback
    from stones.browser.serving import listening
    from stones.browser.serving import serve as serve_until_signal
    from stones.browser.token_check import SHORTEST

    if token is None and not is_loopback(host):
        token = token_urlsafe(24)
    if token is not None and len(token) < SHORTEST:
        raise click.UsageError(
            f"a token has at least {SHORTEST} characters, or it could be guessed"
        )
    is_anywhere = host in ("0.0.0.0", "::")
    own_name = socket.gethostname() if is_anywhere else host
    hosts = Hosts.of(host, (*names, own_name))
    classes = _classes(class_names)
    limits = Limits(seconds=time_limit)
    with (
        listening(host, port) as listener,
        open_store(path, readonly=not write, **options) as store,
    ):
        if store.database.timeout is not None:
            store.database.timeout = min(store.database.timeout, time_limit)
        app = make_app(
            store,
            place=shown(path),
            write=write,
            token=token,
            classes=classes,
            hosts=hosts,
            limits=limits,
        )
        shown_host = f"[{own_name}]" if ":" in own_name else own_name
        url = f"http://{shown_host}:{listener.getsockname()[1]}/"
        if token is not None:
            url += f"?token={token}"

        def ready() -> None:
            click.echo(f"serving {shown(path)} at {url} (Ctrl-C ends it)")
            if opens:
                webbrowser.open(url)

        # By default a scan holds Python's lock for 5 ms at a time. A page beside three scans took
        # 80 ms then, and takes 40 ms now. The scans take as long as before.
        sys.setswitchinterval(0.0005)
        serve_until_signal(app, listener, ready)


def _check_extra() -> None:
    for module in ("jinja2", "starlette", "uvicorn"):
        try:
            __import__(module)
        except ImportError as error:
            raise click.ClickException(
                f"`stones serve` needs the package {module}: pip install 'stones[browser]'"
            ) from error


def _classes(texts: Sequence[str]) -> dict[str, type]:
    """The classes that the user named, by the names of their collections."""
    from stones.migrations.steps.step_files import class_of_name

    if texts and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # the program of the user is there
    classes = {}
    for text in texts:
        found = re.fullmatch(r"(?:([^=]*)=)?([^=]*)", text)
        if found is None:
            raise click.UsageError(f"{text!r} names no class: write NAME=module:Class")
        record = class_of_name(found[2])
        classes[found[1] or record.__name__] = record
    return classes
