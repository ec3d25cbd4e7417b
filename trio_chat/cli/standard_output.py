"""Standard output for data that programs read, and `-`, which names it in place of a file."""

import sys
from collections.abc import Iterable

import click

from trio_chat.cli.one_line import errors_in_one_line
from trio_chat.errors import JournalToolError

__all__ = ["STANDARD", "refuse_standard", "write_standard_output"]

STANDARD = "-"


def refuse_standard(_: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Return the path of an option; end the command with one line and status 2 if it is `-`.

    This is the callback of options whose file can be neither standard input nor output. The path is a text,
    because `Path("./-")`, a file of that name, would become `-`.
    """
    if value == STANDARD:
        with errors_in_one_line():
            raise JournalToolError(
                f"invalid {param.opts[0]}: got '-', expected a file; it cannot be standard input or output"
            )
    return value


def write_standard_output(chunks: Iterable[bytes]) -> None:
    """Write and flush bytes to standard output. Raises `OutputError` if that fails."""
    out = sys.stdout.buffer
    for chunk in chunks:
        out.write(chunk)
    out.flush()
