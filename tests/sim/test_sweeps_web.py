"""A browser's visit, ended at each checkpoint of the server's task: row 34, over HTTP and WebSocket."""

from contextlib import suppress

import pytest
import trio

from tests.dialects.test_websocket import frame
from tests.server.web import CHROME, get
from tests.sim.house import open_house
from trio_chat.errors import LinkBroken
from trio_chat.testing import InjectedError, Simulation, sweep
from trio_chat.testing.chat.bugs import logged_bugs
from trio_chat.testing.pipe import PipeLink, link_pair
from trio_chat.wire.codec import encode
from trio_chat.wire.messages import Hello, Join, Leave, Say

DAY = (
    get("/healthz"),
    get("/nothing"),
    CHROME,
    frame(encode(Hello(version=1, name="eve"))) + frame(b"p", first=0x89),
    frame(encode(Join("lobby"))) + frame(encode(Say("lobby", "hi", ref="r")))[:9],
    frame(encode(Say("lobby", "hi", ref="r")))[9:],
    frame(encode(Leave("lobby", "l"))),
    frame(b"\x03\xe8", first=0x88),
)


async def a_visit(sim: Simulation) -> None:
    with logged_bugs() as bugs:
        async with open_house(sim) as house:
            zoe = await house.observer()
            here, there = link_pair(500)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_browse, here)
                nursery.start_soon(_read, here)
                with sim.victim():
                    try:
                        await house.server.serve_link(there)
                    except InjectedError as error:
                        raise AssertionError("a bug would have ended the server") from error
                assert there.is_closed
                assert house.is_known("eve") == []
                assert house.server.sessions == house.server.connections == 1, "zoe's"
                changes = [change[0] for change in await zoe.presence_changes()]
                assert changes == ["+", "-"] * (len(changes) // 2), "one going for each coming"
                here.close()
                nursery.cancel_scope.cancel()
    assert len(bugs) <= 1, "a bug is logged once"


async def _browse(link: PipeLink) -> None:
    with suppress(LinkBroken, trio.ClosedResourceError):
        for data in DAY:
            sent = 0
            while sent < len(data):
                sent += link.send_nowait(data[sent:])
                await link.wait_writable()
            await trio.sleep(1)


async def _read(link: PipeLink) -> None:
    with suppress(LinkBroken, trio.ClosedResourceError):
        while await link.receive_some():  # noqa: ASYNC110 - slowly, so that answers wait
            await trio.sleep(0.1)


@pytest.mark.parametrize("error", [None, InjectedError], ids=["cancelled", "failing"])
def test_a_browsers_visit_ended_at_each_checkpoint(error: type[InjectedError] | None) -> None:
    assert sweep(a_visit, error=error).checkpoints > 10
