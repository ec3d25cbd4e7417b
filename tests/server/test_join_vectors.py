"""The `joins` of docs/vectors.json against a real server: the events after each `join`, in a room as
described."""

import json
from pathlib import Path
from typing import Any

import pytest
from trio.testing import MockClock

from tests.server.harness import serving
from trio_chat.wire.codec import encode
from trio_chat.wire.messages import Gap, Said

PATH = Path(__file__).parents[2] / "docs" / "vectors.json"
JOINS: list[dict[str, Any]] = json.loads(PATH.read_text(encoding="utf-8"))["joins"]


@pytest.mark.parametrize("vector", [pytest.param(vector, id=vector["about"]) for vector in JOINS])
async def test_a_join_gives_the_described_events(vector: dict[str, Any], autojump_clock: MockClock) -> None:
    room = vector["room"]
    kept = max(room["head"] - room["first"] + 1, 1)
    async with serving(journal_room_entries=kept) as harness:
        teller = await harness.enter("teller")
        epoch = (await teller.join("lobby")).epoch
        for n in range(room["head"]):
            await teller.say(f"number {n}")
        join = dict(vector["join"])
        if join.get("epoch") == room["epoch"]:
            join["epoch"] = epoch
        peer = await harness.enter("ada")
        answer = await peer.join("lobby", **join)
        heard = await peer.receive_for()
        assert (answer.resumed, answer.epoch) == (vector["resumed"], epoch)
        assert (answer.first, answer.head) == (room["first"], room["head"])
        gaps = [json.loads(encode(event)) for event in heard if isinstance(event, Gap)]
        assert gaps == [{"type": "gap", "room": "lobby", **gap} for gap in vector["gaps"]]
        assert [event.seq for event in heard if isinstance(event, Said)] == vector["entries"]
        assert heard[: len(gaps)] == [event for event in heard if isinstance(event, Gap)], (
            "gaps precede entries"
        )
