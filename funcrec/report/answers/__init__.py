"""The questions that views answer: what each asks of one trace, and how the parts of many traces become one answer."""
