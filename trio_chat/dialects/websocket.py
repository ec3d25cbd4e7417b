"""The dialect of WebSocket (RFC 6455): payloads in text messages, one a line.

White space of JSON around a payload is part of its line, so a message may end in a newline, or in CR LF. A
line of nothing else holds no payload: the reader passes over it, at either end.

What comes is parsed by wsproto's `FrameDecoder`: headers, masks, lengths, reserved bits. What a message is
made of, how large it may become, and what is said about a broken one is decided here. What goes out is made
by hand: a batch is one unmasked frame, the same bytes for every browser. With a library that makes a frame
for each of them a delivery costs 38 µs and more.

No message of ours is larger than a frame of the other dialect may be, so nobody need hold more than that; a
larger batch becomes several. There is no compression: it would want a state for each connection, and a copy.
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
"""Of each `bye`. 1001, 1011 and 1013 say: come back; the others: do not come back by yourself."""

_MASKED = 0x80
_WHITE_SPACE = b" \t\r"  # that of JSON (RFC 8259), but for the newline, which ends a line


class WebSocketPacking:
    """Events out: the server's half without state."""

    probe: Control | None = Control(b"\x89\x00")

    def pack(self, payloads: Sequence[bytes]) -> bytes:
        if not payloads:
            return b""
        message = b"\n".join(payloads)
        if len(message) <= FRAME_BYTES_MAX and Control not in map(type, payloads):
            return _header(Opcode.TEXT, len(message)) + message
        return b"".join(_in_several(payloads))

    def whole(self, packed: bytes, sent: int) -> int:
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
    """As few messages as hold all of it, and what is no payload between them, in its place."""
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
    """Return whether a line holds nothing but white space."""
    return not line.strip(_WHITE_SPACE)


def _header(opcode: int, size: int, masked: int = 0) -> bytes:
    first = 0x80 | opcode
    if size < 126:
        return bytes((first, masked | size))
    if size < 65_536:
        return pack_struct(">BBH", first, masked | 126, size)
    return pack_struct(">BBQ", first, masked | 127, size)


class _Messages:
    """Frames to whole messages, at either end. `limit` is the largest taken, in bytes."""

    __slots__ = ("_decoder", "_parts", "close_code", "ended", "limit")

    def __init__(self, *, client: bool, limit: int) -> None:
        self.limit = limit
        self.ended = False
        self.close_code = 0
        """Of the peer's close frame, or what to tell it about the frame that was broken."""
        self._decoder = FrameDecoder(client=client)
        self._parts: bytearray | None = None  # of the message that has begun

    @property
    def inside_message(self) -> bool:
        return self._parts is not None

    @property
    def inside(self) -> bool:
        decoder = self._decoder
        return self.inside_message or decoder.header is not None or len(decoder.buffer) > 0

    def feed(self, data: bytes) -> Iterator[tuple[Opcode, bytes] | None]:
        """Texts and pings, each as it is asked for; None for a frame that is neither and was taken."""
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
            assert isinstance(payload, bytes), "a close is not taken apart by this decoder"
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
        """Before anything is kept for it: would the message become too large? Its header says."""
        header = self._decoder.header
        size = came + len(self._parts or b"")
        if header is not None and not header.opcode.iscontrol():
            size += header.payload_len - self._decoder.payload_consumed
        if size > self.limit:
            raise self._broken(
                TOO_LARGE,
                f"a message of {size} bytes, over the limit of {self.limit}",
                code="frame_too_large",
            )

    def _add(self, opcode: Opcode, payload: bytes, *, last: bool) -> bool:
        """Whether the message is whole with this."""
        if opcode is Opcode.BINARY:
            raise self._broken(NOT_TEXT, "a binary message; all are text here")
        if self._parts is None:
            if opcode is Opcode.CONTINUATION:
                raise self._broken(PROTOCOL_ERROR, "the continuation of nothing")
            self._parts = bytearray()  # joined as they come: as objects, small ones weigh twenty times that
        elif opcode is not Opcode.CONTINUATION:
            raise self._broken(PROTOCOL_ERROR, "a message begins inside another")
        self._parts += payload
        return last

    def _take(self) -> bytes:
        parts, self._parts = self._parts, None
        assert parts is not None, "a message is taken when it is whole"
        message = bytes(parts)
        try:
            message.decode()
        except UnicodeDecodeError:
            raise self._broken(BAD_UTF8, "a message that is not valid UTF-8") from None
        return message

    def _closed(self, payload: bytes) -> None:
        """The peer's last frame. Its code is echoed, so it has to be one that may be sent (RFC 6455, 7.4)."""
        code = int.from_bytes(payload[:2]) if payload else NO_CODE
        known = 1000 <= code <= 1014 and code not in (1004, 1006) and (code != NO_CODE or not payload)
        if len(payload) == 1 or not (known or 3000 <= code <= 4999):
            raise self._broken(PROTOCOL_ERROR, "a close frame with a code that is none")
        try:
            payload[2:].decode()
        except UnicodeDecodeError:
            raise self._broken(BAD_UTF8, "a close frame whose reason is not valid UTF-8") from None
        self.ended = True
        self.close_code = code

    def _broken(self, close_code: int, detail: str, *, code: str = "bad_frame") -> FrameError:
        self.close_code = close_code
        return FrameError(code, detail)


class WebSocketCommands:
    """Commands in: the server's half of one connection, from behind the upgrade on."""

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
                        yield None  # each one, so that the session looks at its clock between two of many
                        continue
                    try:
                        command: Command | BadMessage = decode_command(payload)
                    except BadMessage as error:
                        command = error.as_value()
                    yield command

    def farewell(self, code: str) -> Control | None:
        """The close frame. In answer to the peer's it repeats that code; to a broken frame it says how."""
        if not code and not self._messages.ended:
            return None  # the connection just ended, and nobody is there
        number = self._messages.close_code or CLOSE_CODES[code]
        body = b"" if number == NO_CODE else number.to_bytes(2) + code.encode()
        return Control(_header(Opcode.CLOSE, len(body)) + body)


class WebSocketEvents:
    """Both directions at the client's end: events in, commands out, from behind the upgrade on.

    Clients mask what they send, each frame with another four bytes, which `mask` gives. `rest` is what
    came behind the server's answer to the upgrade.
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
        """The events that `data` makes whole; those of unknown types are left out.

        Raises `FrameError` and `BadMessage`: a server that breaks the rules is not listened to further.
        """
        events: list[Event] = []
        had_ended = self._messages.ended
        if had_ended:
            return events  # whatever comes behind the close frame, which was answered once
        rest, self._rest = self._rest, b""
        for message in self._messages.feed(rest + data):
            if message is None:
                continue
            if message[0] is Opcode.PING:
                self._replies = self._masked(Opcode.PONG, message[1])  # the newest is enough
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
        # As two large numbers: byte by byte this would take longer than all the rest.
        keys = (mask * (size // 4 + 1))[:size]
        hidden = (int.from_bytes(payload) ^ int.from_bytes(keys)).to_bytes(size)
        return _header(opcode, size, _MASKED) + mask + hidden
