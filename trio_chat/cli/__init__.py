"""The command line: parse arguments, call one function, and report each error in one line.

Each command has a module. It imports the modules it needs inside its function, so that `--help` is quick and
a client loads no server. `main` is loaded on first use, after the handler of Ctrl-C is set.
"""

from trio_chat.cli.interrupt import exit_on_interrupt, raise_on_interrupt

TYPE_CHECKING = False  # fewer imports, so that Ctrl-C has its handler sooner
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
