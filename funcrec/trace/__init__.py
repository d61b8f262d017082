"""The trace file: the only place where record and report meet."""
