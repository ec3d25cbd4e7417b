"""Tools for the owner of a journal's file: inspect, export, import, back up, check, prune and correct it.

They are plain synchronous functions over SQLite, without a server and without Trio. Functions that only read
also work while a server runs. Functions that change the file hold its lock, as a server does. Each raises
`JournalToolError` with one line for the owner, and `KeyboardInterrupt` even in the middle of a long
statement. A change is made completely or not at all.
"""
