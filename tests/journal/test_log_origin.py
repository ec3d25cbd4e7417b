"""A log of another file is not replayed, and a file is not used under a name without its log."""

import os
import shutil
from pathlib import Path

import pytest

from trio_chat.errors import CannotStart
from trio_chat.journal.admin.info import info
from trio_chat.journal.claim import Claim
from trio_chat.journal.sqlite import open_sqlite
from trio_chat.journal.sqlite_file import connect
from trio_chat.journal.store import Draft


def draft(text: str) -> Draft:
    return Draft("lobby", "lobby", "ada", text, "", "")


async def say(path: Path, text: str, killed: Path | None = None) -> None:
    """Commit one entry with a server's store; copy its files to `killed` as a kill would leave them."""
    store = await open_sqlite(path)
    try:
        await store.open("lobby", "lobby")
        await store.commit([draft(text)], 1_800_000_000_000)
        if killed is not None:
            os.mkdir(killed)
            for end in ("", "-wal", "-mark"):
                shutil.copy2(f"{path}{end}", killed / f"journal.db{end}")
    finally:
        await store.aclose()


async def texts(path: Path) -> list[bytes]:
    store = await open_sqlite(path)
    try:
        return (await store.read("lobby", 0, 100, entries_max=100, bytes_max=1 << 20)).payloads
    finally:
        await store.aclose()


@pytest.fixture
async def killed(tmp_path: Path) -> Path:
    """The journal of a server that was killed after it had acknowledged `first`, in its log."""
    await say(tmp_path / "live.db", "first", tmp_path / "killed")
    return tmp_path / "killed" / "journal.db"


def contents(path: Path) -> dict[str, bytes]:
    """Return the files beside a journal, without the log's index (`-shm`), which each opening recreates."""
    files = sorted(path.parent.iterdir())
    return {each.name: each.read_bytes() for each in files if not each.name.endswith("-shm")}


async def test_a_log_is_not_replayed_over_entries_acknowledged_under_another_name(
    killed: Path, tmp_path: Path
) -> None:
    """This happens with a bind mount: the other name has one link, and another log beside it."""
    other = tmp_path / "other.db"
    os.rename(killed, other)
    await say(other, "second")
    os.link(other, killed)
    before = contents(killed)
    for use in (lambda: Claim(killed, create=True), lambda: info(killed)):
        with pytest.raises(CannotStart, match=r"its log .* was not written by the last run"):
            use()
    assert contents(killed) == before
    os.unlink(f"{killed}-wal")
    (only,) = await texts(killed)
    assert b"second" in only


async def test_a_log_is_not_replayed_over_an_older_file_that_replaced_the_journal(
    killed: Path, tmp_path: Path
) -> None:
    await say(tmp_path / "older.db", "older")
    shutil.copyfile(tmp_path / "older.db", killed)
    with pytest.raises(CannotStart, match="move the log away"):
        Claim(killed, create=True)


async def test_a_hard_link_is_not_used_without_the_log_of_a_killed_server(
    killed: Path, tmp_path: Path
) -> None:
    link = tmp_path / "link.db"
    os.link(killed, link)
    for use in (lambda: Claim(link, create=True), lambda: info(link)):
        with pytest.raises(CannotStart, match="under another name"):
            use()
    assert not [name for name in os.listdir(tmp_path) if name.startswith("link.db-")]
    assert len(await texts(killed)) == 1  # under its own name everything is there
    assert len(await texts(link)) == 1


async def test_the_log_of_a_killed_server_is_replayed(killed: Path, tmp_path: Path) -> None:
    """This also holds beside a hard link, after the file was read, and without a marker."""
    os.link(killed, tmp_path / "link.db")
    assert info(killed).entries == 1
    assert "journal.db-wal" not in contents(killed)  # written back
    assert len(await texts(killed)) == 1


async def test_the_log_of_a_killed_server_is_replayed_without_a_marker(killed: Path) -> None:
    os.unlink(f"{killed}-mark")
    assert len(await texts(killed)) == 1
    await say(killed, "second")
    assert len(await texts(killed)) == 2


async def test_a_log_with_a_run_id_that_the_file_lacks_is_replayed(tmp_path: Path) -> None:
    """A reader kept the log from being written back when the run began."""
    path = tmp_path / "live.db"
    await say(path, "first")
    reader = connect(path)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM rooms").fetchone()
    try:
        await say(path, "second", tmp_path / "killed")
    finally:
        reader.close()
    assert len(await texts(tmp_path / "killed" / "journal.db")) == 2
