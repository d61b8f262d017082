"""Hostile traces: a mutator that knows the format, every view and export as a target, and the long runs."""
