"""The type of an argument that is a key, as `stones.stores.key_text` parses it."""

from typing import Any

import click

from stones.stores.key_text import parse_key


class Key(click.ParamType):  # type: ignore[type-arg]  # generic in later versions
    """The type of an argument or option that is a key."""

    name = "key"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> bytes:
        try:
            return parse_key(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
