"""funcrec: a flight recorder for Go functions."""

__version__ = "0.1.0"
