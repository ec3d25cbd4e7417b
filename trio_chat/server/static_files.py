"""Read the files of the page for browsers (`trio_chat/page`), once."""

from functools import cache
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import NamedTuple

__all__ = ["StaticFile", "load_static_files", "static_files_in"]

_CONTENT_TYPES = {
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
    """A file as it is served. Its `tag` is an entity tag: it changes whenever the body does."""

    body: bytes
    kind: str
    tag: str


@cache
def load_static_files() -> dict[str, StaticFile]:
    """Return every file that is served, by its path. Any other path is not found.

    So a path in a request is never used as a path on a disk.
    """
    return static_files_in(files("trio_chat").joinpath("page"))


def static_files_in(folder: Traversable) -> dict[str, StaticFile]:
    """Return the files of a folder, not of its subfolders. Files of an unknown content type are left out."""
    pages = {}
    for file in folder.iterdir():
        kind = _CONTENT_TYPES.get(file.name.rpartition(".")[2])
        if kind is None or not file.is_file():
            continue
        body = file.read_bytes()
        path = "/" if file.name == "index.html" else f"/static/{file.name}"
        pages[path] = StaticFile(body, kind, f'"{sha256(body).hexdigest()[:16]}"')
    return pages
