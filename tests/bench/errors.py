"""What ends a benchmark before its time."""

__all__ = ["BenchError"]


class BenchError(Exception):
    """A figure cannot be had, or was not earned: a delivery was lost, doubled, corrupt or out of order."""
