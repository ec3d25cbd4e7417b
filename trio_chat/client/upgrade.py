"""From a link to what is spoken on it: frames at once, or a WebSocket, which is asked for over HTTP first."""

import os
from functools import partial

import trio

from trio_chat.client.address import Address
from trio_chat.client.exceptions import protocol_error
from trio_chat.client.foreign import Opening
from trio_chat.dialects import EventReader
from trio_chat.dialects.frames import FrameEvents
from trio_chat.dialects.upgrade import Upgrade
from trio_chat.dialects.websocket import WebSocketEvents
from trio_chat.errors import CannotConnect, ConnectionLost, FrameError, LinkBroken
from trio_chat.net.link import Link

__all__ = ["agree"]


async def agree(link: Link, address: Address) -> EventReader:
    """Wait until it is agreed what is spoken. Cancelling leaves the link in the middle of it.

    Raises `CannotConnect` when there is no WebSocket just now, `ServerFault` when there never will be, and
    `ConnectionLost`.
    """
    if not address.path:
        return FrameEvents()
    upgrade = Upgrade(str(address), address.path)
    opening = Opening(expected=b"HTTP/")
    try:
        sent = link.send_nowait(upgrade.request)
        while sent < len(upgrade.request):
            await link.wait_writable()
            sent += link.send_nowait(upgrade.request[sent:])
        rest = None
        while rest is None:
            data = await link.receive_some()
            opening.feed(data)
            if foreign := opening.error():
                raise foreign
            if not data:
                raise ConnectionLost("connection lost: the server closed it without a word")
            rest = upgrade.feed(data)
    except (LinkBroken, trio.ClosedResourceError) as error:
        raise ConnectionLost(str(error)) from error
    except FrameError as error:
        if error.code == "too_many_connections":
            raise CannotConnect(error.detail, code=error.code) from error
        raise protocol_error(error.detail) from error
    return WebSocketEvents(partial(os.urandom, 4), rest)
