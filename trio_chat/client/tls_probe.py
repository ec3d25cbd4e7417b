"""Probe for TLS a server that closed a connection without an answer.

Most TLS servers close on bytes that are not TLS and send no alert. A second connection can identify them: it
sends the first bytes of a TLS client.
"""

import ssl
from contextlib import suppress

import trio

from trio_chat.client.address import Address
from trio_chat.client.foreign import OPENING_BYTES, Opening
from trio_chat.errors import CannotConnect, ForeignServer, LinkBroken
from trio_chat.net.dial import Dial

__all__ = ["probe_tls"]

PROBE_S = 3


async def probe_tls(address: Address, dial: Dial) -> ForeignServer | None:
    """Return the error for a TLS server; None if it answers anything else, or nothing for 3 s.

    Leaves nothing open, also when cancelled.
    """
    opening = Opening()
    with trio.move_on_after(PROBE_S):
        try:
            link = await dial(address.host, address.port)
        except CannotConnect:
            return None
        try:
            link.send_nowait(_client_hello())
            opening.feed((await link.receive_some())[:OPENING_BYTES])
        except (LinkBroken, trio.ClosedResourceError):
            return None
        finally:
            link.close()
    error = opening.error()
    return error if error is not None and error.protocol == "TLS" else None


def _client_hello() -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing)
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()
