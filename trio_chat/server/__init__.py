"""The server: what comes in by a link is obeyed, committed, and shown to everybody it concerns."""
