"""`/healthz` of a server on a disk that fails and recovers while no message is sent."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from tests.faults.disks import SmallDisk, allow_writes, forbid_writes, small_disk
from tests.faults.served import JOURNAL, PATIENCE_S, Served, enter, refused, says, served

PROBES = 3  # seconds, which are as many probes
REQUEST = b"GET /healthz HTTP/1.0\r\n\r\n"


async def health(server: Served) -> int:
    """Return the status of `/healthz`, asked as a balancer does."""
    async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
        await stream.send_all(REQUEST)
        answer = b"".join([data async for data in stream])
    return int(answer.split()[1])


async def wait_until_healthy(server: Served) -> None:
    with trio.fail_after(PATIENCE_S):
        while await health(server) != 200:  # noqa: ASYNC110 - it is another process that gets on
            await trio.sleep(0.05)


async def is_refused(server: Served, length: int) -> None:
    """Send texts until the disk is full."""
    ada = await enter(server, "ada")
    number = 0
    while await says(ada, "x" * length, f"r{number}"):
        number += 1
        assert number < 2_000, "it is never full"
    ada.link.close()


@pytest.mark.parametrize("length", [10, 4_000])
async def test_health_recovers_when_a_full_disk_has_space_again(tmp_path: Path, length: int) -> None:
    with small_disk(tmp_path) as disk:
        async with served(disk.path, inside=disk.inside([])) as server:
            assert await health(server) == 200
            disk.fill(leaves=20_000)
            await is_refused(server, length)
            log = disk.seen / f"{JOURNAL}-wal"
            size = log.stat().st_size
            for _ in range(PROBES):
                assert await health(server) == 503
                await trio.sleep(1)
            assert await health(server) == 503, "while it is full"
            assert log.stat().st_size == size, "a probe leaves nothing"
            disk.free()
            await wait_until_healthy(server)
            assert await says(await enter(server, "bob"), "hello", "r1")


async def test_health_recovers_when_a_process_may_write_again(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        forbid_writes(server.process.pid)
        await is_refused(server, 10)
        assert await health(server) == 503
        allow_writes(server.process.pid)
        await wait_until_healthy(server)


def fill_inodes(disk: SmallDisk) -> list[Path]:
    """Create files until the disk has no inodes left."""
    made: list[Path] = []
    try:
        while True:
            path = disk.seen / f"file{len(made)}"
            path.touch()
            made.append(path)
    except OSError:
        return made


@pytest.mark.parametrize("before", [False, True], ids=["a new journal", "one that was there"])
async def test_a_disk_without_inodes_is_full(tmp_path: Path, before: bool) -> None:
    with small_disk(tmp_path, "2m,nr_inodes=20") as disk:
        inside = disk.inside([])
        if before:
            async with served(disk.path, inside=inside) as server:
                server.process.terminate()
                assert await server.process.wait() == 0
        made = fill_inodes(disk)
        said = await refused(disk.path, inside=inside, status=75)
        assert "No space left on device; free some space or some inodes there" in said
        for path in made[:5]:  # the four files of a journal, and a temporary file
            path.unlink()
        async with served(disk.path, inside=inside) as server:
            fill_inodes(disk)
            assert await says(await enter(server, "ada"), "no file is needed to say something", "r1") == 1
            assert await health(server) == 200
