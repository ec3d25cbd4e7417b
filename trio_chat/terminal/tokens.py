"""Keep the user's tokens, one for each server and name, in a file.

The token identifies the user. So a restarted client gets its name back at once, even while its old connection
still exists, and two terminals are the same user. This must also hold for two terminals that start at the
same moment. So the client creates the token before its first hello: if the server created the tokens, the two
terminals would get different ones, and the second would find the name taken.

The file is JSON with the newest token last. Only its owner can read it, since a server asks for nothing but
the token. The file is replaced atomically, so reading needs no lock. Creating a token takes a lock on a file
beside it, which the system releases when the process ends. A file that cannot be read is left unchanged: a
newer version may have written it.
"""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from platformdirs import user_state_path

__all__ = ["TokenFile", "default_path"]

# The oldest are dropped first. Only a script that invents names reaches this.
TOKENS_MAX = 1000
NAME_CHARACTERS_MAX = 32  # as in docs/protocol.md; a server refuses a longer name


def default_path() -> Path:
    """Return the path of the current user's token file. The file and its directory need not exist."""
    try:
        return user_state_path("trio-chat", appauthor=False) / "tokens.json"
    except RuntimeError:  # no home directory; older releases of platformdirs return the `~` itself
        return Path("~") / "tokens.json"


class _TokenEntry(msgspec.Struct):
    server: str
    name: str
    token: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_-]{22,64}$")]


class _File(msgspec.Struct):
    tokens: list[_TokenEntry]
    version: Literal[1] = 1


class TokenFile:
    """The tokens in a file. The first token that is created also creates its directory."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def find(self, server: str, name: str) -> str:
        """Return the token for a name at a server, and create it if there is none; empty for an invalid name.

        Call it in a thread: it waits for the disk and for other processes that create a token. Raises
        OSError, with a message for the user, when the file is damaged or a new token cannot be stored.
        """
        if len(name) > NAME_CHARACTERS_MAX:
            return ""
        return _lookup(self._read(), server, name) or self._make(server, name)

    def _make(self, server: str, name: str) -> str:
        if self._path.parts[0] == "~":
            raise OSError("HOME is not set; --tokens PATH names a file")
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._locked():
            tokens = self._read()
            token = _lookup(tokens, server, name)
            if not token:
                token = secrets.token_urlsafe(24)
                tokens.append(_TokenEntry(server.casefold(), name.casefold(), token))
                self._replace(_File(tokens[-TOKENS_MAX:]))
            return token

    def _read(self) -> list[_TokenEntry]:
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return []
        try:
            return msgspec.json.decode(data, type=_File).tokens
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise OSError(f"{self._path} is damaged, or of another version: {error}") from error

    def _replace(self, file: _File) -> None:
        new = self._path.with_name(f"{self._path.name}-new")
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as writing:
            writing.write(msgspec.json.format(msgspec.json.encode(file), indent=1))
            writing.flush()
            # Otherwise a power loss could leave the new name with missing content.
            os.fsync(writing.fileno())
        new.replace(self._path)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = os.open(f"{self._path}-lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def _lookup(tokens: list[_TokenEntry], server: str, name: str) -> str:
    """Return the token for a server and name, ignoring case as the server does; empty without one."""
    key = server.casefold(), name.casefold()
    return next((each.token for each in tokens if (each.server, each.name) == key), "")
