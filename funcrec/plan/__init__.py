"""Decide what to probe: pure functions from target and patterns to a plan."""
