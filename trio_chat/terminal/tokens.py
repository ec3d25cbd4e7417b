"""Who one is: a token for each server and name, in a file of the user's.

A client that is started anew while its own dead connection is still there is in at once, under the same
name; and two terminals are one person. That holds for two that are started in the same moment as well, and
so a token is made here, before the first hello with it: the server, which takes any, would make two, and
whoever came second would find the name taken.

The file is JSON, the newest last, and only its owner can read it, since a token is all that a server asks
for. It is replaced as a whole, so reading needs no lock; making a token takes one, in a file beside it, which
goes with the process that holds it. What cannot be read is left as it is: it may be of a newer version.
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

# The oldest go first. Nobody has so many names, unless by a script that makes them up.
TOKENS_MAX = 1000
NAME_CHARACTERS_MAX = 32  # as docs/protocol.md has it; a longer one is never let in


def default_path() -> Path:
    """The file of the user who starts the client. It need not be there, nor its directory."""
    try:
        return user_state_path("trio-chat", appauthor=False) / "tokens.json"
    except RuntimeError:  # no home directory: older releases of platformdirs leave the `~` as it is
        return Path("~") / "tokens.json"


class _Kept(msgspec.Struct):
    server: str
    name: str
    token: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_-]{22,64}$")]


class _File(msgspec.Struct):
    tokens: list[_Kept]
    version: Literal[1] = 1


class TokenFile:
    """The tokens in a file. Its directory is made when the first one is."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def find(self, server: str, name: str) -> str:
        """The token for that name at that server, made when there is none yet; none for an impossible name.

        For a thread: it waits for the disk, and for others who make one. Raises OSError, whose words are
        fit to be shown, when the file is damaged or what is made cannot be kept.
        """
        if len(name) > NAME_CHARACTERS_MAX:
            return ""
        return _token(self._read(), server, name) or self._make(server, name)

    def _make(self, server: str, name: str) -> str:
        if self._path.parts[0] == "~":
            raise OSError("HOME is not set; --tokens PATH names a file")
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._locked():
            tokens = self._read()
            token = _token(tokens, server, name)
            if not token:
                token = secrets.token_urlsafe(24)
                tokens.append(_Kept(server.casefold(), name.casefold(), token))
                self._replace(_File(tokens[-TOKENS_MAX:]))
            return token

    def _read(self) -> list[_Kept]:
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
            # A file system may else put the name in its place before the bytes, and lose power in between.
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


def _token(tokens: list[_Kept], server: str, name: str) -> str:
    """Names are compared as nearly as a client can as the server does, to which `Ada` and `ada` are one."""
    key = server.casefold(), name.casefold()
    return next((each.token for each in tokens if (each.server, each.name) == key), "")
