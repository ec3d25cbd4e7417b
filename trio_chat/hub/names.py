"""Names of members and rooms, and the rules for texts.

Names follow RFC 8265: shown by the profile UsernameCasePreserved, compared by UsernameCaseMapped, so that
`Ada`, `ada` and full-width `ａｄａ` are one name.

The cost of a name is bounded, whatever its characters: its length is checked first, and each rule
runs at most once per character. The library's own `enforce` is quadratic: it repeats the rules that look
at the whole string for each character that asks for them, 8 ms for 64 characters. Most names are ASCII, for
which the profiles change nothing but the case; other prepared names are cached, refusals are not.
"""

import re
from functools import lru_cache
from typing import NamedTuple

import msgspec
from precis_i18n import get_profile
from precis_i18n.context import context_rule_error
from precis_i18n.derived import CONTEXTJ, CONTEXTO, PVALID, derived_property

from trio_chat.errors import Refused

__all__ = ["NAME_CHARS_MAX", "ROOM_CHARS_MAX", "Name", "check_text", "prepare_name", "prepare_room"]

NAME_CHARS_MAX = 32
ROOM_CHARS_MAX = 64
# Mapping never makes a name shorter than a quarter of what it was (four code points of Greek compose to
# one), so a longer one need not be mapped.
RAW_FACTOR = 4
NOT_FIRST = "#@*/"
CACHED = 4_096  # names; 4 MB when each has 64 characters outside the basic plane

_preserved = get_profile("UsernameCasePreserved")
_mapped = get_profile("UsernameCaseMapped")
_ucd = _preserved.base.ucd

_encode = msgspec.json.Encoder().encode
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")

# Characters whose context rule looks at the whole string and not at their neighbours (RFC 5892, A.7 to A.9),
# by the rule.
_WHOLE_STRING_RULES = {
    "\u30fb": "katakana middle dot",
    **dict.fromkeys(map(chr, range(0x660, 0x66A)), "arabic-indic digits"),
    **dict.fromkeys(map(chr, range(0x6F0, 0x6FA)), "extended arabic-indic digits"),
}


class Name(NamedTuple):
    """A prepared name: as it is shown, and as it is compared."""

    shown: str
    key: str


def prepare_name(raw: str) -> Name:
    """Return the prepared name of a member. Raises `Refused` with `bad_name`."""
    return _prepare(raw, "bad_name", "name", NAME_CHARS_MAX)


def prepare_room(raw: str) -> Name:
    """Return the prepared name of a room. Raises `Refused` with `bad_room`."""
    return _prepare(raw, "bad_room", "room", ROOM_CHARS_MAX)


def _prepare(raw: str, code: str, field: str, chars_max: int) -> Name:
    if not raw:
        raise Refused(code, f"a {field} must not be empty", field=field)
    if len(raw) > chars_max * (1 if raw.isascii() else RAW_FACTOR):
        raise Refused(code, f"a {field} has at most {chars_max} characters", field=field)
    try:
        if raw.isascii():
            name = _ascii(raw)
        elif len(raw) <= chars_max:
            name = _cached(raw, chars_max)
        else:
            name = _enforce(raw, chars_max)
    except _TooLong:
        raise Refused(code, f"a {field} has at most {chars_max} characters", field=field) from None
    except ValueError:
        raise Refused(
            code, f"a {field} must consist of letters, digits and marks, without spaces", field=field
        ) from None
    if name.shown[0] in NOT_FIRST:
        raise Refused(code, f"a {field} must not begin with {name.shown[0]}", field=field)
    return name


class _TooLong(ValueError):
    """A name has too many characters once it is mapped."""


def _ascii(raw: str) -> Name:
    """Do what both profiles do with ASCII. Raises ValueError."""
    if " " in raw or not raw.isprintable():
        raise ValueError("a space or a control character")
    key = raw.lower()
    return Name(raw, raw if key == raw else key)  # one text for both: there is one for each member


def _enforce(raw: str, chars_max: int) -> Name:
    """Apply both profiles. Raises ValueError, `_TooLong` before the rules that cost most."""
    shown = _preserved.normalization_rule(_preserved.width_mapping_rule(raw))
    if len(shown) > chars_max:
        raise _TooLong
    if _preserved.apply_five_rules(shown) != shown:
        raise ValueError("not stable under its own rules")
    _check_characters(shown)
    key = _mapped.apply_five_rules(shown)
    if key != shown:
        if _mapped.apply_five_rules(key) != key:
            raise ValueError("not stable under its own rules")
        _check_characters(key)
    return Name(shown, key)


_cached = lru_cache(maxsize=CACHED)(_enforce)


def _check_characters(name: str) -> None:
    """Require each character to be valid where it stands (RFC 8264, IdentifierClass). Raises ValueError."""
    done: set[str] = set()
    for offset, char in enumerate(name):
        kind = _property(char)
        if kind == PVALID:
            continue
        if kind not in (CONTEXTJ, CONTEXTO):
            raise ValueError("a character that is not allowed in names")
        rule = _WHOLE_STRING_RULES.get(char)
        if rule in done:
            continue
        if context_rule_error(name, offset, _ucd):
            raise ValueError("a character that is not allowed at this place")
        if rule is not None:
            done.add(rule)


@lru_cache(maxsize=CACHED)
def _property(char: str) -> str:
    kind, _ = derived_property(ord(char), _ucd)
    return str(kind)


def check_text(text: str, bytes_max: int, lines_max: int) -> None:
    """Raise `Refused` if a text is not allowed: `bad_message` if it is empty or has a control character other
    than newline and tab, `too_long` if it has too many bytes of UTF-8 or too many lines."""
    chars = len(text)
    # JSON escapes all control characters but DEL, so an ASCII text whose encoding is not longer has none.
    # Encoding takes a third of the time of checking each character.
    if 0 < chars <= bytes_max and text.isascii() and len(_encode(text)) == chars + 2 and "\x7f" not in text:
        return
    if not text:
        raise Refused("bad_message", "a text must not be empty", field="text")
    # A code point takes at most four bytes: most texts need no encoding to be short enough.
    if chars * 4 > bytes_max and len(text.encode()) > bytes_max:
        raise Refused("too_long", f"a text has at most {bytes_max} bytes", field="text")
    if text.isprintable():
        return
    if text.count("\n") >= lines_max:
        raise Refused("too_long", f"a text has at most {lines_max} lines", field="text")
    if _CONTROLS.search(text):
        raise Refused(
            "bad_message", "a text must not have control characters other than newline and tab", field="text"
        )
