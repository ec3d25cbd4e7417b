"""An older copy replaces the journal, and clients that saw more reconnect (row 30 of the table of faults).

The newest entries they saw are not in the copy, and their numbers will be assigned again. So they must not
resume.
"""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from tests.faults.served import JOURNAL, PATIENCE_S, Served, enter, says, served, shown
from tests.server.harness import RawClient
from tests.server.test_faults_sockets import MAIN
from trio_chat.client import Disconnected, Reconnected, connect
from trio_chat.wire.messages import Room, Said

MARK = f"{JOURNAL}-mark"
BEFORE, MORE, SINCE = 3, 4, 2  # said before the copy, after it, and after it was put back


async def copied_while_stopped(directory: Path) -> None:
    """Copy the files after the server has ended."""
    for name in (JOURNAL, MARK):
        shutil.copy(directory / name, directory / f"copy of {name}")


async def backed_up(directory: Path) -> None:
    """Copy the journal with `trio-chat journal backup`, beside the server."""
    command = [
        "journal",
        "backup",
        "--journal",
        str(directory / JOURNAL),
        str(directory / f"copy of {JOURNAL}"),
    ]
    await trio.run_process([sys.executable, "-c", MAIN, *command], capture_stdout=True)


def moved_into_place(directory: Path) -> None:
    os.replace(directory / f"copy of {JOURNAL}", directory / JOURNAL)


def moved_into_place_without_a_marker(directory: Path) -> None:
    moved_into_place(directory)
    os.unlink(directory / MARK)


def moved_into_place_with_its_marker(directory: Path) -> None:
    moved_into_place(directory)
    os.replace(directory / f"copy of {MARK}", directory / MARK)


def written_over_the_file(directory: Path) -> None:
    """Overwrite the file as `cp` does: the inode stays."""
    (directory / JOURNAL).write_bytes((directory / f"copy of {JOURNAL}").read_bytes())


Restore = Callable[[Path], None]


@pytest.mark.parametrize(
    ("online", "restore"),
    [
        (False, moved_into_place_with_its_marker),
        (False, written_over_the_file),
        (True, moved_into_place),
        (True, moved_into_place_without_a_marker),
    ],
    ids=lambda value: value.__name__ if callable(value) else "backup" if value else "copy",
)
async def test_a_client_that_saw_more_than_the_restored_copy_is_not_resumed(
    tmp_path: Path, online: bool, restore: Restore
) -> None:
    async with served(tmp_path) as server:
        bob = await enter(server, "bob")
        epoch, token, port = await _talk(server, "before", BEFORE), bob.token, server.port
        if online:
            await backed_up(tmp_path)
        else:
            await _stop(server)
    if not online:
        await copied_while_stopped(tmp_path)
    seen: dict[tuple[str, int], str] = {}
    async with served(tmp_path, port=port) as server:
        bob = await _comes_back(server, token, seen, after=BEFORE, epoch=epoch, resumed=True)
        assert await _talk(server, "more", MORE) == epoch
        await _sees(bob, seen, epoch, BEFORE + MORE)
        await _stop(server)
    restore(tmp_path)
    async with served(tmp_path, port=port) as server:
        bob = await _comes_back(server, token, seen, after=BEFORE + MORE, epoch=epoch, resumed=False)
        new = await _talk(server, "since", SINCE)
        assert new != epoch
        await _sees(bob, seen, new, BEFORE + SINCE)
        await server.kill()
    async with served(tmp_path, port=port) as server:
        await _comes_back(server, token, seen, after=BEFORE + SINCE, epoch=new, resumed=True)
        # A client that saw only entries of the copy is not resumed either: the server cannot know that.
        await _comes_back(server, "", seen, name="eve", after=BEFORE, epoch=epoch, resumed=False)
    assert len(seen) == BEFORE + MORE + SINCE
    assert seen[epoch, BEFORE + 1] != seen[new, BEFORE + 1]


async def test_a_reconnecting_program_learns_of_the_other_history(tmp_path: Path) -> None:
    told: list[str] = []
    heard: list[Said] = []
    async with served(tmp_path) as server:
        await _talk(server, "before", BEFORE)
        await _stop(server)
        port = server.port
    await copied_while_stopped(tmp_path)
    async with served(tmp_path, port=port) as server:
        with trio.fail_after(PATIENCE_S):
            # With this `random` it reconnects at once, and tries before the server runs again.
            async with connect("127.0.0.1", port, name="bob", random=lambda: 0.02) as chat:
                epoch = (await chat.join("lobby", recent=200)).epoch
                await _talk(server, "more", MORE)
                while len(heard) < BEFORE + MORE:
                    if isinstance(event := await anext(chat), Said):
                        heard.append(event)
                await server.kill()
                for name in (f"{JOURNAL}-wal", f"{JOURNAL}-shm"):
                    os.unlink(tmp_path / name)
                moved_into_place(tmp_path)
                async with served(tmp_path, port=port) as restored:
                    heard.clear()

                    async def listen(until: Callable[[], bool]) -> None:
                        while not until():
                            match await anext(chat):
                                case Said() as entry:
                                    heard.append(entry)
                                case Room() as room:
                                    told.append("room")
                                    assert not heard, "before any of its entries"
                                    assert not room.resumed and room.epoch != epoch and room.head == BEFORE
                                case Disconnected() | Reconnected() as event:
                                    told.append(type(event).__name__.lower())

                    await listen(lambda: {"room", "reconnected"} <= set(told))
                    await _talk(restored, "since", SINCE)
                    assert await chat.say("lobby", "and I am here") == BEFORE + SINCE + 1
                    await listen(lambda: bool(heard) and heard[-1].text == "and I am here")
    assert told[0] == "disconnected" and sorted(told[1:]) == ["reconnected", "room"]
    texts = [*(f"before {n}" for n in range(BEFORE)), *(f"since {n}" for n in range(SINCE)), "and I am here"]
    assert [(entry.seq, entry.text) for entry in heard] == list(enumerate(texts, 1))


async def _talk(server: Served, what: str, times: int) -> str:
    """Let ada send this many texts; return the room's epoch."""
    ada = server.dial()
    await ada.hello("ada", f"{what}-and-a-token-of-ada-s-own")
    room = await ada.join("lobby")
    for number in range(times):
        assert await says(ada, f"{what} {number}", f"{what}.{number}") == room.head + 1 + number
    ada.link.close()
    return room.epoch


async def _stop(server: Served) -> None:
    server.process.terminate()
    assert await server.process.wait() == 0


async def _comes_back(
    server: Served,
    token: str,
    seen: dict[tuple[str, int], str],
    *,
    name: str = "bob",
    after: int,
    epoch: str,
    resumed: bool,
) -> RawClient:
    """Rejoin as bob, or another, with a cursor; read the whole room if it is not resumed."""
    bob = server.dial()
    await bob.hello(name, token)
    room = await bob.join("lobby", after=after, epoch=epoch, recent=200)
    assert (room.resumed, room.epoch == epoch) == (resumed, resumed)
    await _sees(bob, seen, room.epoch, 0 if resumed else room.head)
    return bob


async def _sees(peer: RawClient, seen: dict[tuple[str, int], str], epoch: str, head: int) -> None:
    """Read up to `head`. Within an epoch a number always has the same text."""
    while head and (not peer.seqs() or peer.seqs()[-1] < head):
        await peer.next()
    for seq, text in shown(peer).items():
        assert seen.setdefault((epoch, seq), text) == text
