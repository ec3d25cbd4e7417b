"""The dialect of WebSocket (RFC 6455): text messages with one payload on each line.

JSON white space around a payload is part of its line, so a message may end with a newline or CR LF. Both ends
skip lines that contain only white space.

wsproto's `FrameDecoder` parses the input: headers, masks, lengths, reserved bits. This module assembles
messages, limits their size, and chooses the errors. It encodes the output itself: a batch is one unmasked
frame, the same bytes for every browser. A library that makes a frame for each browser would cost 38 µs or
more for each delivery.

No message sent is larger than the largest frame of the other dialect, which bounds the memory of a client; a
larger batch is split. There is no compression: it would need a state and a copy for each connection.
"""

from collections.abc import Callable, Iterator, Sequence
from struct import pack as pack_struct

from wsproto.frame_protocol import FrameDecoder, Opcode, ParseFailed

from trio_chat.dialects import Control
from trio_chat.errors import BadMessage, FrameError
from trio_chat.wire.codec import decode_command, decode_event
from trio_chat.wire.framing import FRAME_BYTES_MAX, HELLO_BYTES_MAX
from trio_chat.wire.messages import Command, Event

__all__ = ["CLOSE_CODES", "WEBSOCKET", "WebSocketCommands", "WebSocketEvents", "WebSocketPacking"]

NORMAL = 1000
GOING_AWAY = 1001
PROTOCOL_ERROR = 1002
NOT_TEXT = 1003
NO_CODE = 1005  # never sent: a close frame without a code
BAD_UTF8 = 1007
POLICY = 1008
TOO_LARGE = 1009
INTERNAL = 1011
TRY_LATER = 1013

CLOSE_CODES = {
    "quit": NORMAL,
    "bad_frame": PROTOCOL_ERROR,
    "frame_too_large": TOO_LARGE,
    "version": POLICY,
    "unauthorized": POLICY,
    "replaced": POLICY,
    "kicked": POLICY,
    "banned": POLICY,
    "draining": GOING_AWAY,
    "internal": INTERNAL,
    "hello_timeout": TRY_LATER,
    "frame_timeout": TRY_LATER,
    "ping_timeout": TRY_LATER,
    "slow_reader": TRY_LATER,
    "too_many_connections": TRY_LATER,
    "rate_limited": TRY_LATER,
}
"""The close code for each code of `bye`. Clients reconnect after 1001, 1011 and 1013, but not after
others."""

_MASKED = 0x80
_WHITE_SPACE = b" \t\r"  # of JSON (RFC 8259), without the newline, which ends a line


class WebSocketPacking:
    """Encode events for browsers; stateless."""

    probe: Control | None = Control(b"\x89\x00")

    def pack(self, payloads: Sequence[bytes]) -> bytes:
        if not payloads:
            return b""
        message = b"\n".join(payloads)
        if len(message) <= FRAME_BYTES_MAX and Control not in map(type, payloads):
            return _header(Opcode.TEXT, len(message)) + message
        return b"".join(_in_several(payloads))

    def frame_boundary(self, packed: bytes, sent: int) -> int:
        at = 0
        while at < sent:
            size = packed[at + 1]
            if size == 126:
                size = 2 + int.from_bytes(packed[at + 2 : at + 4])
            elif size == 127:
                size = 8 + int.from_bytes(packed[at + 2 : at + 10])
            at += 2 + size
        return at


WEBSOCKET = WebSocketPacking()


def _in_several(payloads: Sequence[bytes]) -> Iterator[bytes]:
    """Yield the payloads as few text messages within the size limit, with each `Control` in its place."""
    lines: list[bytes] = []
    size = 0
    for payload in payloads:
        if lines and (type(payload) is Control or size + len(payload) > FRAME_BYTES_MAX):
            yield _header(Opcode.TEXT, size - 1)
            yield b"\n".join(lines)
            lines, size = [], 0
        if type(payload) is Control:
            yield payload
        else:
            lines.append(payload)
            size += len(payload) + 1
    if lines:
        yield _header(Opcode.TEXT, size - 1)
        yield b"\n".join(lines)


def _is_blank(line: bytes) -> bool:
    """Return whether a line contains only white space."""
    return not line.strip(_WHITE_SPACE)


def _header(opcode: int, size: int, masked: int = 0) -> bytes:
    first = 0x80 | opcode
    if size < 126:
        return bytes((first, masked | size))
    if size < 65_536:
        return pack_struct(">BBH", first, masked | 126, size)
    return pack_struct(">BBQ", first, masked | 127, size)


class _Messages:
    """Assemble frames to messages, for either end. `limit` is the largest accepted message in bytes."""

    __slots__ = ("_decoder", "_parts", "close_code", "ended", "limit")

    def __init__(self, *, client: bool, limit: int) -> None:
        self.limit = limit
        self.ended = False
        self.close_code = 0
        """The code of the peer's close frame, or the code to send after an invalid frame; 0 before."""
        self._decoder = FrameDecoder(client=client)
        self._parts: bytearray | None = None  # of an incomplete message

    @property
    def inside_message(self) -> bool:
        return self._parts is not None

    @property
    def inside(self) -> bool:
        decoder = self._decoder
        return self.inside_message or decoder.header is not None or len(decoder.buffer) > 0

    def feed(self, data: bytes) -> Iterator[tuple[Opcode, bytes] | None]:
        """Yield text messages and pings, each when it is requested, and None for any other valid frame."""
        if self.ended:
            return
        self._decoder.receive_bytes(data)
        while True:
            try:
                frame = self._decoder.process_buffer()
            except ParseFailed as error:
                raise self._broken(PROTOCOL_ERROR, str(error)) from None
            opcode = None if frame is None else frame.opcode
            payload = b"" if frame is None else frame.payload
            assert isinstance(payload, bytes), "this decoder returns the payload of a close frame as bytes"
            if opcode is None or not opcode.iscontrol():
                self._judge(len(payload))
            if frame is None or opcode is None:
                return
            if opcode is Opcode.CLOSE:
                self._closed(payload)
                return
            if opcode is Opcode.PING:
                yield opcode, payload
            elif opcode is Opcode.PONG:
                yield None
            elif self._add(opcode, payload, last=frame.frame_finished and frame.message_finished):
                yield Opcode.TEXT, self._take()
            else:
                yield None

    def _judge(self, came: int) -> None:
        """Raise `FrameError` if the header says that the message is too large, before its bytes are
        stored."""
        header = self._decoder.header
        size = came + len(self._parts or b"")
        if header is not None and not header.opcode.iscontrol():
            size += header.payload_len - self._decoder.payload_consumed
        if size > self.limit:
            raise self._broken(
                TOO_LARGE,
                f"message too large: got {size} bytes, the limit is {self.limit}",
                code="frame_too_large",
            )

    def _add(self, opcode: Opcode, payload: bytes, *, last: bool) -> bool:
        """Append a frame to the message and return whether it is complete."""
        if opcode is Opcode.BINARY:
            raise self._broken(NOT_TEXT, "invalid message: got a binary message, expected text")
        if self._parts is None:
            if opcode is Opcode.CONTINUATION:
                raise self._broken(PROTOCOL_ERROR, "invalid frame: a continuation frame without a message")
            # joined at once: stored as objects, small parts take twenty times the memory
            self._parts = bytearray()
        elif opcode is not Opcode.CONTINUATION:
            raise self._broken(PROTOCOL_ERROR, "invalid frame: a new message before the end of the last one")
        self._parts += payload
        return last

    def _take(self) -> bytes:
        parts, self._parts = self._parts, None
        assert parts is not None, "only a complete message is taken"
        message = bytes(parts)
        try:
            message.decode()
        except UnicodeDecodeError:
            raise self._broken(BAD_UTF8, "invalid message: not UTF-8") from None
        return message

    def _closed(self, payload: bytes) -> None:
        """Handle the peer's close frame. Its code is sent back, so it must be a code for the wire (RFC 6455,
        7.4)."""
        code = int.from_bytes(payload[:2]) if payload else NO_CODE
        known = 1000 <= code <= 1014 and code not in (1004, 1006) and (code != NO_CODE or not payload)
        if len(payload) == 1 or not (known or 3000 <= code <= 4999):
            raise self._broken(PROTOCOL_ERROR, f"invalid close frame: code {code}")
        try:
            payload[2:].decode()
        except UnicodeDecodeError:
            raise self._broken(BAD_UTF8, "invalid close frame: the reason is not UTF-8") from None
        self.ended = True
        self.close_code = code

    def _broken(self, close_code: int, detail: str, *, code: str = "bad_frame") -> FrameError:
        self.close_code = close_code
        return FrameError(code, detail)


class WebSocketCommands:
    """Decode the commands of one connection to the server, after the upgrade."""

    __slots__ = ("_frame_bytes", "_messages")

    def __init__(self, *, hello_bytes: int = HELLO_BYTES_MAX, frame_bytes: int = FRAME_BYTES_MAX) -> None:
        self._messages = _Messages(client=False, limit=min(hello_bytes, frame_bytes))
        self._frame_bytes = frame_bytes

    @property
    def inside_frame(self) -> bool:
        return self._messages.inside

    @property
    def inside_message(self) -> bool:
        return self._messages.inside_message

    @property
    def ended(self) -> bool:
        return self._messages.ended

    def welcomed(self) -> None:
        self._messages.limit = self._frame_bytes

    def feed(self, data: bytes) -> Iterator[Command | BadMessage | Control | None]:
        for message in self._messages.feed(data):
            if message is None:
                yield None
            elif message[0] is Opcode.PING:
                yield Control(_header(Opcode.PONG, len(message[1])) + message[1])
            else:
                for payload in message[1].split(b"\n"):
                    if _is_blank(payload):
                        # one for each line, so that a session with many lines checks its clock between them
                        yield None
                        continue
                    try:
                        command: Command | BadMessage = decode_command(payload)
                    except BadMessage as error:
                        command = error.as_value()
                    yield command

    def close_frame(self, code: str) -> Control | None:
        """Return the close frame: with the peer's code in reply to its close frame, or with the code of the
        error."""
        if not code and not self._messages.ended:
            return None  # the connection is closed already
        number = self._messages.close_code or CLOSE_CODES[code]
        body = b"" if number == NO_CODE else number.to_bytes(2) + code.encode()
        return Control(_header(Opcode.CLOSE, len(body)) + body)


class WebSocketEvents:
    """Decode events and encode commands, for one connection of a client, after the upgrade.

    A client masks each frame with four new bytes, which `mask` returns. `rest` is the input after the
    server's response to the upgrade.
    """

    __slots__ = ("_mask", "_messages", "_replies", "_rest")

    def __init__(self, mask: Callable[[], bytes], rest: bytes = b"") -> None:
        self._mask = mask
        self._messages = _Messages(client=True, limit=FRAME_BYTES_MAX)
        self._replies = b""
        self._rest = rest

    @property
    def inside_frame(self) -> bool:
        return self._messages.inside

    @property
    def ended(self) -> bool:
        return self._messages.ended

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that `data` completes, without those of unknown types.

        Raises `FrameError` and `BadMessage`: the connection to a server that breaks the protocol must end.
        """
        events: list[Event] = []
        had_ended = self._messages.ended
        if had_ended:
            return events  # ignore input after the close frame
        rest, self._rest = self._rest, b""
        for message in self._messages.feed(rest + data):
            if message is None:
                continue
            if message[0] is Opcode.PING:
                self._replies = self._masked(Opcode.PONG, message[1])  # a reply to the newest ping is enough
                continue
            payloads = (payload for payload in message[1].split(b"\n") if not _is_blank(payload))
            events.extend(event for event in map(decode_event, payloads) if event is not None)
        if self._messages.ended:
            self._replies += self._masked(Opcode.CLOSE, b"")
        return events

    def frame(self, payload: bytes) -> bytes:
        return self._masked(Opcode.TEXT, payload)

    def replies(self) -> bytes:
        replies, self._replies = self._replies, b""
        return replies

    def _masked(self, opcode: Opcode, payload: bytes) -> bytes:
        mask = self._mask()
        size = len(payload)
        # XOR of two large integers: a loop over bytes would dominate the cost of sending.
        keys = (mask * (size // 4 + 1))[:size]
        hidden = (int.from_bytes(payload) ^ int.from_bytes(keys)).to_bytes(size)
        return _header(opcode, size, _MASKED) + mask + hidden
