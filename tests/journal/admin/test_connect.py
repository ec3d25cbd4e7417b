"""Opening the file to read it or to change it."""

import sqlite3
from pathlib import Path

import pytest

from tests.journal.admin.journals import TIME, rows, say, small
from tests.journal.test_sqlite import NAME, kill, opened
from trio_chat.errors import CannotStart, JournalToolError
from trio_chat.journal.admin.connect import as_tool_error, is_in_use, open_reader, open_writer
from trio_chat.journal.sqlite_file import VERSION


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    with open_reader(small(tmp_path / NAME)) as db, pytest.raises(sqlite3.OperationalError, match="readonly"):
        db.execute("UPDATE rooms SET epoch = ''")


async def test_a_reader_sees_the_log_of_a_killed_server(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.commit([say("hello")], TIME)
        kill(store)
    with open_reader(tmp_path / NAME) as db:
        assert db.execute("SELECT head FROM rooms").fetchall() == [(1,)]


def test_a_writer_keeps_others_out_until_the_end(tmp_path: Path) -> None:
    path = small(tmp_path / NAME)
    assert not is_in_use(path)
    (tmp_path / "link.db").symlink_to(path)
    with open_writer(path):
        assert is_in_use(path) and is_in_use(tmp_path / "link.db")
        with pytest.raises(CannotStart, match="a server is using the journal"):
            with open_writer(tmp_path / "link.db"):
                pytest.fail("two writers at a time")
    assert not is_in_use(path)


def test_changes_are_written_to_the_file_itself(tmp_path: Path) -> None:
    path = small(tmp_path / NAME)
    with open_reader(path):  # a reader keeps the log from being deleted
        with open_writer(path) as db:
            db.execute("UPDATE rooms SET topic = 'changed'")
            assert b"changed" not in path.read_bytes()
        assert b"changed" in path.read_bytes()


def test_a_journal_is_created_only_on_request(tmp_path: Path) -> None:
    path = tmp_path / NAME
    with pytest.raises(JournalToolError, match="there is no journal"), open_writer(path):
        pytest.fail("it was created")
    assert list(tmp_path.iterdir()) == []
    with open_writer(path, create=True):
        pass
    assert rows(path, "PRAGMA user_version") == [(VERSION,)] and path.stat().st_mode & 0o777 == 0o600


def test_a_bug_is_not_reported_as_an_error_of_the_file(tmp_path: Path) -> None:
    with (
        pytest.raises(sqlite3.OperationalError, match="no such table"),
        open_reader(small(tmp_path / NAME)) as db,
    ):
        db.execute("SELECT * FROM nowhere")


@pytest.mark.parametrize(
    ("error", "says"),
    [(FileNotFoundError(2, "No such file or directory"), "j: No such file or directory")],
)
def test_an_error_of_the_disk_names_the_file(error: OSError, says: str) -> None:
    with pytest.raises(JournalToolError) as raised, as_tool_error(Path("j")):
        raise error
    assert str(raised.value) == says
