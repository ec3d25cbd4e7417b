"""trio-chat: a chat that one command starts and that people can rely on.

For programs there are two doors:

    async with trio_chat.connect("127.0.0.1", 5555, name="ada") as chat: ...    a client, or a bot
    async with trio_chat.open_server(trio_chat.Config(port=0)) as server: ...   a server of one's own

A map of the code, from the ground up; nothing imports what stands below it here:

    errors      every error, in one tree
    wire        every command and event, their payloads, and frames              pure
    contract    what is promised, as a judge of what was said and seen           pure
    hub         who is who, who is where, what is allowed                        pure
    dialects    bytes to commands, batches to bytes                              pure
    net         links, through which bytes come and go
    journal     what was said, numbered, and whatever keeps it
    server      sessions, the committer, the fan-out, what a session is owed
    client      a chat for programs
    terminal    a chat for people
    cli         the commands

Beside it stands `loadtest`, the load tool: users, and the judge.

Read `wire/messages.py` first, then follow one message through docs/architecture.md.
"""

from importlib import import_module

from trio_chat.version import __version__

TYPE_CHECKING = False  # `typing` would be half of what the package takes to import
if TYPE_CHECKING:
    from trio_chat.client import Chat, connect
    from trio_chat.server.config import Config, Limits
    from trio_chat.server.serve import Server, open_server

__all__ = ["Chat", "Config", "Limits", "Server", "__version__", "connect", "open_server"]

_HOMES = {
    "Chat": "trio_chat.client",
    "Config": "trio_chat.server.config",
    "Limits": "trio_chat.server.config",
    "Server": "trio_chat.server.serve",
    "connect": "trio_chat.client",
    "open_server": "trio_chat.server.serve",
}


def __getattr__(name: str) -> object:
    """Load a name when it is first asked for: a client loads no server, and `--help` loads neither."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return found
