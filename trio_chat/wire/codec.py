"""Decode payloads to messages and encode messages to payloads. Each payload is a JSON object in UTF-8. Pure.

Every error of the decoder becomes a `BadMessage`. msgspec raises ValidationError and DecodeError (both
ValueError), UnicodeDecodeError (also a ValueError) for bytes that are not UTF-8, and RecursionError for
nesting beyond the interpreter's limit.
"""

import re
from typing import get_args

import msgspec

from trio_chat.errors import BadMessage, FrameError
from trio_chat.wire.messages import MAX_NUMBER, VERSION, Command, Entry, Event, Number, Said, TopicChanged

__all__ = ["decode_command", "decode_entry", "decode_event", "encode"]

encode = msgspec.json.Encoder().encode
"""Return a message as the payload of one frame. Outgoing messages are not checked."""

_commands: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)
_events: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_decode_command = _commands.decode
_decode_event = _events.decode

_decode_entry = msgspec.json.Decoder(Entry).decode


class _StoredSaid(Said, frozen=True, tag="said"):
    """A `Said` from a journal written before times were limited to `MAX_AT`."""

    at: Number


class _StoredTopicChanged(TopicChanged, frozen=True, tag="retitled"):
    """A `TopicChanged` from such a journal."""

    at: Number


_decode_kept_entry = msgspec.json.Decoder(_StoredSaid | _StoredTopicChanged).decode

_EVENT_TYPES = {event.__struct_config__.tag for event in get_args(Event)}

# msgspec names the invalid field in one of these two forms.
_FIELD = re.compile(r"`\$\.(\w+)|field `([^`]*)`")


_NOTHING = msgspec.Raw(b"null")
ENVELOPE_FIELD_BYTES = 1_024  # more than a type, a version or a `ref` needs in any escaped form


class _Envelope(msgspec.Struct):
    """The fields of an invalid message that can still be read.

    They are not decoded yet, since decoding twenty thousand lists in place of a type would take milliseconds.
    """

    type: msgspec.Raw = _NOTHING
    version: msgspec.Raw = _NOTHING
    ref: msgspec.Raw = _NOTHING


_decode_envelope = msgspec.json.Decoder(_Envelope).decode


def _envelope(payload: bytes) -> tuple[object, object, object]:
    """Return type, version and `ref`; None for each that is absent or too large.

    Raises ValueError and RecursionError.
    """
    seen = _decode_envelope(payload)
    kind, version, ref = (
        msgspec.json.decode(part) if len(part) <= ENVELOPE_FIELD_BYTES else None
        for part in (seen.type, seen.version, seen.ref)
    )
    return kind, version, ref


def decode_entry(payload: bytes) -> Entry:
    """Decode an entry from a payload that a journal stored.

    `at` may be beyond `MAX_AT`: earlier versions imported such times. `journal check` reports them, and
    `journal retime` corrects them.

    Raises:
        ValueError: The payload is not an entry.
        RecursionError: It is nested too deeply.
    """
    try:
        return _decode_entry(payload)
    except msgspec.ValidationError:
        kept = _decode_kept_entry(payload)
    fields = msgspec.structs.asdict(kept)
    return Said(**fields) if isinstance(kept, _StoredSaid) else TopicChanged(**fields)


def decode_command(payload: bytes) -> Command:
    """Decode a command from a payload.

    Raises:
        BadMessage: The payload is invalid. The error has the invalid field and the `ref`, if they can be
        read. FrameError: The payload is a `hello` of another version, whatever its other fields; the code is
        `version`.
    """
    try:
        return _decode_command(payload)
    except (ValueError, RecursionError) as error:
        raise _refusal(payload, error) from None


def decode_event(payload: bytes) -> Event | None:
    """Decode an event from a payload. Return None for an event of a type that this version does not know.

    Raises `BadMessage`.
    """
    try:
        return _decode_event(payload)
    except (ValueError, RecursionError) as error:
        if isinstance(error, msgspec.ValidationError) and _is_of_another_type(payload):
            return None
        raise _bad_message(error) from None


def _refusal(payload: bytes, error: Exception) -> BadMessage | FrameError:
    try:
        kind, version, ref = _envelope(payload)
    except (ValueError, RecursionError):
        return _bad_message(error)
    ref = ref if isinstance(ref, str) and 1 <= len(ref) <= 64 else ""
    if kind == "hello" and _is_number(version) and version != VERSION:
        return FrameError("version", f"this server speaks version {VERSION}", ref=ref)
    return _bad_message(error, ref)


def _is_number(value: object) -> bool:
    return type(value) is int and 0 <= value <= MAX_NUMBER  # True and False are ints too


def _is_of_another_type(payload: bytes) -> bool:
    """Return whether an invalid payload is an object with a type that this version does not know."""
    try:
        kind, _, _ = _envelope(payload)
    except (ValueError, RecursionError):
        return False
    return isinstance(kind, str) and kind not in _EVENT_TYPES


def _bad_message(error: Exception, ref: str = "") -> BadMessage:
    if isinstance(error, UnicodeDecodeError):
        return BadMessage("not valid UTF-8", ref=ref)
    if isinstance(error, RecursionError):
        return BadMessage("nested too deeply", ref=ref)
    detail = str(error)
    found = _FIELD.search(detail) if isinstance(error, msgspec.ValidationError) else None
    field = (found[1] or found[2]) if found else ""
    return BadMessage(_shown(detail[:200]), field=field[:64], ref=ref)


def _shown(detail: str) -> str:
    """Return the text with control characters and line ends escaped, since msgspec quotes the peer's
    input."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in detail)
