"""Name the rooms that a run leaves in a server's journal, and the command that removes them. Pure."""

from collections.abc import Iterator, Sequence

__all__ = ["lines", "prune_command"]


def prune_command(rooms: Sequence[str]) -> str:
    """Return the command that removes these rooms from a journal; empty if there are no rooms."""
    return " ".join(["trio-chat journal prune", *(f"--room {room}" for room in rooms)]) if rooms else ""


def lines(rooms: Sequence[str]) -> Iterator[str]:
    """Yield lines that name the rooms left in the journal and how to remove them; none without rooms."""
    if not rooms:
        return
    named = rooms[0] if len(rooms) == 1 else f"{rooms[0]} to {rooms[-1]}, {len(rooms):,} rooms"
    yield f"the messages stay in the server's journal ({named}); stop the server, then remove them with:"
    yield f"  {prune_command(rooms)}"
