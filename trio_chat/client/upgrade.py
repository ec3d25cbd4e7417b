"""Agree on the dialect of a link: frames, or a WebSocket after an HTTP request."""

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
    """Wait for the agreement and return the reader of events. Cancelling leaves the link in the middle of it.

    Raises `CannotConnect` if the server has no place for a WebSocket now, `ProtocolError` if it has no
    WebSocket, and `ConnectionLost`.
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
