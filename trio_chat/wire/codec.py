"""Payloads to messages and back: one JSON object in UTF-8 each.

Pure. The decoder's own errors become `BadMessage`, whatever their kind: msgspec raises its
ValidationError and DecodeError (both ValueError), UnicodeDecodeError (a ValueError too) for bytes
that are not UTF-8, and RecursionError for nesting beyond the interpreter's depth.
"""

import re
from typing import get_args

import msgspec

from trio_chat.errors import BadMessage, FrameError
from trio_chat.wire.messages import MAX_NUMBER, VERSION, Command, Entry, Event, Number, Said, TopicChanged

__all__ = ["decode_command", "decode_entry", "decode_event", "encode"]

encode = msgspec.json.Encoder().encode
"""A message as the payload of one frame. Messages are not checked on the way out."""

_commands: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)
_events: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_decode_command = _commands.decode
_decode_event = _events.decode

_decode_entry = msgspec.json.Decoder(Entry).decode


class _StoredSaid(Said, frozen=True, tag="said"):
    """A `Said` of a journal from before times had a bound."""

    at: Number


class _StoredTopicChanged(TopicChanged, frozen=True, tag="retitled"):
    """A `TopicChanged` of such a journal."""

    at: Number


_decode_kept_entry = msgspec.json.Decoder(_StoredSaid | _StoredTopicChanged).decode

_EVENT_TYPES = {event.__struct_config__.tag for event in get_args(Event)}

# msgspec names the field at fault in one of these two ways.
_FIELD = re.compile(r"`\$\.(\w+)|field `([^`]*)`")


_NOTHING = msgspec.Raw(b"null")
GLIMPSE_BYTES = 1_024  # more than a type, a version or a `ref` takes, however it is escaped


class _Glimpse(msgspec.Struct):
    """What can be read of an object that is no message of ours: parts of it, not decoded yet, since twenty
    thousand lists in the place of a type would take milliseconds."""

    type: msgspec.Raw = _NOTHING
    version: msgspec.Raw = _NOTHING
    ref: msgspec.Raw = _NOTHING


_decode_glimpse = msgspec.json.Decoder(_Glimpse).decode


def _glimpse(payload: bytes) -> tuple[object, object, object]:
    """Return type, version and `ref`, None for each that is not there or larger than it may be.

    Raises ValueError and RecursionError.
    """
    seen = _decode_glimpse(payload)
    kind, version, ref = (
        msgspec.json.decode(part) if len(part) <= GLIMPSE_BYTES else None
        for part in (seen.type, seen.version, seen.ref)
    )
    return kind, version, ref


def decode_entry(payload: bytes) -> Entry:
    """Return the entry in a payload that a journal kept.

    `at` may be beyond `MAX_AT`: earlier versions imported such times. `journal check` reports them, and
    `journal retime` corrects them.

    Raises:
        ValueError: The payload holds no entry.
        RecursionError: It is nested too deeply.
    """
    try:
        return _decode_entry(payload)
    except msgspec.ValidationError:
        kept = _decode_kept_entry(payload)
    fields = msgspec.structs.asdict(kept)
    return Said(**fields) if isinstance(kept, _StoredSaid) else TopicChanged(**fields)


def decode_command(payload: bytes) -> Command:
    """The command in a payload.

    Raises `BadMessage`, with the field at fault and the payload's `ref` where they can be read, and
    `FrameError` with the code `version` for the hello of another version, whatever else is in it.
    """
    try:
        return _decode_command(payload)
    except (ValueError, RecursionError) as error:
        raise _refusal(payload, error) from None


def decode_event(payload: bytes) -> Event | None:
    """The event in a payload; None for an event of a type that this version does not know.

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
        kind, version, ref = _glimpse(payload)
    except (ValueError, RecursionError):
        return _bad_message(error)
    ref = ref if isinstance(ref, str) and 1 <= len(ref) <= 64 else ""
    if kind == "hello" and _is_number(version) and version != VERSION:
        return FrameError("version", f"this server speaks version {VERSION}", ref=ref)
    return _bad_message(error, ref)


def _is_number(value: object) -> bool:
    return type(value) is int and 0 <= value <= MAX_NUMBER  # True and False are ints too


def _is_of_another_type(payload: bytes) -> bool:
    """Whether a payload that is no event of ours is well formed and has a type that is none of ours."""
    try:
        kind, _, _ = _glimpse(payload)
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
    """On one line and without control characters: msgspec repeats names and values as the peer wrote them."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in detail)
