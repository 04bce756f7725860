"""The style sheet, the script and the icon, read when the server starts: no URL names a path."""

from hashlib import sha256
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

TYPES = {"style.css": "text/css", "script.js": "text/javascript", "icon.svg": "image/svg+xml"}
"""The files that there are, with their types."""

_FOLDER = Path(__file__).parent / "static"
_FILES = {name: (_FOLDER / name).read_bytes() for name in TYPES}


def static_link(name: str) -> str:
    """The URL of a file. It changes with the file, so a browser may keep the file for ever."""
    return f"/static/{name}?v={sha256(_FILES[name]).hexdigest()[:12]}"


async def _file(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _FILES:
        return Response("there is no such file", 404, media_type="text/plain")
    kept = {"cache-control": "private, max-age=31536000, immutable"}
    return Response(_FILES[name], headers=kept, media_type=TYPES[name])


routes = [Route("/static/{name}", _file)]
