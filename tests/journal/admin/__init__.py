"""The tools for the owner of a journal's file."""
