"""Escape text from peers before a terminal shows it.

Texts, names, topics, rooms and details come from unknown people and servers, and a terminal obeys control
characters. So all text from a peer is shown through `escape` (or `escape_json`). They replace characters
that a terminal would obey, and characters that make one text look like another, by a visible form. Our own
server refuses most of these characters; this module does not rely on that.
"""

import re

__all__ = ["escape", "escape_json"]

_UNSAFE = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # controls: ESC, BEL and so on, and CSI and OSC once more, as one character
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # direction marks, overrides and isolates
    "\u00ad\u180e\u200b\u2060-\u2064\u206a-\u206f\ufeff"  # zero width: two names would look the same
    # The joiners U+200C and U+200D have no width either, but Persian and many emoji need them.
    "\u2028\u2029\ufff9-\ufffb"  # other line separators, and interlinear annotations
    "\U000e0000-\U000e007f"  # tags: invisible text
    "\ud800-\udfff"  # surrogates, which cannot be encoded
    "]"
)


def escape(text: str) -> str:
    """Return `text` with unsafe characters made visible: `^[` for ESC, `<U+202E>` for an override."""
    return _UNSAFE.sub(_shown, text)


def escape_json(text: str) -> str:
    """Return JSON of the same meaning without unsafe characters.

    Unsafe characters occur only inside JSON strings, where each can be written as a `\\u` escape.
    """
    return _UNSAFE.sub(_json_escape, text)


def _shown(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20 or code == 0x7F:
        return "^" + chr(code ^ 0x40)
    return f"<U+{code:04X}>"


def _json_escape(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
