"""Escape text for one line of a terminal, such as a path in any bytes or a text from a damaged file."""

__all__ = ["printable"]


def printable(text: str) -> str:
    """Return the text with unprintable characters escaped: control characters, newlines, invalid UTF-8."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
