"""The store by itself: what an entry costs it, beside a loop that only writes the same rows.

The loop is what a program would do that has nothing to decide: the batches are those that the store was
given, recorded, with the payloads that it made of them; each is one transaction, its entries, its refs and
its room's head by `executemany`. Log and durability are as the store has them. It looks for no ref that was
there before, numbers nothing, encodes nothing, and does not leave its thread.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import trio

from tests.bench.dialect import make_text
from tests.bench.plan import Figure, Plan, Stage
from trio_chat.journal.sqlite import open_sqlite
from trio_chat.journal.store import Draft

__all__ = ["LONG_ROOM", "draft", "measure_store"]

BATCH = 60  # what a hundred clients that wait for their acks make of it
LONG_ROOM = "long"
_SCHEMA = """
CREATE TABLE rooms (id INTEGER PRIMARY KEY, head INTEGER NOT NULL);
CREATE TABLE entries (room INTEGER NOT NULL, seq INTEGER NOT NULL, payload BLOB NOT NULL,
    PRIMARY KEY (room, seq)) WITHOUT ROWID;
CREATE TABLE refs (room INTEGER NOT NULL, key TEXT NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY (room, key)) WITHOUT ROWID;
INSERT INTO rooms VALUES (1, 0);
"""

Recorded = list[tuple[Draft, int, bytes]]


def measure_store(plan: Plan, stage: Stage) -> Iterator[Figure]:
    for repetition in range(plan.journal_repetitions):
        stage.say(f"journal: the store by itself, repetition {repetition + 1}")
        with tempfile.TemporaryDirectory() as away:
            recorded, store_us = trio.run(partial(_by_store, Path(away, "store.db"), plan.journal_batches))
            loop_us = _by_loop(Path(away, "loop.db"), recorded)
        yield {"what": "store", "store_us": store_us, "loop_us": loop_us}


def draft(number: int) -> Draft:
    """One of a hundred authors who take turns, as a server makes it."""
    ref = f"{number % 100:02x}{number:06x}"
    key = f"{number % 100:064x}{ref}"
    return Draft(LONG_ROOM, LONG_ROOM, f"u{number % 100}", make_text(ref[-8:]), ref, key)


async def _by_store(path: Path, batches: int) -> tuple[list[Recorded], float]:
    """What was committed, and the CPU of an entry, with the way to the writer's thread and back."""
    store = await open_sqlite(path)
    try:
        await store.open(LONG_ROOM, LONG_ROOM)
        drafts = [[draft(batch * BATCH + each) for each in range(BATCH)] for batch in range(batches)]
        recorded: list[Recorded] = []
        began = time.process_time()
        for batch in drafts:
            outcomes = await store.commit(batch, 1_700_000_000_000)
            recorded.append(
                [(one, out.seq, out.payload or b"") for one, out in zip(batch, outcomes, strict=True)]
            )
        return recorded, (time.process_time() - began) * 1e6 / (batches * BATCH)
    finally:
        await store.aclose()


def _by_loop(path: Path, recorded: list[Recorded]) -> float:
    db = sqlite3.connect(path, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.executescript(_SCHEMA)
        entries = sum(map(len, recorded))
        began = time.process_time()
        for batch in recorded:
            db.execute("BEGIN IMMEDIATE")
            db.executemany("INSERT INTO entries VALUES (1, ?, ?)", [(seq, data) for _, seq, data in batch])
            db.executemany("INSERT INTO refs VALUES (1, ?, ?)", [(one.key, seq) for one, seq, _ in batch])
            db.executemany("UPDATE rooms SET head = ? WHERE id = 1", [(batch[-1][1],)])
            db.execute("COMMIT")
        return (time.process_time() - began) * 1e6 / entries
    finally:
        db.close()
