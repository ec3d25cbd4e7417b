"""A program receives one complete stream over any faults, and each of its messages is committed once."""

import pytest

from tests.client.faulty_chat import NAMES, ROOMS, SAYS, FaultyChat, talk
from trio_chat.testing import Simulation, simulate
from trio_chat.wire.messages import Gap, Room, Said

ALL = {f"{name} says {n} in {room}" for name in NAMES for room in ROOMS for n in range(SAYS)}
FIRST = {f"{name} begins in {room}" for name in NAMES for room in ROOMS}
LAST = {f"{name} is done in {room}" for name in NAMES for room in ROOMS}


def histories(result: FaultyChat, name: str, room: str) -> list[list[Said]]:
    """Return the entries that a program received of a room, by history; check that each is complete."""
    found: list[list[Said]] = [[]]
    at: int | None = 0
    for event in result.heard[name]:
        match event:
            case Room() if event.room == room:
                assert event.ref == "" and not (event.resumed and at), (
                    "only a room resumed from 0 may change its epoch"
                )
                found.append([])
                at = 0 if event.resumed else None
            case Said() if event.room == room:
                assert at is None or event.seq == at + 1, event
                found[-1].append(event)
                at = event.seq
            case Gap() if event.room == room:
                at = honest(event, at, result.forgets)
            case _:
                pass
    return found


def honest(gap: Gap, at: int | None, forgets: bool) -> int:
    assert forgets and not gap.kept, "a journal that keeps all entries must not cause a gap"
    assert at is None or gap.after == at
    return gap.next - 1


def in_order(texts: list[str]) -> bool:
    """Return whether the messages of each author are in the order in which they were said."""
    for name in NAMES:
        numbers = [int(text.split()[2]) for text in texts if text.startswith(f"{name} says")]
        if numbers != sorted(set(numbers)):
            return False
    return True


@pytest.mark.seeds(25)
def test_every_message_is_received_once_in_order_and_committed_once(seed: int) -> None:
    result = simulate(seed, talk).value
    assert result.outages
    assert set(result.numbers) == FIRST | ALL | LAST
    for name in NAMES:
        for room in ROOMS:
            (entries,) = histories(result, name, room)
            texts = [entry.text for entry in entries]
            assert set(texts) == {text for text in FIRST | ALL | LAST if text.endswith(room)}
            assert len(texts) == len(set(texts))
            assert in_order(texts)
            assert {entry.text: entry.seq for entry in entries}.items() <= result.numbers.items()


async def forgetful(sim: Simulation) -> FaultyChat:
    return await talk(sim, forgets=True)


@pytest.mark.seeds(25)
def test_each_history_is_complete_and_in_order_when_the_journal_is_lost(seed: int) -> None:
    result = simulate(seed, forgetful).value
    assert set(result.numbers) == FIRST | ALL | LAST, "every message must be acknowledged"
    for name in NAMES:
        for room in ROOMS:
            several = histories(result, name, room)
            for entries in several:
                texts = [entry.text for entry in entries]
                assert len(texts) == len(set(texts))
                assert in_order(texts)
            assert {text for text in LAST if text.endswith(room)} <= {entry.text for entry in several[-1]}
