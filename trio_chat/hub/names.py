"""Names of people and rooms, and what may stand in a text.

Names follow RFC 8265: shown as UsernameCasePreserved has them, compared as UsernameCaseMapped has
them, so that `Ada`, `ada` and full-width `ａｄａ` are one name. Preparing one costs some 20 µs of
pure Python, so prepared names are cached; the caches are bounded, and refusals are not cached.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from precis_i18n import get_profile

from trio_chat.errors import Refused

__all__ = ["NAME_CHARS_MAX", "ROOM_CHARS_MAX", "Name", "check_text", "prepare_name", "prepare_room"]

NAME_CHARS_MAX = 32
ROOM_CHARS_MAX = 64
# Mapping never makes a name shorter than a quarter of what it was (four code points of Greek compose to
# one); more is not worth the work.
RAW_FACTOR = 4
NOT_FIRST = "#@*/"

_preserved = get_profile("UsernameCasePreserved")
_mapped = get_profile("UsernameCaseMapped")

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Name(NamedTuple):
    """A prepared name: as it is shown, and as it is compared."""

    shown: str
    key: str


@lru_cache(maxsize=16_384)
def prepare_name(raw: str) -> Name:
    """The name of a person. Raises `Refused` with `bad_name`."""
    return _prepare(raw, "bad_name", "name", NAME_CHARS_MAX)


@lru_cache(maxsize=16_384)
def prepare_room(raw: str) -> Name:
    """The name of a room. Raises `Refused` with `bad_room`."""
    return _prepare(raw, "bad_room", "room", ROOM_CHARS_MAX)


def _prepare(raw: str, code: str, field: str, chars_max: int) -> Name:
    def refused(why: str) -> Refused:
        return Refused(code, f"a {field} {why}", field=field)

    if not raw:
        raise refused("must not be empty")
    if len(raw) > chars_max * RAW_FACTOR:
        raise refused(f"has at most {chars_max} characters")
    if raw[0] in NOT_FIRST:
        raise refused(f"must not begin with {raw[0]}")
    try:
        shown = _preserved.enforce(raw)
        key = _mapped.enforce(raw)
    except ValueError:
        raise refused("is made of letters, digits and marks, without spaces") from None
    if len(shown) > chars_max:
        raise refused(f"has at most {chars_max} characters")
    if shown[0] in NOT_FIRST:  # a full-width form of one
        raise refused(f"must not begin with {shown[0]}")
    return Name(shown, key)


def check_text(text: str, bytes_max: int, lines_max: int) -> None:
    """Raises `Refused`: `bad_message` for an empty text or one with control characters but newline and
    tab, `too_long` for too many bytes of UTF-8 or too many lines."""
    if not text:
        raise Refused("bad_message", "a text must not be empty", field="text")
    # A code point takes at most four bytes: most texts need no encoding to be short enough.
    if len(text) * 4 > bytes_max and len(text.encode()) > bytes_max:
        raise Refused("too_long", f"a text has at most {bytes_max} bytes", field="text")
    if text.isprintable():
        return  # one quick look: no controls, no newlines
    if text.count("\n") >= lines_max:
        raise Refused("too_long", f"a text has at most {lines_max} lines", field="text")
    if _CONTROLS.search(text):
        raise Refused("bad_message", "a text has no control characters but newline and tab", field="text")
