"""Connecting: from an address to a Chat, and to its end."""

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
    """A Chat with a server, for as long as the block lasts.

    The server is at `host` and `port`, or at a URL in place of the host: `ws://127.0.0.1:5555` asks for a
    WebSocket, as browsers do.

    `token` is who one is, as `chat.token` of an earlier Chat said it; without it the server makes one.
    `inbox_events` bounds what waits for a program that does not iterate (`inbox.py`). `ref_prefix` begins
    the refs of its commands, and is random unless given.

    Entering waits for the server's welcome, for at most ten seconds. It raises `CannotConnect` when there
    is no server, when it says nothing, or when it says goodbye; `Refused` (`bad_name`, `name_taken`) when
    another name is needed; `ServerFault` when it is no server of ours, `ForeignServer` when it is one of a
    protocol that has a name.

    `pace` keeps to the server's rates: a call waits until the server will take its command, in the order of
    the calls, and a command that is refused as `rate_limited` is sent again when the server says, before
    those behind it. Without it commands go out at once, and `rate_limited` is raised as `Refused`.

    From then on the Chat comes back by itself when its connection is lost (`Chat` says what a program sees
    of that), unless the server has said not to. `patience_s` is how long one outage may last before the Chat
    ends with `ConnectionLost`; without `come_back` it ends with its first connection. `random`, from 0 up to
    1, makes the waits between the tries (`backoff.py`). `clock_s` is a clock that goes on while the machine
    sleeps: after that the server is asked at once whether it is still there.

    Leaving the block says goodbye, and waits for the server to settle what was said and to say it too, for
    at most five seconds; in an outage it waits for nothing. Leaving it by an exception or cancelled closes
    the connection at once. An exception of the block comes out as it is. Cancelled at any point, nothing
    stays open.
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

    async def greet_again() -> Handshake:
        return await shake_hands(address, dial, hello(chat.name, chat.token))

    visits = Reconnector(
        talk,
        greet_again,
        backoff=Backoff(random) if come_back else None,
        patience_s=patience_s,
        clock_s=clock_s if come_back else None,
    )
    # The tasks raise nothing but bugs. Without one it is the block's own exception.
    with ungrouped():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(visits.run, first)
            yield chat
            if not talk.is_leaving:  # otherwise the program has said it, or has given up on it
                with trio.move_on_after(GOODBYE_S):
                    await chat.quit()
            nursery.cancel_scope.cancel()
