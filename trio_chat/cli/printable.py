"""Text for one line of a terminal, whatever is in it: a path's bytes, or what a damaged file says."""

__all__ = ["printable"]


def printable(text: str) -> str:
    """Return the text with all that is not printable escaped: control characters, newlines, bytes not in
    UTF-8."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
