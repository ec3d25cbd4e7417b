"""The dialect of frames: each message is the payload of one length-prefixed frame."""

from collections.abc import Iterator

from trio_chat.dialects import Control
from trio_chat.errors import BadMessage
from trio_chat.wire import framing
from trio_chat.wire.codec import decode_command, decode_event, encode
from trio_chat.wire.messages import Command, Event

__all__ = ["FRAMES", "FrameCommands", "FrameEvents", "FramePacking"]


class FramePacking:
    """Encode events for clients; stateless."""

    probe: Control | None = None  # clients send the pings
    pack = staticmethod(framing.pack)
    frame_boundary = staticmethod(framing.frame_end)


FRAMES = FramePacking()


class FrameCommands:
    """Decode the commands of one connection to the server."""

    __slots__ = ("_frame_bytes", "_reader")

    inside_message = False  # each message is one frame
    ended = False  # the connection itself signals the end of input

    def __init__(
        self, *, hello_bytes: int = framing.HELLO_BYTES_MAX, frame_bytes: int = framing.FRAME_BYTES_MAX
    ) -> None:
        self._reader = framing.FrameReader(min(hello_bytes, frame_bytes))
        self._frame_bytes = frame_bytes

    @property
    def inside_frame(self) -> bool:
        return self._reader.inside_frame

    def welcomed(self) -> None:
        self._reader.limit = self._frame_bytes

    def feed(self, data: bytes) -> Iterator[Command | BadMessage]:
        for payload in self._reader.feed(data):
            try:
                command: Command | BadMessage = decode_command(payload)
            except BadMessage as error:
                command = error.as_value()
            yield command

    def close_frame(self, code: str) -> Control | None:
        return None  # `bye` is the last frame


class FrameEvents:
    """Decode events and encode commands, for one connection of a client."""

    __slots__ = ("_reader",)

    ended = False  # the connection itself signals the end of input

    def __init__(self) -> None:
        self._reader = framing.FrameReader()

    @property
    def inside_frame(self) -> bool:
        return self._reader.inside_frame

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that `data` completes, without those of unknown types.

        Raises `FrameError` and `BadMessage`: the connection to a server that breaks the protocol must end.
        """
        events = (decode_event(payload) for payload in self._reader.feed(data))
        return [event for event in events if event is not None]

    @staticmethod
    def frame(payload: bytes) -> bytes:
        return framing.pack((payload,))

    @staticmethod
    def pack(command: Command) -> bytes:
        return framing.pack((encode(command),))

    def replies(self) -> bytes:
        return b""
