"""The command line: a module for each command, and errors as one line.

Each command imports its modules inside its body, so that `--help` is quick and a client loads no server.
`main` is loaded on first use, after Ctrl-C has its handler.
"""

from trio_chat.cli.interrupt import exit_on_interrupt, raise_on_interrupt

TYPE_CHECKING = False  # fewer imports give Ctrl-C its handler sooner
if TYPE_CHECKING:
    from trio_chat.cli.group import main

__all__ = ["main"]


def __getattr__(name: str) -> object:
    """Load `main` on first use."""
    if name != "main":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    exit_on_interrupt()
    try:
        from trio_chat.cli.group import main
    finally:
        raise_on_interrupt()
    globals()["main"] = main
    return main
