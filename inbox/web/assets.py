"""The built front end: names with a hash of their content, served to be kept for ever."""

from __future__ import annotations

from pathlib import Path

import msgspec
from aiohttp import web

DIST = Path(__file__).parent / "static" / "dist"
_FOR_EVER = "public, max-age=31536000, immutable"


class _Manifest(msgspec.Struct, frozen=True):
    version: str = "none"
    files: dict[str, str] = {}


class Assets:
    """What the build's manifest lists, and the files beside it."""

    def __init__(self, folder: Path = DIST) -> None:
        self._folder = folder.resolve()
        manifest = self._folder / "manifest.json"
        built = manifest.read_bytes() if manifest.is_file() else b"{}"
        self._manifest = msgspec.json.decode(built, type=_Manifest)
        self._files = {path.name: path for path in self._folder.glob("*") if path.is_file()}

    @property
    def version(self) -> str:
        """Changes with every change of the front end."""
        return self._manifest.version

    def url(self, name: str) -> str:
        """Where a file of the build is served, by its name in the source."""
        return f"/static/dist/{self._manifest.files.get(name, name)}"

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """GET /static/dist/{name}: a file of the build and nothing else."""
        path = self._files.get(request.match_info["name"])
        if path is None:
            raise web.HTTPNotFound
        return web.FileResponse(path, headers={"Cache-Control": _FOR_EVER})
