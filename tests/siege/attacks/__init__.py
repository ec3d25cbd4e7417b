"""The attacks, grouped by kind. Each is one function that a decorator makes an attack of; see `attack.py`."""
