"""Measure files against each other and against other runtimes."""
