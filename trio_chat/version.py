"""The version of trio-chat."""

__all__ = ["__version__"]

__version__ = "0.1.0"
