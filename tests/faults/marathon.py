"""`python -m tests.faults.marathon`: kill a server repeatedly while its members talk.

Each kill is a SIGKILL at a random time; then the server starts again on the same port and file. The members
are simple programs: `connect`, `say`, and `async for`. They do not handle the kills: they must see one
stream, each entry once and in order, and each `say` must return its number.

The judge compares what they saw with what they sent. At the end the file is compared with both.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random

import click
import msgspec
import trio

from tests.faults.talker import Talker
from trio_chat.contract import Findings, Judge
from trio_chat.journal.sqlite import open_sqlite
from trio_chat.wire.codec import decode_entry

__all__ = ["Marathon", "differences", "run"]

ROOM = "square"
START_S = 20.0
STOP_S = 15.0
BACK_S = 150.0  # the back-off goes up to 30 s, and a second or two pass between two kills
END_S = 60.0
_MAIN = "from trio_chat.cli import main; main(prog_name='trio-chat')"


class Marathon(msgspec.Struct, frozen=True):
    """The result of a marathon."""

    breaches: list[str]
    said: int
    kept: int
    deliveries: int
    outages: int
    exit_status: int
    wrong: list[str]
    """The differences between the file and the sent texts, and the acks that never came."""


@asynccontextmanager
async def _server(port: int, journal: Path) -> AsyncGenerator[tuple[trio.Process, int]]:
    """Run `trio-chat serve`, and yield its process and port; kill it at the end of the block."""
    command = [
        *(sys.executable, "-P", "-c", _MAIN, "serve", "--host=127.0.0.1", f"--port={port}"),
        *(f"--journal={journal}", "--no-rate-limit"),
    ]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("TRIO_CHAT_")}
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, env=environment)
    try:
        assert process.stdout is not None
        said = b""
        with trio.fail_after(START_S):
            while b"\n" not in said:
                data = await process.stdout.receive_some()
                assert data, f"the server did not start: {said!r}"
                said += data
        yield process, int(said.partition(b"\n")[0].rpartition(b":")[2])
    finally:
        if process.returncode is None:
            process.kill()
        with trio.CancelScope(shield=True), trio.move_on_after(STOP_S):
            await process.wait()
        if process.stdout is not None:
            await trio.aclose_forcefully(process.stdout)


async def run(
    journal: Path,
    *,
    members: int,
    kills: int,
    random: Random,
    tell: Callable[[str], None] = lambda _: None,
) -> Marathon:
    """Run a marathon on a new journal. Ends within some minutes, or raises `trio.TooSlowError`."""
    judge = Judge()
    talkers = [Talker(judge, f"m{index}", Random(random.random())) for index in range(members)]
    port = 0
    status = -1
    async with trio.open_nursery() as nursery:
        for kill in range(kills + 1):
            async with _server(port, journal) as (process, port):
                if not kill:
                    for talker in talkers:
                        nursery.start_soon(talker.run, port, ROOM)
                began = trio.current_time()
                with trio.fail_after(BACK_S):
                    await _all_acked(talkers)
                tell(f"all {members} talk after {trio.current_time() - began:.1f} s")
                if kill < kills:
                    await trio.sleep(random.uniform(0.1, 1.0))
                    process.kill()
                    await process.wait()
                    said = sum(talker.acked for talker in talkers)
                    tell(f"killed, the {kill + 1}. time: {said} messages were acked by then")
                else:
                    with trio.move_on_after(END_S):
                        await _all_quiet(judge, talkers)
                    nursery.cancel_scope.cancel()
                    process.send_signal(signal.SIGTERM)
                    with trio.CancelScope(shield=True), trio.fail_after(STOP_S):
                        status = await process.wait()
    findings = _judged(judge, talkers)
    with trio.CancelScope(shield=True):
        kept = await _kept(journal)
    return Marathon(
        breaches=[each.words for each in findings.breaches],
        said=sum(talker.said for talker in talkers),
        kept=len(kept),
        deliveries=sum(talker.stay.verified for talker in talkers if talker.stay),
        outages=sum(talker.outages for talker in talkers),
        exit_status=status,
        wrong=differences(kept, talkers) + [word for talker in talkers for word in talker.waits_for()],
    )


async def _all_acked(talkers: list[Talker]) -> None:
    """Wait until every member has received another ack."""
    async with trio.open_nursery() as nursery:
        for talker in talkers:
            nursery.start_soon(talker.next_ack)


async def _all_quiet(judge: Judge, talkers: list[Talker]) -> None:
    """Wait until all members have stopped talking, and all have seen every entry."""
    for talker in talkers:
        talker.stop()
    for talker in talkers:
        await talker.stopped.wait()
    for talker in talkers:
        assert talker.stay is not None
        await talker.has_seen(judge.head(talker.stay.truth))


def _judged(judge: Judge, talkers: list[Talker]) -> Findings:
    for talker in talkers:
        assert talker.stay is not None
        talker.stay.owes(judge.head(talker.stay.truth))
    return judge.finish()


async def _kept(journal: Path) -> list[str]:
    """Return the texts in the file, in the order of their numbers, which start at 1."""
    store = await open_sqlite(journal)
    try:
        record = await store.open(ROOM, ROOM)
        texts: list[str] = []
        while len(texts) < record.head:
            page = await store.read(ROOM, len(texts), record.head, entries_max=5_000, bytes_max=1 << 20)
            assert page.payloads, f"there is a gap after {len(texts)}"
            for payload in page.payloads:
                entry = decode_entry(payload)
                assert entry.seq == len(texts) + 1, f"{entry.seq} stands behind {len(texts)}"
                texts.append(entry.text)
        return texts
    finally:
        await store.aclose()


def differences(kept: list[str], talkers: list[Talker]) -> list[str]:
    """Return the differences between the texts of a file and the sent and acknowledged texts."""
    wrong = []
    places: dict[str, int] = {}
    for place, text in enumerate(kept, 1):
        if text in places:
            wrong.append(f"{text!r} is there as {places[text]} and as {place}")
        places[text] = place
    for talker in talkers:
        for text, seq in talker.acks.items():
            if places.get(text) != seq:
                wrong.append(f"{text!r} was acked as {seq}, and is there as {places.get(text)}")
    said = sum(talker.said for talker in talkers)
    if len(places) > said:
        wrong.append(f"{len(places)} texts are there, and {said} were said")
    return wrong


@click.command(help=__doc__)
@click.option("--kills", default=10, show_default=True)
@click.option("--members", default=200, show_default=True)
@click.option("--seed", default=0, help="Seed of the times of the kills.")
def main(kills: int, members: int, seed: int) -> None:
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as away:
        story = partial(
            run,
            Path(away, "journal.db"),
            members=members,
            kills=kills,
            random=Random(seed),
            tell=lambda line: click.echo(f"{time.monotonic() - began:5.0f} s  {line}"),
        )
        result = trio.run(story)
    click.echo(
        f"{result.said:,} messages said, {result.kept:,} kept; {result.deliveries:,} deliveries verified,"
        f" through {result.outages:,} outages of members; the server's exit status {result.exit_status}"
    )
    wrong = result.breaches + result.wrong
    for line in wrong[:10]:
        click.echo(line)
    sys.exit(1 if wrong or result.exit_status else 0)


if __name__ == "__main__":
    main()
