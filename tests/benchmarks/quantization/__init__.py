"""Measure quantisation on real weights and images; the tables are in RESULTS.md."""
