"""trio-chat."""
