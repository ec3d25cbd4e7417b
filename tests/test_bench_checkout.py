"""The files of a commit: which code runs, what is refused, and that nothing is left behind."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.checkout import Checkout, exported
from tests.bench.errors import BenchError

PROJECT = '[project]\nname = "trio-chat"\n[project.scripts]\ntrio-chat = "trio_chat.entry:start"\n'


def git(root: Path, *args: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *args], cwd=root, check=True, capture_output=True)


def commit_of(root: Path, entry: str, project: str = PROJECT) -> None:
    """Commit a project whose command runs the given source."""
    package = root / "trio_chat"
    package.mkdir(exist_ok=True)
    (package / "__init__.py").touch()
    (package / "entry.py").write_text(entry)
    (root / "pyproject.toml").write_text(project)
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message=a change")


def printing(text: str) -> str:
    return f"import sys\ndef start():\n    print({text!r}, sys.argv)\n"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    if shutil.which("git") is None:
        pytest.skip("there is no git")
    root = tmp_path / "project"
    root.mkdir()
    git(root, "init", "--quiet")
    commit_of(root, printing("before"))
    commit_of(root, printing("after"))
    return root


def output(checkout: Checkout) -> str:
    command = [*checkout.command, "serve"]
    done = subprocess.run(command, env=checkout.environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_each_commit_runs_its_own_code(repository: Path) -> None:
    with exported("HEAD~1", repository) as (old, new):
        assert output(old) == "before ['trio-chat', 'serve']"
        assert output(new) == "after ['trio-chat', 'serve']"
        assert old.commit != new.commit


def test_the_exported_files_are_removed_at_the_end(repository: Path) -> None:
    with exported("HEAD~1", repository) as (old, new):
        away = old.files.parent
        assert new.files.parent == away and away.is_dir()
    assert not away.exists()


def test_the_exported_files_are_removed_after_a_failure(repository: Path) -> None:
    away = Path()
    with pytest.raises(SystemExit), exported("HEAD", repository) as (old, _):
        away = old.files.parent
        sys.exit(143)
    assert away.name.startswith("trio-chat-bench-") and not away.exists()


@pytest.mark.parametrize("commit", ["nosuch", "--help", "--glob=*", "", "HEAD:pyproject.toml", "HEAD~9"])
def test_an_invalid_commit_is_refused(repository: Path, commit: str) -> None:
    with pytest.raises(BenchError, match=re.escape(f"invalid commit: got '{commit}', expected")):
        with exported(commit, repository):
            pass


def test_uncommitted_changes_of_the_server_are_refused(repository: Path) -> None:
    (repository / "notes").write_text("not the server's\n")
    with exported("HEAD", repository):
        pass
    (repository / "trio_chat" / "entry.py").write_text(printing("uncommitted"))
    (repository / "trio_chat" / "new.py").touch()
    message = r"trio_chat/entry\.py and 1 more is not committed; commit or stash it first"
    with pytest.raises(BenchError, match=message), exported("HEAD", repository):
        pass


@pytest.mark.parametrize("place", ["elsewhere", "project/trio_chat"])
def test_a_place_that_is_no_checkout_is_refused(repository: Path, place: str) -> None:
    where = repository.parent / place
    where.mkdir(exist_ok=True)
    with pytest.raises(BenchError, match="this is not a git checkout"), exported("HEAD", where):
        pass


def test_without_git_nothing_is_compared(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repository))
    with pytest.raises(BenchError, match="git is not installed"), exported("HEAD", repository):
        pass


@pytest.mark.parametrize(
    ("entry", "project", "message"),
    [
        ("import nosuch\n", PROJECT, "with the installed dependencies: ModuleNotFoundError: .*nosuch"),
        (printing(""), PROJECT.replace("trio_chat.entry", "click.core"), "Python imports .*click"),
        (printing(""), "[project]\nname = 'trio-chat'\n", "pyproject.toml names no trio-chat command"),
        (printing(""), "project\n", "pyproject.toml names no trio-chat command"),
    ],
    ids=["missing dependency", "other files", "no command", "no project"],
)
def test_a_commit_that_cannot_run_by_itself_is_refused(
    repository: Path, entry: str, project: str, message: str
) -> None:
    commit_of(repository, entry, project)
    with (
        pytest.raises(BenchError, match=f"cannot run [0-9a-f]{{10}}.*{message}"),
        exported("HEAD", repository),
    ):
        pass
