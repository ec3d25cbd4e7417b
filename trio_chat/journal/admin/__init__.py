"""What the owner of a journal does with its file: look at it, take it out, bring it in, keep a copy, prove
it.

Plain synchronous functions over SQLite, without a server and without trio. Those that only read do so
beside a running server; those that change the file hold its lock, as a server does. All raise `NotDone`
with a line for the owner, and `KeyboardInterrupt` also in the middle of one long statement; a change is
made whole or not at all.
"""
