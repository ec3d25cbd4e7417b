"""The command line: parses, calls, and says in one line what went wrong.

A module for each command. Each imports its own world inside its body, so that `--help` is quick and a client
loads no server. `main` itself is loaded when it is asked for, so that Ctrl-C has its handler before that.
"""

from trio_chat.cli.interrupt import exit_on_interrupt, raise_on_interrupt

TYPE_CHECKING = False  # the less is imported, the sooner Ctrl-C has its handler
if TYPE_CHECKING:
    from trio_chat.cli.group import main

__all__ = ["main"]


def __getattr__(name: str) -> object:
    """Load `main` when it is first asked for."""
    if name != "main":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    exit_on_interrupt()
    try:
        from trio_chat.cli.group import main
    finally:
        raise_on_interrupt()
    globals()["main"] = main
    return main
