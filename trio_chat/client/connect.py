"""Connecting: from an address to a Chat, and to its end."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import trio

from trio_chat.client.chat import Chat
from trio_chat.client.connection import Connection
from trio_chat.client.conversation import Conversation
from trio_chat.client.inbox import INBOX_EVENTS, Inbox
from trio_chat.client.requests import Requests
from trio_chat.errors import CannotConnect, ConnectionLost
from trio_chat.net.dial import Dial, dial_tcp
from trio_chat.wire.messages import VERSION, Hello, Welcome

__all__ = ["connect"]

CONNECT_S = 10
GOODBYE_S = 5


@asynccontextmanager
async def connect(
    host: str = "127.0.0.1",
    port: int = 5555,
    *,
    name: str,
    token: str = "",
    agent: str = "",
    dial: Dial = dial_tcp,
    inbox_events: int = INBOX_EVENTS,
    ref_prefix: str = "",
) -> AsyncGenerator[Chat]:
    """A Chat with a server, for as long as the block lasts.

    `token` is who one is, as `chat.token` of an earlier Chat said it; without it the server makes one.
    `inbox_events` bounds what waits for a program that does not iterate (`inbox.py`). `ref_prefix` begins
    the refs of its commands, and is random unless given.

    Entering waits for the server's welcome, for at most ten seconds. It raises `CannotConnect` when there
    is no server, when it says nothing, or when it says goodbye; `Refused` (`bad_name`, `name_taken`) when
    another name is needed; `ServerFault` when it is no server of ours.

    Leaving the block says goodbye, and waits for the server to settle what was said and to say it too,
    for at most five seconds; leaving it by an exception or cancelled closes the connection at once.
    An exception of the block comes out as it is. Cancelled at any point, nothing stays open.
    """
    deadline = trio.current_time() + CONNECT_S
    with trio.move_on_at(deadline) as dialling:
        link = await dial(host, port)
    if dialling.cancelled_caught:
        raise CannotConnect(f"no answer from {host}:{port} within {CONNECT_S} s")
    alone: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            connection = Connection(link)
            talk = Conversation(connection, Inbox(inbox_events), Requests(ref_prefix))
            nursery.start_soon(talk.read)
            nursery.start_soon(connection.write)
            hello = Hello(version=VERSION, name=name, token=token, agent=agent, ref=talk.new_ref())
            with trio.move_on_at(deadline) as greeting:
                welcome = await _greet(talk, hello)
            if greeting.cancelled_caught:
                raise CannotConnect(f"{host}:{port} says nothing")
            nursery.start_soon(talk.keep_alive, welcome.ping_s)
            chat = Chat(talk, welcome)
            yield chat
            if not talk.leaving:  # a program that has tried to quit has waited for as long as it would
                with trio.move_on_after(GOODBYE_S):
                    await chat.quit()
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        # The tasks raise nothing but bugs. Without one it is the block's own exception, which the nursery
        # has wrapped; who connects does not care that there is a nursery. Cancelled from outside, the tasks
        # are cancelled beside it: as in any function, an exception that is on its way out goes before.
        others = [error for error in group.exceptions if not isinstance(error, trio.Cancelled)]
        if len(others) > 1:
            raise
        alone = others[0] if others else group.exceptions[0]
    finally:
        link.close()
    # Not in the except clause: there the group would become its context.
    if alone is not None:
        try:
            raise alone
        finally:
            del alone


async def _greet(talk: Conversation, hello: Hello) -> Welcome:
    try:
        return await talk.greet(hello)
    except ConnectionLost as lost:
        raise CannotConnect(str(lost), code=lost.code) from lost
