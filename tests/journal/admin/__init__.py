"""What the owner does with a journal's file."""
