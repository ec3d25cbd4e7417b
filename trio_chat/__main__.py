"""The console script, and `python -m trio_chat`: Ctrl-C has its handler before anything else is imported."""

from trio_chat.cli.interrupt import exit_on_interrupt

__all__ = ["main"]


def main() -> None:
    """Run the command that the arguments of the process name, and exit with its status."""
    exit_on_interrupt()
    from trio_chat.cli import main as command

    exit_on_interrupt()
    command(prog_name="trio-chat")


if __name__ == "__main__":
    main()
