"""The same as the pages, as JSON for programs."""

from starlette.routing import BaseRoute

routes: list[BaseRoute] = []
