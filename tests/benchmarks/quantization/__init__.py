"""Measure quantization on real weights and images; the tables are in RESULTS.md."""
