"""The page for browsers: the files of `trio_chat/page`, read once."""

from functools import cache
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import NamedTuple

__all__ = ["StaticFile", "load_static_files", "static_files_in"]

_KINDS = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "ico": "image/x-icon",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "png": "image/png",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
    "webmanifest": "application/manifest+json",
    "woff2": "font/woff2",
}


class StaticFile(NamedTuple):
    """A file as it is served. `tag` changes with every byte of it."""

    body: bytes
    kind: str
    tag: str


@cache
def load_static_files() -> dict[str, StaticFile]:
    """Every file that can be asked for, by its path: what is not in here is not there.

    So no name that anybody asks for ever becomes a path on a disk.
    """
    return static_files_in(files("trio_chat").joinpath("page"))


def static_files_in(folder: Traversable) -> dict[str, StaticFile]:
    """The files in a folder, not in those below it; what is of no kind that browsers are sent is left out."""
    pages = {}
    for file in folder.iterdir():
        kind = _KINDS.get(file.name.rpartition(".")[2])
        if kind is None or not file.is_file():
            continue
        body = file.read_bytes()
        path = "/" if file.name == "index.html" else f"/static/{file.name}"
        pages[path] = StaticFile(body, kind, f'"{sha256(body).hexdigest()[:16]}"')
    return pages
