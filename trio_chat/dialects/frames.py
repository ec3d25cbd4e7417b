"""The dialect of frames: each message the payload of one length-prefixed frame."""

from collections.abc import Iterator

from trio_chat.dialects import Control
from trio_chat.errors import BadMessage
from trio_chat.wire import framing
from trio_chat.wire.codec import decode_command, decode_event, encode
from trio_chat.wire.messages import Command, Event

__all__ = ["FRAMES", "FrameCommands", "FrameEvents", "FramePacking"]


class FramePacking:
    """Events out: the server's half without state."""

    probe: Control | None = None  # clients ping
    pack = staticmethod(framing.pack)
    whole = staticmethod(framing.frame_end)


FRAMES = FramePacking()


class FrameCommands:
    """Commands in: the server's half of one connection."""

    __slots__ = ("_frame_bytes", "_reader")

    inside_message = False  # each is one frame
    ended = False  # the end of the connection's input says it

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

    def farewell(self, code: str) -> Control | None:
        return None  # `bye` is all


class FrameEvents:
    """Both directions at the client's end: events in, commands out."""

    __slots__ = ("_reader",)

    ended = False  # the end of the connection's input says it

    def __init__(self) -> None:
        self._reader = framing.FrameReader()

    @property
    def inside_frame(self) -> bool:
        return self._reader.inside_frame

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` makes whole; those of unknown types are left out.

        Raises `FrameError` and `BadMessage`: a server that breaks the rules is not listened to further.
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
