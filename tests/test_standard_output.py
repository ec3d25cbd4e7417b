"""Data on standard output: all of it, or one error; and the end of the process adds no other."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import PATIENCE_S

_WRITING = """
import sys
from trio_chat.cli.standard_output import write_standard_output
from trio_chat.cli.streams import standard_output
from trio_chat.errors import OutputError
try:
    with standard_output():
        write_standard_output([{chunk}] * 3)
except OutputError as error:
    sys.exit(f"{{error}}")
"""


@pytest.mark.parametrize("chunk", ["b'small'", "b'x' * 1_000_000"])
def test_a_full_disk_is_told_once(chunk: str) -> None:
    """And not once more when the interpreter ends, for what was still in a buffer."""
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-c", _WRITING.format(chunk=chunk)]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, timeout=PATIENCE_S, check=False)
    says = b"cannot write to standard output: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, says)


def test_all_chunks_are_written() -> None:
    command = [sys.executable, "-c", _WRITING.format(chunk="b'abc'")]
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE_S, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"abcabcabc", b"")
