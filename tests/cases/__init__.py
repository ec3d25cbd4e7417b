"""Situations of real operation that have gone wrong elsewhere, tried on the real commands: `nox -s cases`."""
