"""The client's half of the upgrade from HTTP to WebSocket: one request, one answer. Sans-IO, on wsproto."""

from wsproto import ConnectionType
from wsproto.events import AcceptConnection, RejectConnection, Request
from wsproto.handshake import H11Handshake
from wsproto.utilities import ProtocolError

from trio_chat.errors import FrameError

__all__ = ["Upgrade"]

HEAD_BYTES = 8_192  # of the answer, as servers take of a request


class Upgrade:
    """Send `request`, and feed what comes. `host` is as a URL has it, with its port."""

    def __init__(self, host: str, path: str) -> None:
        self._handshake = H11Handshake(ConnectionType.CLIENT)
        self.request = bytes(self._handshake.send(Request(host=host, target=path)))
        self._head = b""

    def feed(self, data: bytes) -> bytes | None:
        """What has come behind the answer, once that is whole; None before.

        Raises `FrameError` when there will be no WebSocket, with the code `too_many_connections` where there
        may be one later.
        """
        head, end, rest = (self._head + data).partition(b"\r\n\r\n")
        if len(head) > HEAD_BYTES:
            raise FrameError("bad_frame", "an answer over HTTP that does not end")
        if not end:
            self._head = head
            return None
        try:
            self._handshake.receive_data(head + end)
        except ProtocolError as error:
            raise FrameError("bad_frame", f"an answer to the upgrade that is none ({error})") from None
        except ValueError:  # wsproto decodes the values of headers as if all were ASCII
            raise FrameError("bad_frame", "an answer to the upgrade with a header that is no text") from None
        for event in self._handshake.events():
            if isinstance(event, AcceptConnection):
                return rest
            if isinstance(event, RejectConnection):
                later = event.status_code >= 500
                code = "too_many_connections" if later else "bad_frame"
                raise FrameError(code, f"no WebSocket there: the answer is {event.status_code}")
        raise FrameError("bad_frame", "an answer to the upgrade that is none")
