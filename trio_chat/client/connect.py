"""Connect: from an address to a Chat and to its end."""

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from math import inf
from random import random

import trio

from trio_chat.client.address import parse_address
from trio_chat.client.backoff import Backoff
from trio_chat.client.chat import Chat
from trio_chat.client.handshake import Handshake, shake_hands
from trio_chat.client.inbox import INBOX_EVENTS, Inbox
from trio_chat.client.reconnect import Reconnector
from trio_chat.client.requests import Requests
from trio_chat.client.session import ClientSession
from trio_chat.client.ungrouped import ungrouped
from trio_chat.errors import CannotConnect, ConnectionLost
from trio_chat.net.dial import Dial, dial_tcp
from trio_chat.wire.messages import VERSION, Hello

__all__ = ["connect"]

GOODBYE_S = 5


@asynccontextmanager
async def connect(
    host: str = "127.0.0.1",
    port: int = 5555,
    *,
    name: str,
    token: str = "",
    agent: str = "",
    come_back: bool = True,
    patience_s: float = inf,
    dial: Dial = dial_tcp,
    inbox_events: int = INBOX_EVENTS,
    ref_prefix: str = "",
    pace: bool = True,
    random: Callable[[], float] = random,
    clock_s: Callable[[], float] = time.time,
) -> AsyncGenerator[Chat]:
    """Connect to a server and yield a Chat for the duration of the block.

    The server is at `host` and `port`, or at a URL in place of the host: `ws://127.0.0.1:5555` connects by
    WebSocket, as browsers do.

    `token` is the identity of an earlier Chat (`chat.token`); without it the server creates one.
    `inbox_events` limits the events that wait for the program (`inbox.py`). `ref_prefix` begins the refs of
    all commands; the default is random.

    Entering waits at most ten seconds for the server's welcome. It raises `CannotConnect` if no server
    answers in time or the server says `bye`; `Refused` (`bad_name`, `name_taken`) if another name is needed;
    `ProtocolError` if the server is no trio-chat server; `ForeignServer` if it speaks a known other protocol.

    `pace` keeps to the server's rates: a call waits until the server will accept its command, in the order of
    the calls. A command that is refused as `rate_limited` is sent again after the time that the server asks
    for, before those behind it. With `pace` False, commands are sent at once, and `rate_limited` raises
    `Refused`.

    The Chat reconnects when its connection is lost (`Chat` says what a program sees then), unless the server
    says not to. `patience_s` limits the time without a connection; after it the Chat ends with
    `ConnectionLost`. With `come_back` False the Chat ends with its first connection. `random`, from 0 up to
    1, is the jitter between tries (`backoff.py`). `clock_s` is a clock that runs while the machine sleeps:
    after a sleep the client asks the server at once for a sign of life.

    Leaving the block sends `quit` and waits at most five seconds for the server to commit pending messages
    and answer; while disconnected it waits for nothing. Leaving it by an exception or cancellation closes the
    connection at once. An exception of the block is raised unchanged. Cancelling at any point leaves nothing
    open.
    """
    address = parse_address(host, port)
    requests = Requests(ref_prefix)

    def hello(name: str, token: str) -> Hello:
        return Hello(version=VERSION, name=name, token=token, agent=agent, ref=requests.new_ref())

    try:
        first = await shake_hands(address, dial, hello(name, token), is_first=True)
    except ConnectionLost as lost:
        hint = "" if lost.code else "; it may not be a trio-chat server: check host and port"
        raise CannotConnect(f"{lost}{hint}", code=lost.code) from lost
    talk = ClientSession(Inbox(inbox_events), requests, first.connection, first.welcome, pace=pace)
    chat = Chat(talk)

    async def handshake_again() -> Handshake:
        return await shake_hands(address, dial, hello(chat.name, chat.token))

    visits = Reconnector(
        talk,
        handshake_again,
        backoff=Backoff(random) if come_back else None,
        patience_s=patience_s,
        clock_s=clock_s if come_back else None,
    )
    # The tasks raise only bugs. Without one the group holds the block's own exception.
    with ungrouped():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(visits.run, first)
            yield chat
            if not talk.is_leaving:  # otherwise the program has called `quit` or given up on it
                with trio.move_on_after(GOODBYE_S):
                    await chat.quit()
            nursery.cancel_scope.cancel()
