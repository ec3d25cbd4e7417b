"""The journal: what was said, numbered. A store knows rooms, entries and refs, and no members."""
