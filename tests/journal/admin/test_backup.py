"""Backups beside a running server: of one moment, complete or absent, and with new epochs."""

import stat
from pathlib import Path

import pytest
import trio

from tests.journal.admin.journals import TIME, say, small, text_of, written
from tests.journal.test_sqlite import NAME, opened, record
from trio_chat.errors import JournalToolError
from trio_chat.journal.admin import backup as backup_module
from trio_chat.journal.admin.backup import backup
from trio_chat.journal.admin.check import CheckResult, check


def names(directory: Path) -> set[str]:
    return {each.name for each in directory.iterdir()}


def test_a_copy_has_the_same_entries_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path, copy = small(tmp_path / NAME), tmp_path / "copy.db"
    assert backup(path, copy) == copy.stat().st_size
    assert text_of(copy, with_refs=True) == text_of(path, with_refs=True)
    assert check(copy) == CheckResult(2, 5, [])
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert names(tmp_path) == {NAME, f"{NAME}-mark", "copy.db"}


async def test_a_copy_shows_the_moment_at_which_it_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server commits between any two steps: the copy neither restarts nor has parts of these commits."""
    monkeypatch.setattr(backup_module, "PAGES_AT_ONCE", 2)
    left: list[int] = []
    async with opened(tmp_path) as store:
        await store.commit([say("x" * 3_000) for _ in range(20)], TIME)

        def goes_on(done: int, total: int) -> None:
            left.append(total - done)
            assert left == sorted(left, reverse=True), "the copy was restarted"
            trio.from_thread.run(store.commit, [say("later")], TIME)

        path, copy = tmp_path / NAME, tmp_path / "copy.db"
        await trio.to_thread.run_sync(lambda: backup(path, copy, progress=goes_on))
    assert len(left) > 5 and left[-1] == 0
    assert check(copy) == CheckResult(1, 20, [])
    assert check(path) == CheckResult(1, 20 + len(left), [])


async def test_a_server_on_a_copy_has_new_epochs(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    async with opened(tmp_path) as store:
        await store.commit([say("hello")], TIME)
        epoch = (await record(store)).epoch
        await trio.to_thread.run_sync(backup, tmp_path / NAME, elsewhere / NAME)
    async with opened(tmp_path) as store:
        assert (await record(store)).epoch == epoch
    async with opened(elsewhere) as store:
        known = await record(store)
        assert (known.head, known.epoch != epoch) == (1, True)


def test_an_existing_file_is_replaced_only_on_request(tmp_path: Path) -> None:
    path, copy = small(tmp_path / NAME), tmp_path / "copy.db"
    copy.write_text("precious")
    with pytest.raises(JournalToolError, match=r"copy.db: it exists already; use --force to replace it"):
        backup(path, copy)
    assert copy.read_text() == "precious"
    backup(path, copy, replace=True)
    assert check(copy).findings == []


def test_a_journal_is_not_copied_over_itself_nor_over_one_in_use(tmp_path: Path) -> None:
    path = small(tmp_path / NAME)
    (tmp_path / "link.db").symlink_to(path)
    (tmp_path / "used.db").touch()
    (tmp_path / "used.db-wal").touch()
    for to, says in (
        (path, "it is the journal itself"),
        (tmp_path / "link.db", "it is the journal itself"),
        (tmp_path / "used.db", "so it is a journal in use, or its server was killed"),
        (tmp_path, "it is a directory"),
    ):
        with pytest.raises(JournalToolError, match=says):
            backup(path, to, replace=True)


@pytest.mark.parametrize("what", ["damaged", "interrupted", "no directory"])
def test_a_failed_copy_leaves_the_directory_unchanged(what: str, tmp_path: Path) -> None:
    path = written(tmp_path / NAME, *[[say("x" * 3_000)] for _ in range(30)])
    copy = tmp_path / ("missing/copy.db" if what == "no directory" else "copy.db")
    error: type[BaseException] = JournalToolError
    before = names(tmp_path)

    def interrupt(done: int, total: int) -> None:
        if what == "interrupted":
            raise KeyboardInterrupt

    if what == "damaged":
        data = bytearray(path.read_bytes())
        data[-3 * 4096 : -2 * 4096] = b"\xff" * 4096
        path.write_bytes(data)
    elif what == "interrupted":
        error = KeyboardInterrupt
    with pytest.raises(error):
        backup(path, copy, progress=interrupt)
    assert names(tmp_path) == before


def test_an_interrupt_ends_a_long_statement(tmp_path: Path) -> None:
    """As with Ctrl-C, the handler raises inside SQLite, which then stops."""
    from trio_chat.journal.admin.connect import as_tool_error, open_reader

    with (
        pytest.raises(KeyboardInterrupt),
        as_tool_error(tmp_path / NAME),
        open_reader(small(tmp_path / NAME)) as db,
    ):

        def pressed() -> int:
            raise KeyboardInterrupt

        db.set_progress_handler(pressed, 1_000)
        db.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(i) FROM n"
        ).fetchone()
