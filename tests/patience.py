"""How long a test of real processes or sockets may take before it counts as hung."""

__all__ = ["PATIENCE_S"]

# It only ends a test that would hang for ever: a machine may be busy, so no outcome depends on it.
PATIENCE_S = 300
