"""JSON as a person types it, on the command line or into a form, with the tags of stones."""

from typing import Any

from stones.errors import SerializerError

from .any_digits import any_digits
from .serializers import serializer


def parse_typed_json(raw: bytes) -> Any:
    """The value that `stones get --json` prints as this text. Raises SerializerError.

    >>> parse_typed_json(b'{"$tuple": [1, 2]}')
    (1, 2)
    """
    try:
        with any_digits():
            return serializer("json").decode(raw)
    except RecursionError as error:
        raise SerializerError("it is nested too deeply") from error
    except Exception as error:  # a decoder may raise anything
        raise SerializerError(str(error)) from error
