"""The journal's file as operators meet it: under several names, read-only, in use, or with an odd path."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cases.commands import PATIENCE_S, command, environment, run, serve

EXPORT = (
    b'{"type":"trio_chat_journal","version":1,"refs":false}\n'
    b'{"type":"room","room":"attic","epoch":"q1o1y3mGqB0J","first":1,"head":1,"topic":""}\n'
    b'{"type":"said","room":"attic","seq":1,"at":1700000000000,"by":"ada","text":"dusty"}\n'
    b'{"type":"end","rooms":1,"entries":1}\n'
)


@contextmanager
def mounted(source: Path, target: Path, *, read_only: bool = False) -> Iterator[None]:
    """Mount a file or directory at another path during the block."""
    if sys.platform != "linux" or os.geteuid():
        pytest.skip("needs root on Linux, to mount")
    if subprocess.run(["mount", "--bind", source, target], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount, which a container may not have")
    try:
        if read_only:
            subprocess.run(["mount", "-o", "remount,ro,bind", target], check=True)
        yield
    finally:
        subprocess.run(["umount", target], check=True)


def new_journal(home: Path, path: Path) -> Path:
    """Make a journal with one entry and return its path."""
    done = run(home, "journal", "import", "--journal", os.fsencode(path), "-", stdin=EXPORT)
    assert done.returncode == 0, done.stderr
    return path


def refusal(home: Path, *args: str | bytes) -> str:
    """Run a command, check that it fails with status 2, and return its one line."""
    done = run(home, *args)
    assert (done.returncode, done.stdout) == (2, b""), done
    assert done.stderr.count(b"\n") == 1, done.stderr
    return done.stderr.decode()


def say(home: Path, address: str, text: str) -> None:
    done = run(home, "join", f"ada@{address}", "--tokens", "none", stdin=text.encode() + b"\n")
    assert done.returncode == 0, done.stderr


def refused_beside_a_server(home: Path, path: Path, other: Path) -> None:
    """Check that no command opens the journal of a running server by another name; nothing is lost."""
    with serve(home, "--journal", str(path)) as server:
        say(home, server.address, "first")
        in_use = f"a server is using the journal {other}"
        assert in_use in refusal(home, "serve", "--port", "0", "--journal", str(other))
        assert in_use in refusal(home, "journal", "prune", "--keep-entries", "1", "--journal", str(other))
        for args in (("info",), ("check",), ("export",), ("backup", str(home / "copy.db"))):
            says = refusal(home, "journal", *args, "--journal", str(other))
            assert f"cannot read {other}: a server uses it under another name" in says
        say(home, server.address, "second")
        assert server.stop() == 0
    exported = run(home, "journal", "export", "--journal", str(path)).stdout
    assert b'"first"' in exported and b'"second"' in exported
    assert run(home, "journal", "check", "--journal", str(path)).returncode == 0


def test_a_second_server_is_refused_by_a_hard_link(tmp_path: Path) -> None:
    path, link = new_journal(tmp_path, tmp_path / "journal.db"), tmp_path / "link.db"
    os.link(path, link)
    refused_beside_a_server(tmp_path, path, link)


def test_a_second_server_is_refused_by_a_bind_mount_of_the_file(tmp_path: Path) -> None:
    path, other = new_journal(tmp_path, tmp_path / "journal.db"), tmp_path / "other" / "journal.db"
    other.parent.mkdir()
    other.touch()
    with mounted(path, other):
        refused_beside_a_server(tmp_path, path, other)


def test_the_lock_of_a_killed_server_is_released(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with serve(tmp_path, "--journal", str(path)) as server:
        say(tmp_path, server.address, "hello")
        assert server.stop(signal.SIGKILL) == -signal.SIGKILL
    with serve(tmp_path, "--journal", str(path)) as server:
        assert server.stop() == 0
    assert b'"hello"' in run(tmp_path, "journal", "export", "--journal", str(path)).stdout


def test_a_server_is_refused_by_a_hard_link_while_an_import_runs(tmp_path: Path) -> None:
    """The import reads the text that is available, and waits for more."""
    path, link = new_journal(tmp_path, tmp_path / "journal.db"), tmp_path / "link.db"
    os.link(path, link)
    more = EXPORT.replace(b"attic", b"lobby")
    args = command("journal", "import", "--journal", str(path), "-")
    with subprocess.Popen(args, stdin=subprocess.PIPE, env=environment(tmp_path)) as process:
        assert process.stdin is not None
        try:
            process.stdin.write(more[:-10])
            process.stdin.flush()
            while not (tmp_path / "journal.db-wal").exists():
                assert process.poll() is None
                os.sched_yield()
            says = refusal(tmp_path, "serve", "--port", "0", "--journal", str(link))
            assert f"a server is using the journal {link}" in says
            process.stdin.write(more[-10:])
            process.stdin.close()
            assert process.wait(PATIENCE_S) == 0
        finally:
            process.kill()
    exported = run(tmp_path, "journal", "export", "--journal", str(path)).stdout
    assert exported.count(b'"dusty"') == 2


def test_a_journal_on_read_only_media_can_be_read_and_copied(tmp_path: Path) -> None:
    writable, read_only, copy = tmp_path / "rw", tmp_path / "ro", tmp_path / "copy.db"
    writable.mkdir()
    read_only.mkdir()
    new_journal(tmp_path, writable / "journal.db")
    path = str(read_only / "journal.db")
    with mounted(writable, read_only, read_only=True):
        for args in (("info",), ("check",), ("export",), ("backup", str(copy))):
            done = run(tmp_path, "journal", *args, "--journal", path)
            assert (done.returncode, done.stderr) == (0, b""), done
        assert "cannot write to the directory" in refusal(tmp_path, "serve", "--port", "0", "--journal", path)
        pruned = refusal(tmp_path, "journal", "prune", "--keep-entries", "1", "--journal", path)
        assert "cannot write to the directory" in pruned
        with serve(tmp_path, "--journal", str(writable / "journal.db")) as server:
            say(tmp_path, server.address, "beside")
            assert b'"beside"' in run(tmp_path, "journal", "export", "--journal", path).stdout
            server.stop(signal.SIGKILL)
        assert b'"beside"' in run(tmp_path, "journal", "export", "--journal", path).stdout
    assert run(tmp_path, "journal", "check", "--journal", str(copy)).returncode == 0


def test_a_path_that_is_not_utf_8_is_a_path(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff.db"
    with serve(tmp_path, "--journal", path) as server:
        say(tmp_path, server.address, "kept")
        assert server.stop() == 0
    assert os.path.exists(path)
    for args in (("info",), ("check",), ("export",), ("backup", os.fsencode(tmp_path) + b"/\xfe.db")):
        done = run(tmp_path, "journal", *args, "--journal", path)
        assert (done.returncode, done.stderr) == (0, b""), done
    assert json.loads(run(tmp_path, "journal", "info", "--json", "--journal", path).stdout)["entries"] == 1


def test_the_memory_path_of_sqlite_is_a_memory_journal(tmp_path: Path) -> None:
    with serve(tmp_path, "--journal", ":memory:") as server:
        say(tmp_path, server.address, "hello")
        assert server.stop() == 0
    assert not Path(":memory:").exists()
    says = refusal(tmp_path, "journal", "info", "--journal", ":memory:")
    assert "a journal in memory has no file" in says


def test_a_directory_that_any_user_may_write_to_is_refused(tmp_path: Path) -> None:
    public = tmp_path / "public"
    public.mkdir()
    public.chmod(0o777)
    for args in (("serve", "--port", "0"), ("journal", "prune", "--keep-entries", "1")):
        says = refusal(tmp_path, *args, "--journal", str(public / "journal.db"))
        assert f"run `chmod o-w {public}`" in says
    assert list(public.iterdir()) == []
    public.chmod(0o1777)
    with (tmp_path / "err").open("w+b") as err:
        with serve(tmp_path, "--journal", str(public / "journal.db"), stderr=err) as server:
            assert server.stop() == 0
        err.seek(0)
        assert b"WARNING any user may create files beside the journal" in err.read()


def test_a_symlinked_marker_is_not_written_through(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    (tmp_path / "journal.db-mark").symlink_to(precious)
    says = refusal(tmp_path, "serve", "--port", "0", "--journal", str(tmp_path / "journal.db"))
    assert f"cannot use {tmp_path}/journal.db-mark" in says
    assert precious.read_text() == "precious"
