"""The client's side of the upgrade from HTTP to WebSocket. Sans-IO, built on wsproto."""

from wsproto import ConnectionType
from wsproto.events import AcceptConnection, RejectConnection, Request
from wsproto.handshake import H11Handshake
from wsproto.utilities import ProtocolError

from trio_chat.errors import FrameError

__all__ = ["Upgrade"]

HEAD_BYTES = 8_192  # of the response; servers commonly accept requests of this size


class Upgrade:
    """Upgrade one connection: send `request`, then pass all input to `feed`. `host` may include a port."""

    def __init__(self, host: str, path: str) -> None:
        self._handshake = H11Handshake(ConnectionType.CLIENT)
        self.request = bytes(self._handshake.send(Request(host=host, target=path)))
        self._head = b""

    def feed(self, data: bytes) -> bytes | None:
        """Return the bytes after the response once it is complete; None before.

        Raises `FrameError` if the server refuses or the response is invalid. The code is
        `too_many_connections` if a later attempt may succeed.
        """
        head, end, rest = (self._head + data).partition(b"\r\n\r\n")
        if len(head) > HEAD_BYTES:
            raise FrameError("bad_frame", f"invalid HTTP response: longer than {HEAD_BYTES} bytes")
        if not end:
            self._head = head
            return None
        try:
            self._handshake.receive_data(head + end)
        except ProtocolError as error:
            raise FrameError("bad_frame", f"invalid response to the upgrade: {error}") from None
        except ValueError:  # wsproto decodes all header values as ASCII
            raise FrameError("bad_frame", "invalid response to the upgrade: a header is not ASCII") from None
        for event in self._handshake.events():
            if isinstance(event, AcceptConnection):
                return rest
            if isinstance(event, RejectConnection):
                later = event.status_code >= 500
                code = "too_many_connections" if later else "bad_frame"
                raise FrameError(code, f"cannot open a WebSocket: HTTP status {event.status_code}")
        raise FrameError("bad_frame", "invalid response to the upgrade: incomplete")
