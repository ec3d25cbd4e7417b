"""Make `version-N.db`, a journal of the newest version: `python -m tests.journal.stored.make`.

Once a version has been released its file stays as it is: that is its point.
"""

import sys
from pathlib import Path

import trio

from trio_chat.journal.sqlite import open_sqlite
from trio_chat.journal.sqlite_file import VERSION
from trio_chat.journal.store import Draft


async def make(path: Path) -> None:
    """A lobby in which four things were said, an attic with one, and a cellar with so many that most of them
    are in the index."""
    store = await open_sqlite(path, boot_id=lambda: "a boot")
    await store.open("lobby", "Lobby")
    await store.open("attic", "Attic")
    await store.commit(
        [
            Draft("lobby", "Lobby", "ada", "hello", "r1", "ada r1"),
            Draft("lobby", "Lobby", "ada", "waves", action=True),
            Draft("attic", "Attic", "ada", "dusty", "r1", "ada r1"),
            Draft("lobby", "Lobby", "bob", "a topic", is_topic=True),
        ],
        1_700_000_000_000,
    )
    await store.commit([Draft("lobby", "Lobby", "bob", "again", "r1", "bob r1")], 1_700_000_001_000)
    await store.open("cellar", "Cellar")
    for start in range(0, 200, 50):
        drafts = [Draft("cellar", "Cellar", "eve", f"a wave, the {n}th") for n in range(start, start + 50)]
        await store.commit(drafts, 1_700_000_002_000 + start)
    while await store.tidy(1_700_000_003_000):
        pass
    await store.aclose()


async def make_long_runs(path: Path) -> None:
    """Make `long-runs.db`, as the last server did that indexed long runs of marks without cutting them: a
    lobby with two chunks in the index, each with such runs, and an entry that is not in it."""
    store = await open_sqlite(path, boot_id=lambda: "a boot")
    await store.open("lobby", "Lobby")
    await store.tidy(1_700_000_000_000)
    for n in range(24):
        text = f"entry {n} a" + "\u0301\u0316\u0334" * (40 + n) + " and then some words" * 40
        await store.commit([Draft("lobby", "Lobby", "eve", text)], 1_700_000_000_000 + n)
        if n in (11, 23):
            while await store.tidy(1_700_000_003_000):
                pass
    await store.commit([Draft("lobby", "Lobby", "eve", "the newest")], 1_700_000_000_100)
    await store.aclose()


if __name__ == "__main__":
    made = Path(__file__).with_name(f"version-{VERSION}.db")
    if made.exists():
        sys.exit(f"{made} is there already")
    trio.run(make, made)
    Path(f"{made}-mark").unlink()  # of the machine it was made on
