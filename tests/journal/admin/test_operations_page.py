"""docs/operations.md: its commands are run as they stand there, and say what it says they do."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.journal.admin.journals import small
from tests.patience import PATIENCE_S
from trio_chat.cli import main

PAGE = (Path(__file__).parents[3] / "docs" / "operations.md").read_text("utf-8")
SESSIONS = "".join(re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL))
SHOWN = "/var/lib/trio-chat/journal.db"
# What another SQLite may have otherwise, and what is drawn by chance.
_SIZE = re.compile(r"[\d,.]+ (?:KiB|bytes)\b")
_EPOCH = re.compile(r'(?<="epoch":")[^"]*|(?<=^server id   ).*', re.MULTILINE)


def steady(text: str) -> str:
    """A text without what may differ."""
    return re.sub(r"  +", "  ", _EPOCH.sub("…", _SIZE.sub("so many", text)))


def test_the_commands_say_what_the_page_says(tmp_path: Path) -> None:
    """One after the other, on one journal."""
    path = small(tmp_path / "journal.db")
    python = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{python}{os.pathsep}{os.environ['PATH']}",
        "PYTHONUTF8": "1",
        "TRIO_CHAT_JOURNAL": str(path),
    }
    said = ""
    for command in re.findall(r"^\$ (.*)\n", SESSIONS, re.MULTILINE):
        done = subprocess.run(
            shlex.split(command),
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), command
        said += f"$ {command}\n{done.stdout}"
    assert steady(said.replace(str(path), SHOWN)) == steady(SESSIONS)


@pytest.mark.parametrize("command", ["info", "export", "import", "backup", "check", "prune", "retime"])
def test_every_command_has_its_place_on_the_page(command: str) -> None:
    assert f"$ trio-chat journal {command}" in SESSIONS


def test_options_on_the_page_are_there() -> None:
    commands = [main.commands["serve"], *main.commands["journal"].commands.values()]  # type: ignore[attr-defined]
    known = {name for command in commands for option in command.params for name in option.opts}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", PAGE))
    assert named - known == {"--upgrade"}, "which is pip's"
