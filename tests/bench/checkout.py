"""The server of a commit, run beside the one of another commit: `git archive` into a temporary directory.

An archive leaves nothing in the repository that could be left behind (a worktree would be registered there).
Both commits run under this Python with the dependencies that are installed beside it, so that only our code
differs: PYTHONPATH puts the exported files before anything installed, an editable install included. Before a
figure is measured, Python is asked where it finds the package, and the answer must be the exported files.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.errors import BenchError

__all__ = ["ROOT", "Checkout", "exported", "prepare"]

ROOT = Path(__file__).parent.parent.parent
LIMIT_S = 60.0  # of each command
SERVER_FILES = ("trio_chat", "pyproject.toml")

# What the console script that pip would install does, for the entry point that the commit names.
_LAUNCH = "import sys; sys.argv[0] = 'trio-chat'; from {module} import {function}; sys.exit({function}())"
_LOCATE = "import sys; import {module}; print(sys.modules['{module}'].__file__)"


@dataclass(frozen=True)
class Checkout:
    """The exported files of a commit; `command` runs their `trio-chat` in `environment`."""

    commit: str
    files: Path
    command: tuple[str, ...]
    environment: dict[str, str]


@contextmanager
def exported(commit: str, root: Path = ROOT) -> Iterator[tuple[Checkout, Checkout]]:
    """Export a commit and HEAD, ready to run, for as long as the block lasts.

    Raises `BenchError` when git is missing, there is no such commit, the server's files have changes that no
    commit holds, or Python would not run the exported files.
    """
    old, new = _resolve(commit, root), _resolve("HEAD", root)
    _require_clean(root)
    # The two names are equally long: a path's length is in tracebacks and in memory.
    with tempfile.TemporaryDirectory(prefix="trio-chat-bench-") as away:
        yield _export(old, root, Path(away, "old")), _export(new, root, Path(away, "new"))


def _resolve(commit: str, root: Path) -> str:
    if shutil.which("git") is None:
        raise BenchError("cannot compare commits: git is not installed")
    prefix = _run(["git", "rev-parse", "--show-prefix"], root)
    if prefix.returncode or prefix.stdout.strip():
        raise BenchError("cannot compare commits: this is not a git checkout of the project")
    # With this suffix no name can be an option of git.
    found = _run(["git", "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}"], root)
    if found.returncode:
        raise BenchError(
            f"invalid commit: got {commit!r}, expected a commit, tag or branch of this repository"
        )
    return found.stdout.strip()


def _require_clean(root: Path) -> None:
    changed = _checked(["git", "status", "--porcelain", "--", *SERVER_FILES], root).splitlines()
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise BenchError(
            f"cannot compare commits: {changed[0][3:]}{more} is not committed; commit or stash it first"
        )


def _export(commit: str, root: Path, files: Path) -> Checkout:
    archive = files.with_suffix(".zip")
    _checked(["git", "archive", "--format=zip", "-0", f"--output={archive}", commit], root)
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(files)
    archive.unlink()
    return prepare(commit[:10], files)


def prepare(commit: str, files: Path) -> Checkout:
    """Make the files of a commit ready to run. Raises `BenchError` when Python would run others."""
    module, function = _entry_point(commit, files)
    environment = {**os.environ, "PYTHONPATH": str(files)}
    python = [sys.executable, "-P", "-c"]  # -P: the working directory is not searched for modules
    _require_isolated([*python, _LOCATE.format(module=module)], environment, commit, files)
    # Otherwise the first server of each would compile its modules, and pay for it in memory.
    _checked([sys.executable, "-m", "compileall", "-q", str(files / "trio_chat")], files)
    return Checkout(commit, files, (*python, _LAUNCH.format(module=module, function=function)), environment)


def _entry_point(commit: str, files: Path) -> tuple[str, str]:
    try:
        project = tomllib.loads((files / "pyproject.toml").read_text(encoding="utf-8"))
        module, _, function = project["project"]["scripts"]["trio-chat"].partition(":")
    except (OSError, ValueError, KeyError) as error:
        raise BenchError(f"cannot run {commit}: its pyproject.toml names no trio-chat command") from error
    return module, function


def _require_isolated(command: list[str], environment: dict[str, str], commit: str, files: Path) -> None:
    located = _run(command, files.parent, environment)
    if located.returncode:
        reason = _last_line(located.stderr)
        raise BenchError(f"cannot run {commit} with the installed dependencies: {reason}")
    if not Path(located.stdout.strip()).resolve().is_relative_to(files.resolve()):
        raise BenchError(f"cannot run {commit}: Python imports trio_chat from {located.stdout.strip()}")


def _checked(command: list[str], where: Path) -> str:
    done = _run(command, where)
    if done.returncode:
        raise BenchError(f"cannot compare commits: {_last_line(done.stderr)}")
    return done.stdout


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2]


def _run(
    command: list[str], where: Path, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            cwd=where,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchError(f"cannot compare commits: {error}") from error
