"""The journal: the numbered entries of all rooms. A store knows rooms, entries and refs, but no members."""
