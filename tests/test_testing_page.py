"""docs/testing.md: its programs are run as they stand there, and say what it says they do."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import trio_chat.testing
from tests.patience import PATIENCE_S

PAGE = (Path(__file__).parent.parent / "docs" / "testing.md").read_text("utf-8")
PROGRAMS = {name: source for source, name in re.findall(r"```python\n(# (\w+\.py)\n.*?)```", PAGE, re.DOTALL)}
SESSIONS = re.findall(r"```console\n\$ (.*?)\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all the programs."""
    folder = tmp_path_factory.mktemp("desk")
    for name, source in PROGRAMS.items():
        (folder / name).write_text(source, "utf-8")
    return folder


@pytest.mark.parametrize(("command", "output"), SESSIONS, ids=[command for command, _ in SESSIONS])
def test_a_program_says_what_the_page_says(command: str, output: str, desk: Path) -> None:
    python = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{python}{os.pathsep}{os.environ['PATH']}", "PYTHONUTF8": "1"}
    done = subprocess.run(
        command,
        shell=True,
        cwd=desk,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.stdout == output, done.stderr


def test_every_program_is_run() -> None:
    commands = " ".join(command for command, _ in SESSIONS)
    imported = " ".join(PROGRAMS.values())
    unused = [
        name for name in PROGRAMS if name not in commands and f"from {name[:-3]} import" not in imported
    ]
    assert len(PROGRAMS) >= 7 and not unused


def test_every_rule_has_its_name_on_the_page() -> None:
    rules = {kind.__name__ for kind in trio_chat.testing.Rule.__args__}
    assert not {rule for rule in rules if f"`{rule}" not in PAGE}
