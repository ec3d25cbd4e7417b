"""An ended session is freed at once: no reference cycle keeps its input until a garbage collection."""

import gc
import weakref
from collections.abc import Iterator

import pytest
import trio
from trio.testing import MockClock

from tests.server.harness import serving
from trio_chat.wire.messages import Hello


class Watched(bytearray):
    """Bytes with weak references, in which the server keeps a partly read frame."""


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[weakref.ref[Watched]]]:
    """Return weak references to the buffers of the server's frame readers."""
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
async def test_the_input_of_an_ended_session_is_freed(
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
        assert held, "the server has read something"
        assert not [each for each in held if each() is not None]
