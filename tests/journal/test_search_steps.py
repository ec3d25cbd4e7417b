"""The steps of a search are short, searches take turns, and an abandoned search stops."""

import threading
from collections.abc import Callable
from itertools import count, pairwise
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.journal.test_memory import draft, said
from trio_chat.journal import fold, search
from trio_chat.journal.memory import MemoryStore
from trio_chat.journal.search import (
    PAUSE_RATIO,
    STEP_BYTES,
    STEP_S,
    THREAD_PAUSE_RATIO,
    Query,
    SearchPace,
    SegmentLines,
    Steps,
    fold_in_steps,
)
from trio_chat.journal.sqlite import open_sqlite
from trio_chat.journal.store import Matches, Position
from trio_chat.wire.codec import encode
from trio_chat.wire.messages import Said

MARKS = "\u0301\u0316" * 1_024  # 4 KiB, the costliest to fold
EXPANDING = "\ufdfa" * 1_365  # each becomes 18 characters
COSTLY = [MARKS, EXPANDING, "猫" * 1_365, "a" * 4_096, "É\u0316" * 1_000]


class StepClock:
    """A clock that advances by a tenth of a turn with each call."""

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self) -> float:
        self.looks += 1
        return self.looks * STEP_S / 10


def payloads(texts: list[str]) -> list[bytes]:
    return [encode(Said("Lobby", seq, 5, "ada", text)) for seq, text in enumerate(texts, 1)]


def kept_folds(texts: list[str]) -> dict[int, str | None]:
    return {seq: fold.fold_text(text) for seq, text in enumerate(texts, 1) if not text.isascii()}


@pytest.mark.parametrize("text", COSTLY, ids=["marks", "expanding", "chinese", "ascii", "mixed"])
@pytest.mark.parametrize("folded_before", [True, False], ids=["in memory", "in a file"])
def test_no_step_compares_or_folds_much(
    text: str, folded_before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Count the work of each step, for a hundred entries of the largest size."""
    texts = [text] * 100
    lines = SegmentLines(1, payloads(texts), kept_folds(texts) if folded_before else None)
    done = 0

    def counting(piece: str) -> str:
        nonlocal done
        made = folded(piece)
        done += len(made)
        return made

    folded = fold._folded
    monkeypatch.setattr(fold, "_folded", counting)
    most = steps = 0
    looking = Query("zq").hits("lobby", lines)
    while True:
        done = 0
        try:
            next(looking)
        except StopIteration as stop:
            assert stop.value == []
            break
        most = max(most, done)
        steps += 1
    assert most <= 20 * (fold.PIECE_CHARS + fold.NON_STARTERS_MAX)
    assert steps >= sum(map(len, lines.payloads)) // (2 * STEP_BYTES)
    if folded_before:
        assert most == 0, "nothing is folded again"


def test_a_query_is_folded_in_steps() -> None:
    for text in COSTLY:
        steps = fold_in_steps(text)
        taken = 0
        while True:
            try:
                next(steps)
            except StopIteration as stop:
                assert stop.value == fold.fold_text(text)
                break
            taken += 1
        assert taken >= (0 if text.isascii() else 4)
        assert len(Query(text).trigrams) <= search.TRIGRAMS_MAX


def test_a_turn_ends_by_the_clock_and_is_followed_by_a_pause() -> None:
    def many() -> Steps[str]:
        for _ in range(35):
            yield
        return "done"

    pace = SearchPace(StepClock())
    steps = many()
    turns = 0
    while (found := pace.take(steps)) is None:
        turns += 1
        assert pace.pause_s == pytest.approx(PAUSE_RATIO * STEP_S)
    assert (found, turns) == ("done", 3)
    assert pace.worked == pytest.approx(36 * STEP_S / 10)


def test_the_time_of_a_slice_begins_after_its_setup() -> None:
    pace = SearchPace(StepClock())
    for _ in range(2):
        pace.begin_slice()
        pace.worked += 1
        assert not pace.slice_is_over()
        pace.worked += search.SLICE_S * 0.9
        assert not pace.slice_is_over()
        pace.worked += search.SLICE_S * 0.2
        assert pace.slice_is_over()


async def filled(store: MemoryStore, entries: int = 3_000) -> MemoryStore:
    await store.open("lobby", "Lobby")
    for _ in range(0, entries, 100):
        await store.commit([draft("x" * 1_000) for _ in range(100)], 5)
    return store


async def test_other_tasks_run_between_the_steps_of_a_search(autojump_clock: MockClock) -> None:
    """The pause also has the right length by Trio's clock."""
    store = await filled(MemoryStore(clock=(clock := StepClock())))
    passes = 0

    async def others() -> None:
        nonlocal passes
        while True:
            await trio.lowlevel.checkpoint()
            await trio.sleep(STEP_S / 5)
            passes += 1

    begun = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(others)
        before = clock.looks
        found = await store.search({"lobby": 2**53}, "needle", None, 10)
        nursery.cancel_scope.cancel()
    assert found == Matches([], None)
    turns = (clock.looks - before) // 11
    assert turns >= 20
    assert passes >= turns - 2
    assert trio.current_time() - begun >= (turns - 2) * PAUSE_RATIO * STEP_S


async def test_a_short_search_does_not_wait_for_a_long_search(
    autojump_clock: MockClock,
) -> None:
    store = await filled(MemoryStore(clock=StepClock()))
    await store.open("attic", "Attic")
    await said(store, "a needle", room="attic")
    ended: list[str] = []

    async def look(name: str, room: str) -> None:
        await store.search({room: 2**53}, "needle", None, 10)
        ended.append(name)

    async with trio.open_nursery() as nursery:
        for n in range(5):
            nursery.start_soon(look, f"long {n}", "lobby")
        await wait_all_tasks_blocked()
        nursery.start_soon(look, "short", "attic")
    assert ended[0] == "short"
    assert len(ended) == 6


async def test_at_most_one_search_of_all_takes_steps(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five searches together use no more time than a single search."""
    store = await filled(MemoryStore(clock=StepClock()), 500)
    turns: list[float] = []
    take = SearchPace.take

    def noting(self: SearchPace, steps: Steps[object]) -> object:
        turns.append(trio.current_time())
        return take(self, steps)

    monkeypatch.setattr(SearchPace, "take", noting)
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(store.search, {"lobby": 2**53}, "needle", None, 10)
    long_turns = [after - before for before, after in pairwise(turns)]
    assert len(turns) > 20
    assert all(each > 0 for each in long_turns), "there is a pause between any two turns"


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_an_abandoned_search_stops(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = count()
    store = MemoryStore(clock=StepClock()) if kind == "memory" else await open_sqlite(tmp_path / "j.db")
    monkeypatch.setattr(search, "STEP_S", 1e-12)  # one step a turn
    await store.open("lobby", "Lobby")
    for n in range(20):
        await store.commit([draft("a needle" + "x" * 1_000) for _ in range(100)], n)
    looks = await store.search({"lobby": 2**53}, "zq", None, 10, is_abandoned=lambda: next(asked) >= 5)
    assert looks == Matches([], None)
    assert next(asked) in range(6, 8), "it is polled no more"
    await store.aclose()


async def test_a_page_ends_when_it_has_taken_too_much_work(autojump_clock: MockClock) -> None:
    """Entries that are costly to fold count like others, so only the time limit stops the scan."""
    store = await filled(MemoryStore(clock=StepClock()))
    seen: list[Position] = []
    below: Position | None = None
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(search, "PAGE_S", 3 * STEP_S)
        while True:
            found = await store.search({"lobby": 2**53}, "zq", below, 10)
            if found.rest is None:
                break
            assert below is None or found.rest.order > below.order, "it makes progress"
            seen.append(below := found.rest)
    assert len(seen) > 3


async def test_a_search_is_right_while_entries_are_evicted(autojump_clock: MockClock) -> None:
    """It finds the kept entries in order, each once, and no entry that was added later."""
    store = MemoryStore(room_entries_max=500, clock=StepClock())
    await store.open("lobby", "Lobby")
    for n in range(500):
        await said(store, "éa needle" if n % 2 else "a needle", now_ms=n)
    pages: list[Matches] = []

    async def look() -> None:
        pages.append(await store.search({"lobby": 500}, "needle", None, 1_000))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(look)
        for n in range(300):
            await trio.sleep(STEP_S)
            await said(store, "É a needle", now_ms=500 + n)
    (page,) = pages
    seqs = [hit.position.seq for hit in page.hits]
    assert seqs == list(range(500, 500 - len(seqs), -1))
    assert len(seqs) >= 200


async def test_other_tasks_run_while_a_batch_is_folded(autojump_clock: MockClock) -> None:
    """All texts of the batch are costly: a millisecond each, for 64 texts."""
    store = MemoryStore(clock=StepClock())
    await store.open("lobby", "Lobby")
    passes = 0

    async def others() -> None:
        nonlocal passes
        while True:
            await trio.lowlevel.checkpoint()
            passes += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(others)
        await store.commit([draft(f"{n} {MARKS[:1900]}") for n in range(64)], 5)
        nursery.cancel_scope.cancel()
    assert passes > 20
    assert len(store._rooms["lobby"].entries) == len(store._rooms["lobby"].folds) == 64


async def test_a_batch_that_is_cancelled_while_it_is_folded_is_not_kept(autojump_clock: MockClock) -> None:
    store = MemoryStore(clock=StepClock())
    await store.open("lobby", "Lobby")
    with trio.CancelScope() as scope:
        scope.cancel()
        await store.commit([draft("a"), *(draft(MARKS) for _ in range(9)), draft(EXPANDING)], 5)
    assert scope.cancelled_caught
    assert store._bytes == 0 and not store._filled


async def test_a_text_that_is_its_own_folded_form_is_kept_once() -> None:
    store = MemoryStore()
    await store.open("lobby", "Lobby")
    await said(store, "plain", "猫", "É", "é")
    assert store._rooms["lobby"].folds == {2: None, 3: "é", 4: None}
    for text, seqs in (("猫", [2]), ("É", [4, 3]), ("AIN", [1])):
        found = await store.search({"lobby": 2**53}, text, None, 10)
        assert [hit.position.seq for hit in found.hits] == seqs


async def test_a_searching_thread_pauses_between_its_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds the interpreter, which the event loop needs after each of its system calls."""
    store = await open_sqlite(tmp_path / "j.db")
    await filled(store, 2_000)  # type: ignore[arg-type]  # any store
    pauses: list[float] = []
    threads: set[int] = set()

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        threads.add(threading.get_ident())

    clock: Callable[[], float] = StepClock()
    monkeypatch.setattr(store._readers, "_sleep", sleep)
    monkeypatch.setattr(store, "_clock", clock)
    assert await store.search({"lobby": 2**53}, "needle", None, 10) == Matches([], None)
    assert len(pauses) > 10
    assert min(pauses) >= THREAD_PAUSE_RATIO * STEP_S * 0.99
    assert threading.get_ident() not in threads
    await store.aclose()
