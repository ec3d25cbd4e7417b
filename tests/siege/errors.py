"""The error that ends a siege before its time."""

__all__ = ["SiegeError"]


class SiegeError(Exception):
    """An attack could not be run: a process did not start, or ended before it should."""
