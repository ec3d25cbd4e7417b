"""trio-chat."""

from trio_chat.version import __version__

__all__ = ["__version__"]
