"""Who may change a journal: one at a time, where no other user can put a file in the place of ours."""

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from tests.journal.test_memory import said, texts
from tests.journal.test_sqlite import NAME, opened
from tests.users import unprivileged, unprivileged_directory
from trio_chat.errors import CannotStart, JournalInUse
from trio_chat.journal.claim import Claim
from trio_chat.journal.sqlite import open_sqlite
from trio_chat.journal.sqlite_marker import RunMarker, mark_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with closing(Claim(tmp_path / NAME, create=True)):
        pass
    return tmp_path / NAME


def refusal(path: Path) -> str:
    """Return the line with which a server and a command are refused the journal."""
    with pytest.raises(CannotStart) as raised:
        Claim(path, create=True)
    assert "\n" not in str(raised.value) and raised.value.exit_status == 2
    return str(raised.value)


@contextmanager
def location_only(path: Path) -> Iterator[int]:
    """Open the file without access to what is in it: closing any other drops SQLite's locks."""
    descriptor = os.open(path, os.O_PATH)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("kind", ["hard link", "symlink", "descriptor"])
async def test_a_second_server_is_refused_by_every_name(tmp_path: Path, kind: str) -> None:
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
            with pytest.raises(JournalInUse, match="another server is using the journal"):
                await open_sqlite(other)
        await said(store, "a")
        assert await texts(store) == ["a"]
    assert not (tmp_path / "other.db-mark").exists(), "the refused server leaves nothing"


def test_a_directory_that_any_user_may_write_to_is_refused(path: Path) -> None:
    path.parent.chmod(0o777)
    assert refusal(path) == (
        f"cannot use the journal {path}: any user may replace files in its directory;"
        f" run `chmod o-w {path.parent}`, or keep it elsewhere"
    )
    path.unlink()
    refusal(path)
    assert not path.exists(), "none is begun there either"


def test_with_the_sticky_bit_a_directory_that_any_user_may_write_to_is_warned_of(
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


def test_a_directory_above_that_any_user_may_replace_is_warned_of(
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
def test_a_directory_of_its_owner_and_group_is_quiet(
    path: Path, caplog: pytest.LogCaptureFixture, mode: int
) -> None:
    path.parent.chmod(mode)
    Claim(path, create=True).close()
    assert caplog.messages == []


def test_the_directory_of_the_file_counts_not_that_of_a_symlink_to_it(path: Path, tmp_path: Path) -> None:
    public = tmp_path / "public"
    public.mkdir()
    public.chmod(0o777)
    (public / "link.db").symlink_to(path)
    Claim(public / "link.db", create=True).close()


def test_a_file_with_several_names_is_warned_of(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    os.link(path, path.with_name("link.db"))
    Claim(path, create=True).close()
    (message,) = caplog.messages
    assert message == (
        f"the journal {path} has 2 names (hard links): always use the same one,"
        " else what was said last before a crash is lost"
    )


@pytest.mark.parametrize("target", ["there", "missing"])
def test_a_mark_that_is_a_symlink_is_not_followed(path: Path, tmp_path: Path, target: str) -> None:
    other = tmp_path / "precious"
    if target == "there":
        other.write_text("precious")
    mark_of(path).unlink()
    mark_of(path).symlink_to(other)
    says = f"cannot use {path}-mark: got a symlink or something else, expected a file; move it away"
    assert refusal(path) == says
    assert other.exists() == (target == "there")
    assert target == "missing" or other.read_text() == "precious"


def test_a_mark_that_is_another_file_as_well_is_not_written(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "precious"
    other.write_text("precious")
    mark_of(path).unlink()
    os.link(other, mark_of(path))
    assert "expected a file" in refusal(path)
    mark_of(path).unlink()
    os.mkfifo(mark_of(path))
    assert "expected a file" in refusal(path)
    mark_of(path).unlink()
    mark_of(path).mkdir()
    with pytest.raises(IsADirectoryError):
        Claim(path, create=True)
    assert other.read_text() == "precious"


def test_a_claim_that_is_refused_leaves_the_lock_free(path: Path) -> None:
    mark = RunMarker(path)
    with pytest.raises(JournalInUse):
        Claim(path, create=True)
    mark.close()
    Claim(path, create=True).close()


def test_a_file_put_in_the_place_of_the_locked_one_is_noticed(path: Path) -> None:
    with closing(Claim(path, create=True)) as claim:
        claim.check()
        path.rename(path.with_name("moved.db"))
        path.write_bytes(b"")
        with pytest.raises(CannotStart, match="another file was put where the journal was"):
            claim.check()


def test_what_is_read_only_is_told_in_one_line() -> None:
    with unprivileged_directory() as directory, unprivileged():
        path = directory / NAME
        Claim(path, create=True).close()
        path.chmod(0o400)
        assert refusal(path) == f"cannot write to the journal {path}; it may be read-only"
        path.chmod(0o600)
        directory.chmod(0o500)
        says = f"cannot write to the directory of the journal {path}; it may be read-only"
        assert refusal(path) == says
        assert refusal(directory / "new.db") == says.replace(NAME, "new.db")
