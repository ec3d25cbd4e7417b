"""Situations of real operation that have gone wrong elsewhere, run with the real commands: `nox -s cases`."""
