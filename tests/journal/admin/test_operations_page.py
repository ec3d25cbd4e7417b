"""docs/operations.md: its commands are run, and print what the page shows."""

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
# Sizes that depend on the version of SQLite, and random ids.
_SIZE = re.compile(r"[\d,.]+ (?:KiB|bytes)\b")
_EPOCH = re.compile(r'(?<="epoch":")[^"]*|(?<=^server id   ).*', re.MULTILINE)


def steady(text: str) -> str:
    """Return a text without the parts that may differ."""
    return re.sub(r"  +", "  ", _EPOCH.sub("…", _SIZE.sub("so many", text)))


def test_the_commands_print_what_the_page_shows(tmp_path: Path) -> None:
    """The commands run one after the other, on one journal."""
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
def test_every_command_is_on_the_page(command: str) -> None:
    assert f"$ trio-chat journal {command}" in SESSIONS


def test_options_on_the_page_exist() -> None:
    commands = [main.commands["serve"], *main.commands["journal"].commands.values()]  # type: ignore[attr-defined]
    known = {name for command in commands for option in command.params for name in option.opts}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", PAGE))
    assert named - known == {"--upgrade"}, "that is an option of pip"
