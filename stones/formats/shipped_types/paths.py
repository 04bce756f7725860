"""The paths of `pathlib`, packed as text with slashes.

A path of the system is stored with the name of its system. On another system it comes back as a
`PurePosixPath` or `PureWindowsPath`, which is the same path without the methods that open files.
"""

import os
from collections.abc import Callable
from pathlib import Path, PosixPath, PurePath, PurePosixPath, PureWindowsPath, WindowsPath
from typing import Any

from stones.formats.registered_types import RegisteredType


def _unpack(cls: type[PurePath]) -> Callable[[Any], PurePath]:
    def unpack(packed: Any) -> PurePath:
        if type(packed) is not str:
            raise ValueError("a path is text")
        return cls(packed)

    return unpack


def _type(cls: type[PurePath], read_as: type[PurePath]) -> RegisteredType:
    name = f"pathlib.{cls.__name__}"
    return RegisteredType(cls, name, PurePath.as_posix, _unpack(read_as), (cls,))


_ON_WINDOWS = os.name == "nt"

TYPES = [
    # Path makes instances of the class of the system. A field of the type Path uses this.
    RegisteredType(
        Path,
        "pathlib.Path",
        Path.as_posix,
        _unpack(Path),
        (WindowsPath if _ON_WINDOWS else PosixPath,),
    ),
    _type(PosixPath, PurePosixPath if _ON_WINDOWS else PosixPath),
    _type(WindowsPath, WindowsPath if _ON_WINDOWS else PureWindowsPath),
    _type(PurePosixPath, PurePosixPath),
    _type(PureWindowsPath, PureWindowsPath),
]
