"""Make a line of program output acceptable to a server. Pure.

Programs colour their lines, set titles and draw progress bars, but a server refuses a text with control
characters. This module removes escape sequences and carriage returns, and replaces each other control
character by a visible symbol, so that no line is refused because of them.

click.unstyle and rich remove colours only; titles, character sets and 8-bit sequences would remain.
"""

import re

__all__ = ["plain_text"]

# Matching takes linear time. A body ends before the next character that can begin a sequence, so an
# unfinished sequence is scanned once.
_ESCAPES = re.compile(
    "(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]"  # colours and the cursor (CSI)
    "|(?:\x1b[]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x80-\x9f]*(?:\x07|\x1b\\\\|\x9c)"  # titles and links
    "|\x1b[ -/]*[0-~]"  # the others, such as a choice of character set
    "|\r"
)
_CONTROLS = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f]")


def plain_text(line: str) -> str:
    """Return the line without escape sequences and carriage returns; other controls become symbols."""
    if line.isprintable():
        return line
    return _CONTROLS.sub(_symbol, _ESCAPES.sub("", line))


def _symbol(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else "\ufffd"
