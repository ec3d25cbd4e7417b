"""Each kind of refusal that a server makes is in its log, with prefixes, and with nothing that was sent."""

import logging
from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock

from tests.server.harness import ServerHarness, serving
from tests.server.proxied import PEER, PROXY, behind_proxies, v1
from tests.server.stores import FailingStore
from tests.server.web import CHROME, get
from trio_chat.server.commit import RETRY_S
from trio_chat.server.config import Config, Limits
from trio_chat.server.refusals import BETWEEN_S
from trio_chat.wire.messages import Error, Hello, Join, Ping, Quit, Say

ADDRESS = "192.0.2.7"
SECRET = "s3cret"
TOKEN = "t0ken" * 5

Story = Callable[[ServerHarness], Awaitable[None]]


def refusals_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "trio_chat.refusals"]


async def refused_hello(house: ServerHarness) -> None:
    await house.enter("ada")
    eve = house.dial(address=ADDRESS)
    eve.send(Hello(version=1, name="ada", token=TOKEN))
    await eve.expect(Error, code="name_taken")


async def ten_refused_hellos(house: ServerHarness) -> None:
    eve = house.dial(address=ADDRESS)
    eve.send(*[Hello(version=1, name=f"{SECRET} {n}") for n in range(10)])
    await eve.ended_with("rate_limited")


async def too_fast(house: ServerHarness) -> None:
    eve = await house.enter("eve", "lobby", address=ADDRESS)
    for _ in range(25):
        eve.send(Say("lobby", SECRET))
    await eve.answer(Error, code="rate_limited")


async def too_many_rooms(house: ServerHarness) -> None:
    eve = await house.enter("eve", "one", "two", address=ADDRESS)
    eve.send(Join("three"))
    await eve.answer(Error, code="too_many_rooms")


async def bad_message(house: ServerHarness) -> None:
    eve = await house.enter("eve", address=ADDRESS)
    eve.send_payloads(SECRET.encode())
    await eve.expect(Error, code="bad_message")


async def ten_bad_messages(house: ServerHarness) -> None:
    eve = await house.enter("eve", address=ADDRESS)
    eve.send_payloads(*[SECRET.encode()] * 10)
    await eve.ended_with("bad_frame")


async def huge_frame(house: ServerHarness) -> None:
    eve = house.dial(address=ADDRESS)
    eve.send_bytes(b"\x7f" * 8)
    await eve.ended_with("frame_too_large")


async def other_version(house: ServerHarness) -> None:
    eve = house.dial(address=ADDRESS)
    eve.send(Hello(version=9, name="eve"))
    await eve.ended_with("version")


async def silent(house: ServerHarness) -> None:
    await house.dial(address=ADDRESS).ended_with("hello_timeout")


async def half_a_frame(house: ServerHarness) -> None:
    eve = await house.enter("eve", address=ADDRESS)
    eve.send_bytes(eve.packed(Ping())[:-1])
    await eve.ended_with("frame_timeout")


async def gone(house: ServerHarness) -> None:
    eve = await house.enter("eve", address=ADDRESS)
    await eve.ended_with("ping_timeout")


async def too_many_sessions(house: ServerHarness) -> None:
    eve = await house.enter("eve", address=ADDRESS)
    for _ in range(8):
        again = house.dial()
        again.send(Hello(version=1, name="eve", token=eve.token))
    await eve.ended_with("replaced")


async def one_too_many_of_an_address(house: ServerHarness) -> None:
    for name in ("ada", "bob"):
        await house.enter(name, address=ADDRESS)
    await house.dial(address=ADDRESS).ended_with("too_many_connections")


async def one_too_many_in_all(house: ServerHarness) -> None:
    for name in ("ada", "bob", "cyd"):
        await house.enter(name)
    await house.dial(address=ADDRESS).ended_with("too_many_connections")


async def tls(house: ServerHarness) -> None:
    eve = house.dial(address=ADDRESS)
    eve.send_bytes(b"\x16\x03\x01")
    assert await eve.link.receive_some() == b""


def request(data: bytes, status: int) -> Story:
    async def story(house: ServerHarness) -> None:
        eve = house.dial(address=ADDRESS)
        eve.send_bytes(data)
        assert (await eve.link.receive_some()).startswith(b"HTTP/1.1 %d " % status)

    return story


NOT_HTTP = b"P3cret\r\n\r\n"
HUGE = "1 session ended: a frame was too large, or the client spoke another protocol [frame_too_large]"
LIMITS = {"rooms": 2, "connections_per_address": 2, "connections": 3}
FEW: dict[Story, tuple[str, ...]] = {
    too_many_rooms: ("rooms",),
    one_too_many_of_an_address: ("connections_per_address",),
    one_too_many_in_all: ("connections",),
}


@pytest.mark.parametrize(
    ("story", "says"),
    [
        (refused_hello, ["1 hello refused [name_taken]"]),
        (
            ten_refused_hellos,
            ["10 hellos refused [bad_name]", "1 session ended: too many refused hellos [rate_limited]"],
        ),
        (too_fast, ["5 commands refused: rate limit reached (--limit talk_per_s and others) [rate_limited]"]),
        (
            too_many_rooms,
            ["1 command refused: too many rooms of one session (--limit rooms) [too_many_rooms]"],
        ),
        (bad_message, ["1 command refused: invalid message [bad_message]"]),
        (
            ten_bad_messages,
            [
                "10 commands refused: invalid message [bad_message]",
                "1 session ended: an invalid frame, or too many invalid messages [bad_frame]",
            ],
        ),
        (
            huge_frame,
            [HUGE],
        ),
        (other_version, ["1 session ended: the client uses another protocol version [version]"]),
        (silent, ["1 session ended: no hello in time (--limit hello_s) [hello_timeout]"]),
        (half_a_frame, ["1 session ended: incomplete frame (--limit frame_s) [frame_timeout]"]),
        (gone, ["1 session ended: nothing received for too long (--limit silence_s) [ping_timeout]"]),
        (
            too_many_sessions,
            ["1 session ended: too many sessions of one member (--limit sessions) [replaced]"],
        ),
        (
            one_too_many_of_an_address,
            ["1 connection refused: too many from one address (--limit connections_per_address)"],
        ),
        (one_too_many_in_all, ["1 connection refused: the server is full (--limit connections)"]),
        (tls, ["1 connection closed: TLS, which this server does not support"]),
        (
            request(b"GET / HTTP/1.1\r\nHost: s3cret.example\r\n\r\n", 421),
            ["1 request refused: unknown host name (--public-name) [421]"],
        ),
        (
            request(CHROME.replace(b"Origin: ", b"Origin: http://s3cret"), 403),
            ["1 request refused: a page of another origin [403]"],
        ),
        (
            request(get("/").replace(b"\r\n\r\n", b"\r\nX: s3cret" + b"x" * 9_000), 431),
            ["1 request refused: the head was too large [431]"],
        ),
        (
            request(NOT_HTTP, 400),
            ["1 request refused: invalid request [400]"],
        ),
        (request(b"GET /s3cret", 408), ["1 request refused: incomplete request (--limit hello_s) [408]"]),
        (request(get("/s3cret"), 404), []),
    ],
)
async def test_a_kind_of_refusal_is_one_line(
    story: Story, says: list[str], autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    limits = Limits(**{name: LIMITS[name] for name in FEW.get(story, ())})
    async with serving(Config(limits=limits)) as house:
        await story(house)
    assert refusals_in(caplog) == [f"{line}; from {ADDRESS}" for line in says]
    assert {record.levelno for record in caplog.records} <= {logging.WARNING}
    everything = caplog.text
    assert SECRET not in everything and TOKEN not in everything


async def test_a_journal_that_takes_nothing_is_counted(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(store=FailingStore()) as house:
        eve = await house.enter("eve", "lobby", address=ADDRESS)
        for _ in range(3):
            eve.send(Say("lobby", SECRET, ref="s"))
            await eve.answer(Error, code="unavailable")
        await trio.sleep(2 * RETRY_S)  # what the failed commits may have written is looked for
    says = f"3 commands refused: the journal or the receiver cannot take it now [unavailable]; from {ADDRESS}"
    assert refusals_in(caplog) == [says]
    assert SECRET not in caplog.text
    caplog.clear()


async def test_behind_a_proxy_the_address_is_the_peers(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with behind_proxies() as house:
        peers = [house.dial(address=PROXY) for _ in range(3)]
        for peer, name in zip(peers, ("ada", "bob", "cyd"), strict=True):
            peer.send_bytes(v1(PEER) + peer.packed(Hello(version=1, name=name)))
            await trio.testing.wait_all_tasks_blocked()
        # The second is in, and sends what is no message.
        peers[1].send_payloads(b"nonsense")
        await peers[1].answer(Error, code="bad_message")
    assert refusals_in(caplog) == [
        f"1 connection refused: too many from one address (--limit connections_per_address); from {PEER}",
        f"1 command refused: invalid message [bad_message]; from {PEER}",
    ]


async def test_a_flood_is_one_line_a_minute(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    minutes = 5
    async with serving() as house:
        eve = await house.enter("eve", address=ADDRESS)
        for _ in range(6 * minutes):
            eve.send_payloads(b"{}")
            await eve.expect(Error)
            await trio.sleep(BETWEEN_S / 6)
        at_work = refusals_in(caplog)
    assert len(at_work) in (minutes, minutes + 1)
    counts = [int(line.split()[0]) for line in refusals_in(caplog)]
    assert sum(counts) == 6 * minutes and counts[0] == 1
    assert len(counts) - len(at_work) <= 1, "and one line with the rest, at the end"


async def test_ordinary_refusals_are_for_those_who_ask(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving() as house:
        eve = await house.enter("eve", address=ADDRESS)
        eve.send(Say("cellar", SECRET))
        await eve.expect(Error, code="not_in_room")
    assert refusals_in(caplog) == []
    caplog.set_level(logging.INFO, "trio_chat.refusals")
    async with serving() as house:
        eve = await house.enter("eve", address=ADDRESS)
        eve.send(Say("cellar", SECRET))
        await eve.expect(Error, code="not_in_room")
    assert refusals_in(caplog) == [f"1 command refused [not_in_room]; from {ADDRESS}"]


async def test_who_connects_and_leaves_is_logged_at_info(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "trio_chat.presence")
    async with serving() as house:
        eve = await house.enter("eve", "lobby", address="2001:db8::7")
        eve.link.close()
        ada = await house.enter("ada")
        ada.send(Quit())
        await ada.ended_with("quit")
        await house.enter("bob")
    said = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert said == [
        ("INFO", "eve connected: session 1 from 2001:db8::7"),
        ("INFO", "eve disconnected (lost): session 1 from 2001:db8::7"),
        ("INFO", "ada connected: session 2 from this machine"),
        ("INFO", "ada disconnected (quit): session 2 from this machine"),
        ("INFO", "bob connected: session 3 from this machine"),
        ("INFO", "bob disconnected (draining): session 3 from this machine"),
    ]
    caplog.clear()
