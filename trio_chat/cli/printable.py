"""Text for one line of a terminal, also from a path or a damaged file."""

__all__ = ["printable"]


def printable(text: str) -> str:
    """Return a text with control characters, newlines and bytes that are not UTF-8 escaped."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
