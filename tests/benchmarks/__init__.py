"""Benchmarks and sweeps: commands whose results are committed beside them."""
