"""The effect of the owner's tools on clients of a server on the file."""

import shutil
from functools import partial
from io import BytesIO
from pathlib import Path

import trio

from tests.journal.admin.journals import text_of
from tests.journal.test_sqlite import NAME
from tests.journal.test_sqlite_server import on_file
from trio_chat.journal.admin.backup import backup
from trio_chat.journal.admin.importing import import_journal
from trio_chat.journal.admin.prune import PruneRule, prune
from trio_chat.wire.messages import Ack, Gap, Said, Say


async def spoken(directory: Path, *texts: str) -> str:
    """Let ada send these texts, each with itself as its `ref`; return the epoch of the lobby."""
    async with on_file(directory) as server:
        ada = await server.enter("ada", token="A" * 43)
        room = await ada.join("lobby")
        for text in texts:
            ada.send(Say("lobby", text, ref=text))
            await ada.answer(Ack, ref=text)
        return room.epoch


def restored(path: Path, copy: Path, away: Path) -> None:
    """Restore a copy as docs/operations.md says: move all files away, and copy it to the path."""
    away.mkdir()
    for each in path.parent.glob(f"{path.name}*"):
        each.rename(away / each.name)
    shutil.copy(copy, path)


async def test_a_client_cannot_resume_in_a_restored_copy(tmp_path: Path) -> None:
    """The copy was made while the server ran; later entries have numbers that are assigned again."""
    path, copy, away = tmp_path / NAME, tmp_path / "copy.db", tmp_path / "away"
    async with on_file(tmp_path) as server:
        ada = await server.enter("ada")
        room = await ada.join("lobby")
        await ada.say("a")
        await trio.to_thread.run_sync(backup, path, copy)
        assert await ada.say("b") == 2
    restored(path, copy, away)
    async with on_file(tmp_path) as server:
        ada = await server.enter("ada", token=ada.token)
        again = await ada.join("lobby", after=2, epoch=room.epoch)
        assert (again.resumed, again.head, again.epoch != room.epoch) == (False, 1, True)
        assert await ada.say("c") == 2
    async with on_file(away) as server:
        ada = await server.enter("ada", token=ada.token)
        assert (await ada.join("lobby", after=2, epoch=room.epoch)).resumed, (
            "clients can still resume in the original"
        )


async def test_a_client_cannot_resume_in_an_import_but_its_refs_are_known(tmp_path: Path) -> None:
    first = tmp_path / "first"
    first.mkdir()
    epoch = await spoken(first, "a", "b")
    text = await trio.to_thread.run_sync(partial(text_of, first / NAME, with_refs=True))
    await trio.to_thread.run_sync(import_journal, tmp_path / NAME, BytesIO(text))
    async with on_file(tmp_path) as server:
        ada = await server.enter("ada", token="A" * 43)
        room = await ada.join("lobby", after=1, epoch=epoch)
        assert (room.resumed, room.first, room.head) == (False, 1, 2)
        ada.send(Say("lobby", "b", ref="b"))
        await ada.answer(Ack, ref="b", seq=2)
        assert await ada.say("c") == 3


async def test_a_client_that_resumes_after_a_prune_gets_a_gap(tmp_path: Path) -> None:
    epoch = await spoken(tmp_path, "a", "b", "c")
    await trio.to_thread.run_sync(prune, tmp_path / NAME, PruneRule(keep_entries=1))
    async with on_file(tmp_path) as server:
        bob = await server.enter("bob")
        room = await bob.join("lobby", after=0, epoch=epoch)
        assert (room.resumed, room.first, room.head) == (True, 3, 3)
        await bob.answer(Gap, after=0, next=3, kept=False)
        await bob.answer(Said, seq=3)
