"""The exclusive right to change a journal, and the directories in which a journal may be."""

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from tests.journal.test_memory import said, texts
from tests.journal.test_sqlite import NAME, opened
from tests.users import as_unprivileged_user, unprivileged_directory
from trio_chat.errors import CannotStart, JournalInUse
from trio_chat.journal.claim import Claim
from trio_chat.journal.sqlite import open_sqlite
from trio_chat.journal.sqlite_marker import RunMarker, marker_path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with closing(Claim(tmp_path / NAME, create=True)):
        pass
    return tmp_path / NAME


def refusal(path: Path) -> str:
    """Return the error with which a server and a command refuse the journal."""
    with pytest.raises(CannotStart) as raised:
        Claim(path, create=True)
    assert "\n" not in str(raised.value) and raised.value.exit_status == 2
    return str(raised.value)


@contextmanager
def location_only(path: Path) -> Iterator[int]:
    """Open the file with O_PATH: closing any other descriptor would drop SQLite's locks."""
    descriptor = os.open(path, os.O_PATH)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("kind", ["hard link", "symlink", "descriptor"])
async def test_a_second_server_is_refused_under_every_name(tmp_path: Path, kind: str) -> None:
    path, other = tmp_path / NAME, tmp_path / "other.db"
    async with opened(tmp_path) as store:
        if kind == "hard link":
            os.link(path, other)
        elif kind == "symlink":
            other.symlink_to(path)
        with ExitStack() as stack:
            if kind == "descriptor":
                descriptor = stack.enter_context(location_only(path))
                other = Path(f"/proc/self/fd/{descriptor}")
            with pytest.raises(JournalInUse, match="a server is using the journal"):
                await open_sqlite(other)
        await said(store, "a")
        assert await texts(store) == ["a"]
    assert not (tmp_path / "other.db-mark").exists(), "the refused server leaves nothing"


def test_a_world_writable_directory_is_refused(path: Path) -> None:
    path.parent.chmod(0o777)
    assert refusal(path) == (
        f"cannot use the journal {path}: any user may replace files in its directory;"
        f" run `chmod o-w {path.parent}`, or move the journal to another directory"
    )
    path.unlink()
    refusal(path)
    assert not path.exists(), "no journal is created there"


def test_a_world_writable_directory_with_the_sticky_bit_logs_a_warning(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.chmod(0o1777)
    Claim(path, create=True).close()
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (
            logging.WARNING,
            f"any user may create files beside the journal {path}; keep it in a directory of its own",
        )
    ]


def test_a_replaceable_parent_directory_logs_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    above = tmp_path / "above"
    (above / "own").mkdir(parents=True)
    above.chmod(0o777)
    path = above / "own" / NAME
    Claim(path, create=True).close()
    assert caplog.messages == [
        f"any user may replace directories in {above}, and with them the journal {path}"
    ]


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o775, 0o1770])
def test_a_directory_of_owner_and_group_logs_no_warning(
    path: Path, caplog: pytest.LogCaptureFixture, mode: int
) -> None:
    path.parent.chmod(mode)
    Claim(path, create=True).close()
    assert caplog.messages == []


def test_the_directory_of_the_file_is_checked_and_not_that_of_a_symlink(path: Path, tmp_path: Path) -> None:
    public = tmp_path / "public"
    public.mkdir()
    public.chmod(0o777)
    (public / "link.db").symlink_to(path)
    Claim(public / "link.db", create=True).close()


def test_a_file_with_hard_links_logs_a_warning(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    os.link(path, path.with_name("link.db"))
    Claim(path, create=True).close()
    (message,) = caplog.messages
    assert message == (
        f"the journal {path} has 2 names (hard links): always use the same name,"
        " or the newest entries are lost after a crash"
    )


@pytest.mark.parametrize("target", ["there", "missing"])
def test_a_marker_that_is_a_symlink_is_not_followed(path: Path, tmp_path: Path, target: str) -> None:
    other = tmp_path / "precious"
    if target == "there":
        other.write_text("precious")
    marker_path(path).unlink()
    marker_path(path).symlink_to(other)
    says = f"cannot use {path}-mark: got a symlink or something else, expected a file; move it away"
    assert refusal(path) == says
    assert other.exists() == (target == "there")
    assert target == "missing" or other.read_text() == "precious"


def test_a_marker_with_a_second_hard_link_is_not_written(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "precious"
    other.write_text("precious")
    marker_path(path).unlink()
    os.link(other, marker_path(path))
    assert "expected a file" in refusal(path)
    marker_path(path).unlink()
    os.mkfifo(marker_path(path))
    assert "expected a file" in refusal(path)
    marker_path(path).unlink()
    marker_path(path).mkdir()
    with pytest.raises(IsADirectoryError):
        Claim(path, create=True)
    assert other.read_text() == "precious"


def test_a_claim_that_is_refused_leaves_the_lock_free(path: Path) -> None:
    mark = RunMarker(path)
    with pytest.raises(JournalInUse):
        Claim(path, create=True)
    mark.close()
    Claim(path, create=True).close()


def test_a_replacement_of_the_locked_file_is_detected(path: Path) -> None:
    with closing(Claim(path, create=True)) as claim:
        claim.check()
        path.rename(path.with_name("moved.db"))
        path.write_bytes(b"")
        with pytest.raises(CannotStart, match=r"the journal .* was replaced while it was opened"):
            claim.check()


def test_read_only_files_are_refused_with_one_line() -> None:
    with unprivileged_directory() as directory, as_unprivileged_user():
        path = directory / NAME
        Claim(path, create=True).close()
        path.chmod(0o400)
        assert refusal(path) == f"cannot write to the journal {path}; it may be read-only"
        path.chmod(0o600)
        directory.chmod(0o500)
        says = f"cannot write to the directory of the journal {path}; it may be read-only"
        assert refusal(path) == says
        assert refusal(directory / "new.db") == says.replace(NAME, "new.db")
