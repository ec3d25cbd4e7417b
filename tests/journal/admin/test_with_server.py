"""What clients see of what the owner did, by a server on the file."""

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
    """The epoch of the lobby, in which ada has said these, each with itself as its `ref`."""
    async with on_file(directory) as house:
        ada = await house.enter("ada", token="A" * 43)
        room = await ada.join("lobby")
        for text in texts:
            ada.send(Say("lobby", text, ref=text))
            await ada.answer(Ack, ref=text)
        return room.epoch


def restored(path: Path, copy: Path, away: Path) -> None:
    """As docs/operations.md says: all that lies there goes, and the copy comes in its place."""
    away.mkdir()
    for each in path.parent.glob(f"{path.name}*"):
        each.rename(away / each.name)
    shutil.copy(copy, path)


async def test_who_comes_back_to_a_restored_copy_is_not_resumed(tmp_path: Path) -> None:
    """The copy was made while the server ran, and more was said: under numbers that will be given again."""
    path, copy, away = tmp_path / NAME, tmp_path / "copy.db", tmp_path / "away"
    async with on_file(tmp_path) as house:
        ada = await house.enter("ada")
        room = await ada.join("lobby")
        await ada.say("a")
        await trio.to_thread.run_sync(backup, path, copy)
        assert await ada.say("b") == 2
    restored(path, copy, away)
    async with on_file(tmp_path) as house:
        ada = await house.enter("ada", token=ada.token)
        again = await ada.join("lobby", after=2, epoch=room.epoch)
        assert (again.resumed, again.head, again.epoch != room.epoch) == (False, 1, True)
        assert await ada.say("c") == 2
    async with on_file(away) as house:
        ada = await house.enter("ada", token=ada.token)
        assert (await ada.join("lobby", after=2, epoch=room.epoch)).resumed, "and the original is what it was"


async def test_who_comes_back_to_what_was_imported_is_not_resumed_but_known(tmp_path: Path) -> None:
    first = tmp_path / "first"
    first.mkdir()
    epoch = await spoken(first, "a", "b")
    text = await trio.to_thread.run_sync(partial(text_of, first / NAME, with_refs=True))
    await trio.to_thread.run_sync(import_journal, tmp_path / NAME, BytesIO(text))
    async with on_file(tmp_path) as house:
        ada = await house.enter("ada", token="A" * 43)
        room = await ada.join("lobby", after=1, epoch=epoch)
        assert (room.resumed, room.first, room.head) == (False, 1, 2)
        ada.send(Say("lobby", "b", ref="b"))
        await ada.answer(Ack, ref="b", seq=2)
        assert await ada.say("c") == 3


async def test_who_comes_back_after_a_prune_is_resumed_and_told_of_the_gap(tmp_path: Path) -> None:
    epoch = await spoken(tmp_path, "a", "b", "c")
    await trio.to_thread.run_sync(prune, tmp_path / NAME, PruneRule(keep_entries=1))
    async with on_file(tmp_path) as house:
        bob = await house.enter("bob")
        room = await bob.join("lobby", after=0, epoch=epoch)
        assert (room.resumed, room.first, room.head) == (True, 3, 3)
        await bob.answer(Gap, after=0, next=3, kept=False)
        await bob.answer(Said, seq=3)
