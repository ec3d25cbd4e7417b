"""trio-chat: a small, reliable chat server; one command to start, nothing to configure.

Programs use one of two functions:

    async with trio_chat.connect("127.0.0.1", 5555, name="ada") as chat: ...    a client, or a bot
    async with trio_chat.open_server(trio_chat.Config(port=0)) as server: ...   a server

The packages, from the lowest layer to the highest. Each imports only from the lines above it:

    errors      every error, in one tree
    wire        every command and event, their payloads, and frames              pure
    contract    the server's promises, checked against recorded events           pure
    hub         members, rooms and rate limits                                   pure
    dialects    bytes to commands, batches to bytes                              pure
    net         connections that send and receive bytes
    journal     stored messages with their numbers, in memory or on disk
    server      sessions, the committer, the fan-out, outbound queues
    client      the client for programs
    terminal    the client for people
    cli         the commands

The load tool is a package of its own, `loadtest`: simulated users, and the judge.

Read `wire/messages.py` first, then follow one message through docs/architecture.md.
"""

from importlib import import_module

from trio_chat.version import __version__

TYPE_CHECKING = False  # importing `typing` would double the import time of this package
if TYPE_CHECKING:
    from trio_chat.client import Chat, connect
    from trio_chat.server.config import Config, Limits
    from trio_chat.server.serve import Server, open_server

__all__ = ["Chat", "Config", "Limits", "Server", "__version__", "connect", "open_server"]

_MODULES = {
    "Chat": "trio_chat.client",
    "Config": "trio_chat.server.config",
    "Limits": "trio_chat.server.config",
    "Server": "trio_chat.server.serve",
    "connect": "trio_chat.client",
    "open_server": "trio_chat.server.serve",
}


def __getattr__(name: str) -> object:
    """Import a name on first use, so that a client imports no server, and `--help` imports neither."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return found
