"""The handshake: from an address to a connection with a `welcome`."""

from dataclasses import dataclass

import trio

from trio_chat.client.address import Address
from trio_chat.client.checks import check_welcome
from trio_chat.client.connection import Connection
from trio_chat.client.exceptions import connection_lost, refused, unexpected_event
from trio_chat.client.tls_probe import probe_tls
from trio_chat.client.upgrade import agree
from trio_chat.errors import CannotConnect, ConnectionLost
from trio_chat.net.dial import Dial
from trio_chat.net.link import SocketLink
from trio_chat.wire.messages import Bye, Error, Event, Hello, Welcome

__all__ = ["CONNECT_S", "Handshake", "shake_hands"]

CONNECT_S = 10


@dataclass(frozen=True, slots=True)
class Handshake:
    """A connection, the server's `welcome`, and the events behind it."""

    connection: Connection
    welcome: Welcome
    events: list[Event]


async def shake_hands(address: Address, dial: Dial, hello: Hello, *, is_first: bool = False) -> Handshake:
    """Connect, send `hello` and wait for the welcome, ten seconds at most for both.

    Raises `CannotConnect` if no server answers, `ConnectionLost` if the server ends the connection,
    `Refused`, and `ProtocolError`. Nothing stays open then, nor when cancelled. If the first connection of a
    program ends without an answer, a second one probes for TLS.
    """
    deadline = trio.current_time() + CONNECT_S
    with trio.move_on_at(deadline) as dialling:
        link = await dial(address.host, address.port)
    if dialling.cancelled_caught:
        raise CannotConnect(f"no answer from {address} within {CONNECT_S} s")
    greeted: Handshake | None = None
    lost: ConnectionLost | None = None
    connection: Connection | None = None
    try:
        with trio.move_on_at(deadline):
            connection = Connection(link, await agree(link, address))
            greeted = await _welcomed(connection, hello)
    except ConnectionLost as error:
        lost = error
    finally:
        if greeted is None:
            link.close()
    if lost is not None:
        # A link of a test or a simulation leads to no TLS server.
        is_silent = is_first and not (lost.code or address.path) and isinstance(link, SocketLink)
        try:
            raise (await probe_tls(address, dial) if is_silent else None) or lost
        finally:
            del lost  # its traceback holds this frame
    if greeted is None:
        foreign = connection.foreign() if connection is not None else None
        raise foreign or CannotConnect(
            f"no answer from {address} for {CONNECT_S} s: it may not be a trio-chat server;"
            " check host and port"
        )
    return greeted


async def _welcomed(connection: Connection, hello: Hello) -> Handshake:
    connection.send_nowait(connection.pack_hello(hello))
    await connection.flush()
    while True:
        events = await connection.receive()
        for number, event in enumerate(events, 1):
            match event:
                case Welcome():
                    check_welcome(event)
                    connection.frame_bytes = event.limits.frame_bytes
                    return Handshake(connection, event, events[number:])
                case Bye():
                    raise connection_lost(event)
                case Error() if event.ref == hello.ref:
                    raise refused(event)
                case _ if getattr(event, "ref", "") == hello.ref:
                    raise unexpected_event(event)
                case _:
                    pass  # no room is joined yet
