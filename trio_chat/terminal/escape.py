"""What must not reach a terminal as it is.

Texts, names, topics, rooms and details come from people and servers that we do not know, and a terminal
obeys what it is sent. So whatever came from a peer is shown through `escape` (or `escape_json`): what a
terminal would obey, and what would make one text look like another, is shown as what it is. A server of
ours refuses most of it; this does not rely on that.
"""

import re

__all__ = ["escape", "escape_json"]

_UNSAFE = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # controls: ESC, BEL and so on, and CSI and OSC once more, as one character
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks, overrides and isolates of direction
    "\u00ad\u180e\u200b\u2060-\u2064\u206a-\u206f\ufeff"  # of no width: two names that look like one
    # The joiners U+200C and U+200D are of no width too, but Persian and many an emoji are spelled with them.
    "\u2028\u2029\ufff9-\ufffb"  # line ends that are none of ours, and interlinear notes
    "\U000e0000-\U000e007f"  # tags: text that no one sees
    "\ud800-\udfff"  # halves of characters, which cannot be encoded
    "]"
)


def escape(text: str) -> str:
    """One line that shows `text` and does nothing else: `^[` for ESC, `<U+202E>` for an override."""
    return _UNSAFE.sub(_shown, text)


def escape_json(text: str) -> str:
    """JSON of the same meaning that does nothing to a terminal.

    Such characters stand inside strings only, where JSON has an escape of its own for each.
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
