"""An ended session is freed at once: no cycle keeps what it has read until the collector comes round."""

import gc
import weakref
from collections.abc import Iterator

import pytest
import trio
from trio.testing import MockClock

from tests.server.harness import serving
from trio_chat.wire.messages import Hello


class Watched(bytearray):
    """Bytes that can be watched; what the server has read of a frame is kept in one."""


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[weakref.ref[Watched]]]:
    """What the frame readers of the server hold, and held."""
    held: list[weakref.ref[Watched]] = []

    def watched(data: bytes) -> Watched:
        made = Watched(data)
        held.append(weakref.ref(made))
        return made

    monkeypatch.setattr("trio_chat.wire.framing.bytearray", watched, raising=False)
    gc.disable()
    yield held
    gc.enable()


HALF = b"\0\0\xff\xff" + b"x" * 30_000


@pytest.mark.parametrize("bad_messages", [0, 1, 9])
async def test_what_an_ended_session_has_read_is_freed(
    bad_messages: int, held: list[weakref.ref[Watched]], autojump_clock: MockClock
) -> None:
    async with serving() as harness:
        eve = harness.dial()
        eve.send(Hello(version=1, name="eve"))
        await trio.sleep(0.1)
        eve.send_bytes(eve.framed(*[b"{}"] * bad_messages) + HALF)
        await trio.sleep(0.1)
        eve.link.close()
        await trio.sleep(20)
        assert held, "something was read"
        assert not [each for each in held if each() is not None]
