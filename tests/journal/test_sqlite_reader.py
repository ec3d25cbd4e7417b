"""The cost of a page: reads wait for each other, so a slow page delays other sessions."""

from pathlib import Path

from tests.journal.test_memory import draft
from tests.journal.test_sqlite import opened
from trio_chat.journal.store import Draft, EntryPage

BATCHES = 3_000


async def test_the_first_page_of_a_long_room_costs_no_more_than_its_last(tmp_path: Path) -> None:
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    async with opened(tmp_path) as store:
        drafts: list[Draft] = [draft("x")]
        for _ in range(BATCHES):
            await store.commit(drafts, 0)
        (db,) = store._readers._idle
        db.set_progress_handler(step, 1)

        async def cost(after: int) -> int:
            nonlocal steps
            before = steps
            page: EntryPage = await store.read("lobby", after, after + 5, entries_max=100, bytes_max=1 << 20)
            assert page.last == after + 5
            return steps - before

        last, first = await cost(BATCHES - 5), await cost(0)
        assert 0 < first <= 2 * last
