"""Delays that a server asks for: followed within reason.

Pure. A server may ask a client to reconnect later (`bye`, `after_s`) or to repeat a command later (`error`,
`retry_after_s`). A wrong or hostile number must neither stop the client for ever nor make it repeat a command
without a pause.
"""

from msgspec import UnsetType

__all__ = ["RECONNECT_S_MAX", "RETRY_S", "RETRY_S_MAX", "reconnect_s", "retry_s"]

RETRY_S = 1
RETRY_S_MAX = 60  # a server's rates fill within seconds; one try a minute costs nothing
RECONNECT_S_MAX = 3_600  # maintenance may take longer; one try an hour does no harm


def retry_s(asked: int | UnsetType | None) -> int:
    """Return how long to wait before a refused command is repeated: 1 s unless asked, 60 s at most."""
    if asked is None or isinstance(asked, UnsetType):
        return RETRY_S
    return min(max(asked, RETRY_S), RETRY_S_MAX)


def reconnect_s(asked: int | UnsetType | None) -> int:
    """Return how long to wait at least before the next connection: 0 s unless asked, an hour at most."""
    if asked is None or isinstance(asked, UnsetType):
        return 0
    return min(max(asked, 0), RECONNECT_S_MAX)
