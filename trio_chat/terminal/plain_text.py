"""Make a line that a program wrote fit to be said. Pure.

Programs colour their lines, set titles and draw progress bars; a server refuses a text with control
characters. Escape sequences and carriage returns are removed; each other control character is replaced by a
character that shows it, so that no line is lost for it.

click.unstyle and rich know colours only; titles, character sets and 8-bit sequences would stay.
"""

import re

__all__ = ["plain_text"]

# Each alternative reads a character a bounded number of times: a body ends before the next character that can
# begin a sequence, so a sequence without an end costs its own length once.
_ESCAPES = re.compile(
    "(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]"  # colours and the cursor (CSI)
    "|(?:\x1b[]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x80-\x9f]*(?:\x07|\x1b\\\\|\x9c)"  # titles and links
    "|\x1b[ -/]*[0-~]"  # the others, such as a choice of character set
    "|\r"
)
_CONTROLS = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f]")


def plain_text(line: str) -> str:
    """Return the line without escape sequences and carriage returns, and with symbols for other controls."""
    if line.isprintable():
        return line
    return _CONTROLS.sub(_symbol, _ESCAPES.sub("", line))


def _symbol(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else "\ufffd"
