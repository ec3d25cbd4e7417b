"""The unit file of docs/operations.md, checked by systemd."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cases.commands import PATIENCE_S
from tests.test_operations_page import unit_file

COMMAND = "/opt/trio-chat/bin/trio-chat"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_understands_the_unit_file(tmp_path: Path) -> None:
    unit = unit_file()
    assert COMMAND in unit
    path = tmp_path / "trio-chat.service"
    path.write_text(unit.replace(COMMAND, sys.executable))
    done = subprocess.run(
        ["systemd-analyze", "verify", path], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    ours = [line for line in done.stderr.splitlines() if path.name in line]
    assert (done.returncode, ours) == (0, []), done.stderr
