"""A session over WebSocket: the rules of its frames, its goodbyes, its pulse."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, TextMessage
from wsproto.events import Ping as WsPing
from wsproto.events import Pong as WsPong

from tests.dialects.test_websocket import frame
from tests.server.harness import Observer, ServerHarness, serving, serving_observed
from tests.server.web import CHROME, Browser, get
from trio_chat.errors import LinkBroken
from trio_chat.testing.pipe import PipeLink
from trio_chat.wire.codec import decode_event, encode
from trio_chat.wire.messages import (
    Ack,
    Bye,
    Command,
    Error,
    Event,
    Hello,
    Join,
    Ping,
    Pong,
    Said,
    Say,
    Welcome,
)


class Page:
    """A browser's WebSocket: it does nothing unasked, not even what browsers do by themselves."""

    def __init__(self, browser: Browser) -> None:
        self.link = browser.link
        self.events: list[Event] = []
        self.pings = 0
        self.pongs: list[bytes] = []
        self.close: tuple[int, str | None] | None = None
        self._wire = Connection(ConnectionType.CLIENT)
        self._text = ""

    def send(self, data: bytes) -> None:
        assert self.link.send_nowait(data) == len(data)

    def say(self, *commands: Command) -> None:
        self.send(frame(b"\n".join(map(encode, commands))))

    async def hear(self, seconds: float = 1.0) -> list[Event]:
        """All that comes within so many seconds, or until the server has closed."""
        heard = len(self.events)
        with trio.move_on_after(seconds):
            while data := await self.link.receive_some():
                assert self.close is None, "nothing comes behind a close frame"
                self._wire.receive_data(data)
                for event in self._wire.events():
                    self._take(event)
        return self.events[heard:]

    def _take(self, event: object) -> None:
        match event:
            case TextMessage():
                self._text += event.data
                if event.message_finished:
                    told = map(decode_event, self._text.encode().split(b"\n"))
                    self.events += [each for each in told if each is not None]
                    self._text = ""
            case CloseConnection():
                self.close = event.code, event.reason
            case WsPing():
                self.pings += 1
            case WsPong():
                self.pongs.append(bytes(event.payload))
            case _:
                raise AssertionError(event)


async def upgraded(house: ServerHarness) -> Page:
    browser = Browser(house)
    assert (await browser.ask(CHROME))[0] == 101
    return Page(browser)


@asynccontextmanager
async def beside_a_page(
    *changes: str, answers_bytes: int = 256 << 10
) -> AsyncGenerator[tuple[ServerHarness, Observer, Page]]:
    """The story of a page called eve, in the lobby; zoe notices what befalls it, and nothing else."""
    async with serving(answers_bytes=answers_bytes) as house:
        zoe = await house.observer()
        page = await upgraded(house)
        page.say(Hello(version=1, name="eve"), Join("lobby"))
        await page.hear()
        assert isinstance(page.events[0], Welcome)
        assert await zoe.presence_changes() == ["+eve"]
        yield house, zoe, page
        assert await zoe.presence_changes() == list(changes)


async def test_a_page_talks_with_who_speaks_frames(autojump_clock: MockClock) -> None:
    async with beside_a_page() as (_, zoe, page):
        page.say(Say("lobby", "from a browser", ref="r"))
        await zoe.answer(Said, by="eve", text="from a browser")
        await zoe.say("from a terminal")
        heard = [event for event in await page.hear() if isinstance(event, Said | Ack)]
        texts = [getattr(event, "text", "acked") for event in heard]
        assert texts[-3:] == ["acked", "from a browser", "from a terminal"]


async def test_newlines_around_messages_never_end_a_client(autojump_clock: MockClock) -> None:
    """Ten bad messages within a minute would."""
    async with beside_a_page() as (_, _, page):
        for _ in range(30):
            page.send(frame(b"\r\n" + encode(Ping(n=1)) + b"\n"))
            page.send(frame(b"\n") + frame(b""))
        heard = await page.hear()
        assert [event for event in heard if isinstance(event, Pong | Error)] == [Pong(1)] * 30


async def test_empty_messages_keep_a_client_alive(autojump_clock: MockClock) -> None:
    async with beside_a_page() as (_, zoe, page):
        for message in (b"", b"\n", b"", b"\r\n"):
            page.send(frame(message))
            await _pinging(zoe, page, 50)
        page.say(Ping(n=1))
        assert Pong(1) in await page.hear()


async def test_a_page_and_its_socket_may_share_a_connection(autojump_clock: MockClock) -> None:
    async with serving() as house:
        browser = Browser(house)
        assert (await browser.ask(get("/")))[0] == 200
        await trio.sleep(9)
        browser.send(CHROME + frame(encode(Hello(version=1, name="eve"))))
        assert (await browser.answer())[0] == 101
        assert b'"welcome"' in (browser.rest or await browser.link.receive_some())


async def test_pings_are_answered_in_their_place(autojump_clock: MockClock) -> None:
    async with beside_a_page() as (_, _, page):
        page.send(frame(b"one", first=0x89) + frame(encode(Ping(n=1))) + frame(b"two", first=0x89))
        assert [event for event in await page.hear() if isinstance(event, Pong)] == [Pong(1)]
        assert page.pongs == [b"one", b"two"]


async def test_who_pings_and_does_not_read_is_not_read_either(autojump_clock: MockClock) -> None:
    """Row 42, with the dialect's own questions."""
    async with beside_a_page(answers_bytes=10_000) as (_, _, page):
        flood = frame(b"p" * 125, first=0x89) * 500
        sent = 0
        with trio.move_on_after(20):
            while True:
                sent += page.link.send_nowait(flood[sent % len(flood) :])
                await page.link.wait_writable()
        assert sent < 5 * len(flood)
        await page.hear(1)
        page.send(flood[sent % len(flood) :][: -sent % 131])  # so that none is left half said
        await page.hear(1)
        assert len(page.pongs) == -(-sent // 131)


async def test_a_stranger_who_pings_and_reads_slowly_has_no_longer(autojump_clock: MockClock) -> None:
    """The clocks of a session that the server does not read are paused; the hello deadline is not."""
    async with serving_observed(answers_bytes=10_000) as (house, _, _):
        page = await upgraded(house)
        since = trio.current_time()
        flood = frame(b"p" * 125, first=0x89)
        with pytest.raises(LinkBroken):
            while trio.current_time() < since + 100:
                for _ in range(500):
                    page.link.send_nowait(flood)
                await trio.sleep(1)
                await page.link.receive_some()
        assert trio.current_time() - since <= 15


async def test_pings_that_are_cut_in_two_are_whole_in_the_end(autojump_clock: MockClock) -> None:
    async with beside_a_page() as (_, zoe, page):
        ping = frame(b"p", first=0x89)
        page.send(ping[:4])
        for _ in range(30):
            await page.hear(1)
            page.send(ping[4:] + ping[:4])
            zoe.send(Ping())
        page.send(ping[4:])
        await page.hear(1)
        assert len(page.pongs) == 31


async def test_the_parts_of_a_message_have_time_while_reading_is_paused(autojump_clock: MockClock) -> None:
    async with beside_a_page(answers_bytes=10_000) as (_, _, page):
        flood = frame(b'{"type":', first=0x01) + frame(b"p" * 125, first=0x89) * 2_000
        sent = 0
        with trio.move_on_after(20):
            while sent < len(flood):
                sent += page.link.send_nowait(flood[sent:])
                await page.link.wait_writable()
        assert sent < len(flood)
        await page.hear(1)
        while sent < len(flood):
            sent += page.link.send_nowait(flood[sent:])
            await page.hear(0.1)
        page.send(frame(b'"ping","n":7}', first=0x80))
        assert Pong(7) in await page.hear()


@pytest.mark.parametrize("first", [b"", frame(b"{", first=0x01), frame(b"{", first=0x01)[:3]])
async def test_a_message_has_ten_seconds(first: bytes, autojump_clock: MockClock) -> None:
    """From its first byte on, whatever comes between its parts."""
    async with beside_a_page("-eve lost") as (_, _, page):
        page.send(first)
        since = trio.current_time()
        while page.close is None and trio.current_time() < since + 30:
            page.send(
                frame(b" ", first=0x00 if first else 0x01) + frame(b"p", first=0x89)
                if len(first) != 3
                else b""
            )
            first = first or b" "
            await page.hear(1)
        assert trio.current_time() - since <= 12
        assert page.close == (1013, "frame_timeout")
        assert isinstance(page.events[-1], Bye) and page.events[-1].code == "frame_timeout"


async def test_an_upgrade_and_no_hello(autojump_clock: MockClock) -> None:
    async with serving_observed() as (house, _, _):
        page = await upgraded(house)
        await page.hear(12)
        assert page.close == (1013, "hello_timeout")


async def test_a_huge_frame(autojump_clock: MockClock) -> None:
    async with beside_a_page("-eve lost") as (_, _, page):
        page.send(b"\x81\xff" + ((1 << 63) - 1).to_bytes(8) + b"mask")
        await page.hear()
        assert page.close == (1009, "frame_too_large")
        last = page.events[-1]
        assert isinstance(last, Bye) and (last.code, last.reconnect) == ("frame_too_large", False)


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (frame(b"{}", mask=None), 1002),
        (frame(b"{}", first=0xC1), 1002),
        (frame(b"{}", first=0x82), 1003),
        (frame(b"\xff"), 1007),
    ],
)
async def test_a_broken_frame(broken: bytes, code: int, autojump_clock: MockClock) -> None:
    async with beside_a_page("-eve lost") as (_, zoe, page):
        page.send(
            frame(encode(Say("lobby", "before", ref="r"))) + broken + frame(encode(Say("lobby", "after")))
        )
        await page.hear()
        assert page.close == (code, "bad_frame")
        assert isinstance(page.events[-1], Bye)
        await zoe.answer(Said, text="before")
    assert not any(isinstance(entry, Said) and entry.text == "after" for entry in zoe.entries())


async def test_a_close_frame_is_the_end_of_input(autojump_clock: MockClock) -> None:
    """What is pending is settled and answered, and the close is answered with its code."""
    async with beside_a_page("-eve lost") as (_, _, page):
        page.send(frame(encode(Say("lobby", "last", ref="r"))) + frame(b"\x03\xe9bye", first=0x88))
        heard = await page.hear()
        assert any(isinstance(event, Ack) for event in heard)
        assert not any(isinstance(event, Bye) for event in heard)
        assert page.close == (1001, "")


async def test_the_end_without_a_close_frame(autojump_clock: MockClock) -> None:
    async with beside_a_page("-eve lost") as (_, _, page):
        page.say(Say("lobby", "last", ref="r"))
        page.send(frame(encode(Say("lobby", "half")))[:-1])
        assert isinstance(page.link, PipeLink)
        page.link.end()
        assert any(isinstance(event, Ack) for event in await page.hear())
        assert page.close is None


async def test_a_browser_that_is_there_answers_and_stays(autojump_clock: MockClock) -> None:
    async with beside_a_page("-eve timeout") as (_, zoe, page):
        for _ in range(8):
            await page.hear(20)
            page.send(frame(b"", first=0x8A) * page.pings)
            page.pings = 0
            zoe.send(Ping())
        assert await zoe.presence_changes() == []
        assert page.pings == 0
        since = trio.current_time()
        await _pinging(zoe, page, 70)
        assert page.pings == 2, "at 25 and at 50 seconds, and then it is given up"
        assert page.close == (1013, "ping_timeout")
        assert trio.current_time() - since <= 71


async def _pinging(zoe: Observer, page: Page, seconds: int) -> None:
    for _ in range(seconds // 10):
        zoe.send(Ping())
        await page.hear(10)


async def test_a_server_that_stops_says_goodbye(autojump_clock: MockClock) -> None:
    async with serving() as house:
        page = await upgraded(house)
        page.say(Hello(version=1, name="eve"), Join("lobby"))
        await page.hear()
        page.say(Say("lobby", "last", ref="r"))
        await wait_all_tasks_blocked()
        since = trio.current_time()
    assert trio.current_time() - since <= 2
    heard = await page.hear()
    assert isinstance(heard[-1], Bye) and heard[-1].code == "draining" and heard[-1].reconnect
    assert page.close == (1001, "draining")


async def test_who_is_behind_gets_the_frame_half_out_and_then_the_goodbye(autojump_clock: MockClock) -> None:
    async with serving(rate_limit=False, websocket=True) as house:
        zoe = await house.observer()
        eve = await house.enter("eve", "lobby", buffer_bytes=3_000)
        for n in range(20):
            await zoe.say(f"{n} " + "x" * 1_000)
        eve.send_bytes(frame(b"\xff"))
        assert (await eve.ended_with("bad_frame")).code == "bad_frame"
        assert 0 < len(eve.entries()) < 10


async def test_ten_bad_messages_are_enough(autojump_clock: MockClock) -> None:
    async with beside_a_page("-eve lost") as (_, _, page):
        page.send(frame(b"{\n" * 4 + b"{") * 2)
        heard = [event for event in await page.hear() if isinstance(event, Error | Bye)]
        assert len(heard) == 10 and page.close == (1002, "bad_frame")
